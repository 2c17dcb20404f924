//! The initiator (`vcp-iscsi-initiator`) and a responder that lies about commands, beside
//! a model that knows which bytes were moved: `Ok` is said only of what was done.
//!
//! Promised, whatever the responder says about commands:
//!
//! - A read that ends `Ok` has every byte of its memory from the responder, sent for that
//!   place in one attempt that ended well in the sense of SAM-5 (GOOD, CONDITION MET, or
//!   CHECK CONDITION that says that the command was carried out) and without a residual.
//!   Every attempt sends other bytes, and the memory holds yet others before, so that
//!   what is stale shows.
//! - A write that ends `Ok` had all its bytes sent in such an attempt; discards and zeroing
//!   their parameters; what is to be durable was written with FUA, or the cache behind it.
//! - A request ends once, only while it is outstanding; and in the end, once the responder
//!   is honest. Where it always was, every request ends `Ok`.
//! - Memory is touched only for requests that are outstanding, and that of writes is what
//!   goes out. More data than was asked for never does.
//! - Nothing panics, talk comes to an end, timers move on, log lines are lines.
//!
//! The login, questions about the disk, pings and leave-taking are always answered as they
//! should be (or not at all): what is said there is for the target `initiator` to doubt.
//!
//! Input: four bytes of settings, then steps; see [`step`](World::step).

mod answers;
mod ledger;
mod pattern;
mod peer;
mod settings;
mod spans;
mod world;

use vcp_iscsi_initiator::Operation;

use crate::script::Script;
use world::World;

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&mut script);
    while let Some(step) = script.step() {
        world.step(step, &mut script);
    }
    world.finish();
}

impl World {
    /// One step of the script. With the top bit nothing moves after it.
    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step & 0x0f {
            0..=2 => self.request(script.byte(), script.byte()),
            3..=8 => self.answer(script),
            9 => self.carry(script.byte(), script.byte()),
            10 => self.wait(u64::from(script.byte()) * 50_000_000),
            11 => self.timeout(),
            12 => self.cut(),
            13 => self.remark(script),
            14 => self.trouble(script.byte()),
            _ => self.all_honest(),
        }
        if step & 0x80 == 0 {
            self.pump();
        }
    }

    /// A request that makes sense.
    fn request(&mut self, kind: u8, blocks: u8) {
        let operation = match kind & 7 {
            0..=2 => Operation::Read,
            3..=4 => Operation::Write,
            5 => Operation::Flush,
            6 => Operation::Discard,
            _ => Operation::WriteZeroes,
        };
        let blocks = 1 + u32::from(blocks) % 16;
        self.submit(operation, blocks, kind & 8 != 0, kind & 16 != 0);
    }
}
