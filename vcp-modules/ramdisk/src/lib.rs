//! A RAM disk as a VCP, and the smallest complete example of one.
//!
//! Configuration: `size` such as `16MiB` (required, a multiple of 512 bytes that fits
//! into the VCP's memory). The contents are in the VCP's own memory: they are lost with
//! the instance, unless it hands them to the next version. An instance that follows
//! another without its contents does not serve: clients rely on what they wrote. With
//! `after-fault` set to `blank` the operator declares that they do not.
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

/// The room for the data of requests: 8 of the longest.
const DATA_AREA: u32 = 8 * disk::MAX_TRANSFER;

/// The bytes for everything small: static data, stack, and the entries of a batch.
const OTHER: u64 = 4 << 20;

/// The VCP.
pub struct Ramdisk {
    disk: Disk,
    data: Arena,
    announced: bool,
    /// The instance that served clients before, as long as its contents are missing here.
    lost: Option<u32>,
}

impl Device for Ramdisk {
    fn start(start: Start) -> Result<(Self, Areas), String> {
        let Config { size, blank } = Config::read(&start.config)?;
        let least = size.saturating_add(u64::from(DATA_AREA) + OTHER);
        // If there is no room for a hand-over, the disk works without it: it is then
        // called off.
        vcp_sdk::request_memory(least.saturating_add(handover::room(size)))
            .or_else(|_| vcp_sdk::request_memory(least))
            .map_err(|why| format!("config.size: a RAM disk of {size} bytes {why}"))?;
        // The data area goes first: the rest is for the disk, which reports an error if
        // it is not enough.
        let data = Arena::new(DATA_AREA, 0);
        let ramdisk = Self {
            disk: Disk::new(size)?,
            data,
            announced: false,
            // A known device means that clients were served with it.
            lost: (!start.identity.is_empty() && !blank)
                .then(|| start.generation.saturating_sub(1)),
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
        // Nothing has changed, but somebody wants to know.
        let rescan = commands.contains(&Command::Rescan);
        if let Some(generation) = self.lost {
            notices.push(Notice::Failed(lost(generation)));
        } else if rescan || !self.announced {
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
    fn only_copy(&self) -> bool {
        true
    }

    fn snapshot(&mut self, _now: Instant) -> Result<Vec<u8>, String> {
        handover::save(&self.disk)
    }

    fn restore(&mut self, _now: Instant, state: &[u8]) -> Result<(), String> {
        handover::load(&mut self.disk, state)?;
        self.lost = None;
        Ok(())
    }
}

/// The message to an operator who can have the device back, but not its contents.
fn lost(generation: u32) -> String {
    format!(
        "the contents of the disk were lost with generation {generation}; `vcp restart` makes a \
         new, blank disk of it"
    )
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

/// The settings of the `config` table.
struct Config {
    /// The size in bytes.
    size: u64,
    /// Whether clients accept a blank disk in place of one whose contents were lost.
    blank: bool,
}

impl Config {
    fn read(config: &[(String, String)]) -> Result<Self, String> {
        let (mut size, mut blank) = (None, false);
        for (key, value) in config {
            match key.as_str() {
                "size" => size = Some(parse_size(value)?),
                "after-fault" => blank = parse_after_fault(value)?,
                other => {
                    return Err(format!(
                        "config.{other}: unknown key; a RAM disk has: size, after-fault"
                    ));
                }
            }
        }
        let missing = || String::from("config.size: missing; give a size such as 16MiB");
        Ok(Self {
            size: size.ok_or_else(missing)?,
            blank,
        })
    }
}

fn parse_after_fault(value: &str) -> Result<bool, String> {
    match value {
        "hold" => Ok(false),
        "blank" => Ok(true),
        other => Err(format!(
            "config.after-fault: expected \"hold\" or \"blank\", found {other:?}"
        )),
    }
}

fn parse_size(value: &str) -> Result<u64, String> {
    let size = vcp_sdk::parse_size(value).filter(|size| *size > 0 && size % 512 == 0);
    size.ok_or_else(|| format!("config.size: {value:?} is not a size that is a multiple of 512"))
}

vcp_sdk::export_device!(Ramdisk, handover);
