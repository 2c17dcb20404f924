//! A file as a block device. The file lies in a directory that the operator
//! granted; this VCP reaches it through the host (`vcp:file/files`) and can reach nothing
//! else.
//!
//! Configuration: `path`, as the VCP sees it (required); `size` in bytes, to create or
//! extend the file if need be; `read-only`.
//!
//! Discarded and zeroed ranges become holes in the file.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod backing;
mod disk;
mod options;

use alloc::string::String;
use alloc::vec::Vec;

use vcp_sdk::block::{Completion, Notice, Request, Status};
use vcp_sdk::control::{Areas, Command, Start};
use vcp_sdk::device::Effects;
use vcp_sdk::types::{Instant, Span};
use vcp_sdk::{Arena, Device};

use disk::Disk;
use options::Options;

/// The room for the data of requests: 8 of the longest.
const DATA_AREA: u32 = 8 * disk::MAX_TRANSFER;
const NOTHING: Span = Span {
    address: 0,
    length: 0,
};

/// The VCP.
pub struct FileDevice {
    disk: Disk,
    data: Arena,
    announced: bool,
}

impl Device for FileDevice {
    fn start(start: Start) -> Result<(Self, Areas), String> {
        let device = Self {
            disk: Disk::open(&Options::parse(&start.config)?, &start.identity)?,
            data: Arena::new(DATA_AREA, 0),
            announced: false,
        };
        let areas = Areas {
            data: device.data.span(),
            receive: NOTHING,
        };
        Ok((device, areas))
    }

    fn process(&mut self, _now: Instant, commands: &[Command], requests: &[Request]) -> Effects {
        let mut notices = Vec::new();
        let rescan = commands.contains(&Command::Rescan);
        if rescan || !self.announced {
            let found = match self.announced {
                true => self.disk.look(),
                false => self.disk.begin(),
            };
            self.announced = true;
            notices.push(match found {
                Ok(()) => Notice::Ready(self.disk.geometry()),
                Err(why) => Notice::Failed(why),
            });
        }
        let completions = requests.iter().map(|r| self.answer(r)).collect();
        if commands.contains(&Command::Stop) {
            notices.push(Notice::Stopped);
        }
        Effects {
            completions,
            notices,
            deadline: None,
        }
    }
}

impl FileDevice {
    fn answer(&mut self, request: &Request) -> Completion {
        let (status, data) = match self.disk.execute(request, &mut self.data) {
            Ok(data) => (Status::Ok, data),
            Err(status) => (status, NOTHING),
        };
        Completion {
            tag: request.tag,
            status,
            data,
        }
    }
}

vcp_sdk::export_device!(FileDevice);
