//! What it says of itself at the start, true or not.

use alloc::format;
use alloc::string::{String, ToString};

use vcp_sdk::block::{Completion, Geometry, Status};
use vcp_sdk::control::{Areas, Start};
use vcp_sdk::types::Span;

use crate::disk::SIZE;
use crate::{NOTHING, deep, faults, handover_faults, recovery_faults};

pub(crate) const DATA_AREA: u32 = 256 << 10;

/// The configuration.
#[derive(Default)]
pub(crate) struct Setup {
    /// The fault of this generation; empty for none.
    pub(crate) fault: String,
    /// The call in which it strikes; without, the first with a flush.
    pub(crate) call: Option<u32>,
    /// Nanoseconds after which a suspension ends, or a session.
    pub(crate) resume: Option<u64>,
}

impl Setup {
    pub(crate) fn read(start: &Start) -> Result<Self, String> {
        let (mut setup, mut from, mut to) = (Self::default(), 1, 1);
        let number = |text: &str| text.parse::<u32>().map_err(|e| format!("{e}"));
        for (key, value) in &start.config {
            match key.as_str() {
                "fault" => setup.fault.clone_from(value),
                "generations" => {
                    let (first, last) = value.split_once("..").ok_or("no range")?;
                    (from, to) = (number(first)?, number(last)?);
                }
                "call" => setup.call = Some(number(value)?),
                "resume" => setup.resume = Some(u64::from(number(value)?) * 1_000_000),
                other => return Err(format!("config.{other}: unknown key")),
            }
        }
        let fault = setup.fault.as_str();
        let lists = [
            faults::FAULTS,
            handover_faults::FAULTS,
            recovery_faults::FAULTS,
        ];
        if !fault.is_empty() && !lists.concat().contains(&fault) {
            return Err(format!(
                "config.fault: {fault:?} is no fault of this module"
            ));
        }
        if !(from..=to).contains(&start.generation) {
            setup.fault.clear();
        }
        Ok(setup)
    }
}

/// The areas, after what goes wrong in `init`.
pub(crate) fn areas(fault: &str, data: Span) -> Result<Areas, String> {
    let span = |address, length| Span { address, length };
    let mut areas = Areas {
        data,
        receive: NOTHING,
    };
    match fault {
        "init-error" => return Err("config.fault: as you\x1b[31m\nwish".to_string()),
        "init-error-huge" => return Err("x".repeat(8 << 20)),
        "init-trap" => panic!("as you wish"),
        "init-loop" => deep::forever(0),
        "init-recursion" => {
            deep::calls(u64::MAX);
        }
        "areas-none" => areas.data = NOTHING,
        "areas-small" => areas.data.length = (64 << 10) - 1,
        "areas-outside" => areas.data.length = 1 << 31,
        "areas-near-end" => areas.data = span(u32::MAX - 4095, u32::MAX),
        "areas-overlap" => areas.receive = span(data.address + data.length - 1, 1),
        "receive-outside" => areas.receive = span(u32::MAX, 1 << 17),
        _ => {}
    }
    Ok(areas)
}

/// What the device is, or rather is not.
pub(crate) fn geometry(fault: &str) -> Geometry {
    let mut geometry = Geometry {
        size: SIZE as u64,
        block_size: 512,
        preferred_block_size: 4096,
        max_transfer: 64 << 10,
        max_discard: 1 << 20,
        max_write_zeroes: 1 << 20,
        extents: true,
        read_only: false,
        write_cache: true,
        identity: "misbehave".to_string(),
    };
    match fault {
        "block-0" => geometry.block_size = 0,
        "block-3" => geometry.block_size = 3,
        "block-large" => geometry.block_size = 1 << 17,
        "block-huge" => geometry.block_size = 1 << 31,
        "size-unaligned" => geometry.size += 1,
        "size-huge" => geometry.size = u64::MAX - 511,
        "preferred-0" => geometry.preferred_block_size = 0,
        "preferred-unaligned" => geometry.preferred_block_size = 513,
        "transfer-0" => geometry.max_transfer = 0,
        "transfer-unaligned" => geometry.max_transfer = 1000,
        "transfer-small" => geometry.max_transfer = 256,
        "discard-small" => geometry.max_discard = 511,
        "zeroes-small" => geometry.max_write_zeroes = 1,
        "identity-huge" => geometry.identity = "\u{1}".repeat(8 << 20),
        "shrunk" => geometry.size /= 2,
        "other-block" => geometry.block_size = 1024,
        _ => {}
    }
    geometry
}

/// An answer to `tag`, whatever it was.
pub(crate) fn done(tag: u64) -> Completion {
    Completion {
        tag,
        status: Status::Ok,
        data: NOTHING,
    }
}
