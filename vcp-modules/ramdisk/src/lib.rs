//! A RAM disk as a VCP, and the smallest complete example of one.
//!
//! Configuration: `size` such as `16MiB` (required, a multiple of 512 bytes that fits
//! into the VCP's memory). The contents live in the VCP's own memory: they are lost
//! with the instance, unless it hands them to the next version.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod disk;
mod handover;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use vcp_sdk::block::{Completion, Notice, Request};
use vcp_sdk::control::{Areas, Command, Start};
use vcp_sdk::device::Effects;
use vcp_sdk::types::{Instant, Span};
use vcp_sdk::{Arena, Device, Handover};

use disk::Disk;

/// Room for the data of requests: 8 of the longest.
const DATA_AREA: u32 = 8 * disk::MAX_TRANSFER;

/// The VCP.
pub struct Ramdisk {
    disk: Disk,
    data: Arena,
    announced: bool,
}

impl Device for Ramdisk {
    fn start(start: Start) -> Result<(Self, Areas), String> {
        // The data area first: what is left is for the disk, which says so if it
        // is not enough.
        let data = Arena::new(DATA_AREA, 0);
        let ramdisk = Self {
            disk: Disk::new(configured_size(&start.config)?)?,
            data,
            announced: false,
        };
        let areas = Areas {
            data: ramdisk.data.span(),
            receive: Span {
                address: 0,
                length: 0,
            },
        };
        Ok((ramdisk, areas))
    }

    fn process(&mut self, _now: Instant, commands: &[Command], requests: &[Request]) -> Effects {
        let mut notices = Vec::new();
        // It is what it was; but somebody wants to know.
        let rescan = commands.contains(&Command::Rescan);
        if rescan || !self.announced {
            self.announced = true;
            notices.push(Notice::Ready(self.disk.geometry()));
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

impl Handover for Ramdisk {
    fn snapshot(&mut self, _now: Instant) -> Result<Vec<u8>, String> {
        handover::save(&self.disk)
    }

    fn restore(&mut self, _now: Instant, state: &[u8]) -> Result<(), String> {
        handover::load(&mut self.disk, state)
    }
}

impl Ramdisk {
    fn answer(&mut self, request: &Request) -> Completion {
        let result = self.disk.execute(request, &mut self.data);
        let (status, data) = match result {
            Ok(data) => (vcp_sdk::block::Status::Ok, data),
            Err(status) => (
                status,
                Span {
                    address: 0,
                    length: 0,
                },
            ),
        };
        Completion {
            tag: request.tag,
            status,
            data,
        }
    }
}

fn configured_size(config: &[(String, String)]) -> Result<u64, String> {
    let mut size = None;
    for (key, value) in config {
        match key.as_str() {
            "size" => size = Some(parse_size(value)?),
            other => return Err(format!("config.{other}: unknown key; a RAM disk has: size")),
        }
    }
    size.ok_or_else(|| String::from("config.size: missing; give a size such as 16MiB"))
}

fn parse_size(value: &str) -> Result<u64, String> {
    let size = vcp_sdk::parse_size(value).filter(|size| *size > 0 && size % 512 == 0);
    size.ok_or_else(|| format!("config.size: {value:?} is not a size that is a multiple of 512"))
}

vcp_sdk::export_device!(Ramdisk, handover);
