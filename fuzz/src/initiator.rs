//! The initiator's state machine (`vcp-iscsi-initiator`) against the embedded target,
//! over a wire that a script moves bytes on, breaks and, when it is hostile, forges.
//!
//! Always promised: nothing panics; a request is completed once and only while it is
//! outstanding, never after `Stopped`; no memory is touched but the data of requests
//! that are outstanding, and that of writes isn't changed; `transmit` has something
//! exactly when it says so, and no more than there is room for; connections come one
//! at a time; timers move on; log lines are lines.
//!
//! With an honest target, however often the wire breaks: the target finds nothing to
//! complain about; a read returns what was written; every request is completed in the
//! end, unless the initiator was told to stop.
//!
//! Input: options, then steps; see [`step`](World::step).

mod hostile;
mod model;
mod options;
mod world;

use vcp_iscsi_initiator::{Operation, Request};

use crate::script::Script;
use world::World;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&mut script);
    world.settle();
    while let Some(step) = script.step() {
        world.step(step, &mut script);
    }
    world.finish();
}

impl World {
    /// One step of the script.
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 16 {
            0..=4 => self.submit(request(script)),
            5 => {
                self.transmit(script.short().into());
            }
            6 => {
                self.carry_up(script.short().into());
            }
            7 => {
                self.carry_down(script.short().into());
            }
            8 | 9 => self.settle(),
            10 => self.timeout(),
            11 => self.wait(u64::from(script.short()) * 1_000_000),
            12 => self.cut_wire(),
            13 => self.order(script),
            14 => self.forge(script),
            _ if script.byte() == 0xff => self.stop(),
            _ => self.refuse_next(),
        }
    }
}

/// A request without tag and memory: mostly one that makes sense.
fn request(script: &mut Script<'_>) -> Request {
    let (kind, block, blocks) = (script.byte(), script.byte(), script.byte());
    let operation = match kind % 8 {
        0..=2 => Operation::Write,
        3..=4 => Operation::Read,
        5 => Operation::Flush,
        6 => Operation::Discard,
        _ => Operation::WriteZeroes,
    };
    let flush = operation == Operation::Flush;
    let odd = u64::from(kind & 0xf0 == 0xf0);
    Request {
        tag: 0,
        operation,
        fua: kind & 0x08 != 0,
        no_unmap: kind & 0x10 != 0,
        offset: if flush {
            0
        } else {
            u64::from(block) * 4096 + odd
        },
        length: if flush {
            0
        } else {
            (1 + u32::from(blocks) % 4) * 4096
        },
        data: vcp_iscsi_initiator::Span::default(),
    }
}
