//! Ways to hand over badly, in both worlds. The guests include this file.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;

use vcp_sdk::block::{Geometry, Notice};
use vcp_sdk::{Level, log};

/// What a state begins with.
pub(crate) const MAGIC: &[u8] = b"misbehave";

/// A fault of the hand-over, if this generation has one, and what has happened.
pub(crate) struct Handover {
    fault: String,
    snapshots: u32,
    restored: bool,
}

impl Handover {
    pub(crate) fn new(fault: &str) -> Self {
        Self {
            fault: fault.to_string(),
            snapshots: 0,
            restored: false,
        }
    }

    /// What `snapshot` gives, if `good` is what it should.
    pub(crate) fn snapshot(&mut self, good: Vec<u8>) -> Result<Vec<u8>, String> {
        self.snapshots += 1;
        match self.fault.as_str() {
            "snapshot-error" => return Err("as you\x1b[31m\nwish".to_string()),
            "snapshot-error-huge" => return Err("x".repeat(8 << 20)),
            "snapshot-trap" => panic!("asked for its state"),
            "snapshot-loop" => forever(),
            "snapshot-allocate" => fill_memory(),
            "snapshot-huge" | "snapshot-only-copy-huge" => return Ok(vec![7; 20 << 20]),
            "snapshot-outside" => return Ok(outside()),
            "snapshot-empty" => return Ok(Vec::new()),
            "snapshot-garbage" => return Ok(good.iter().map(|byte| !byte).collect()),
            "snapshot-short" => return Ok(good[..good.len() - 1].to_vec()),
            "snapshot-twice" if self.snapshots > 1 => {
                log(Level::Error, &format!("snapshot {} ", self.snapshots));
            }
            _ => {}
        }
        Ok([MAGIC, &good].concat())
    }

    /// Whether it says that nobody else has what the state holds.
    pub(crate) fn only_copy(&self) -> bool {
        self.fault == "snapshot-only-copy-huge"
    }

    /// What of a state is a guest's own, of `length` bytes.
    pub(crate) fn restore<'a>(
        &mut self,
        state: &'a [u8],
        length: usize,
    ) -> Result<&'a [u8], String> {
        match self.fault.as_str() {
            "restore-error" => return Err("as you\x1b[31m\nwish".to_string()),
            "restore-error-huge" => return Err("x".repeat(8 << 20)),
            "restore-trap" => panic!("given a state"),
            "restore-loop" => forever(),
            "restore-allocate" => fill_memory(),
            _ => {}
        }
        self.restored = true;
        state
            .strip_prefix(MAGIC)
            .filter(|rest| rest.len() == length)
            .ok_or_else(|| "not the state of a guest with deliberate faults".to_string())
    }

    /// The first notice, if `good` is what it should be.
    pub(crate) fn announce(&self, good: Geometry) -> Option<Notice> {
        let geometry = match self.fault.as_str() {
            _ if !self.restored => good,
            "restore-never-ready" => return None,
            "restore-suspended" => return Some(Notice::Suspended("it was too much".into())),
            "restore-failed" => return Some(Notice::Failed("it was too much".into())),
            "restore-shrunk" => Geometry {
                size: good.size / 2,
                ..good
            },
            "restore-other-block" => Geometry {
                block_size: 1024,
                ..good
            },
            _ => good,
        };
        Some(Notice::Ready(geometry))
    }

    /// Whether it keeps all requests to itself.
    pub(crate) fn is_silent(&self) -> bool {
        self.restored && self.fault == "restore-silent"
    }
}

fn forever() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

/// Ends when there is no more.
fn fill_memory() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1u8; 1 << 20]));
    }
}

/// A megabyte at an address where there is no memory.
fn outside() -> Vec<u8> {
    let start = core::ptr::without_provenance_mut(1 << 30);
    // SAFETY: deliberately none. The guest does not look at them, and the host traps
    // the instance before they are freed.
    unsafe { Vec::from_raw_parts(start, 1 << 20, 1 << 20) }
}
