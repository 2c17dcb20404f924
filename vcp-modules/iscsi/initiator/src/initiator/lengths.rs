//! How much one command may move, where a unit does not say: some refuse a read or a
//! write for its length, as if they did not know it. It is halved until the unit takes
//! it, and remembered then. A unit that takes none has another reason, and nothing is
//! remembered.

use alloc::format;

use super::Initiator;
use crate::action::Level;
use crate::task::{Data, TaskId};

/// Shorter than this, in bytes, no length is the reason; nor is one block.
const SHORTEST: u32 = 4096;

impl Initiator {
    /// A command that moves data was refused. Returns whether it is to be sent again,
    /// for fewer blocks.
    pub(super) fn shorten(&mut self, id: TaskId) -> bool {
        let command = &self.tasks.get(id).command;
        let moves = match command.data {
            Data::In(_) | Data::Out(_) => true,
            // Zeroes for all that is covered, not a pattern to be repeated.
            Data::Zeroes => command.length == command.covers,
            _ => false,
        };
        let Some(device) = self.device.as_mut().filter(|_| moves) else {
            return false;
        };
        let shortest = device.block_size.max(SHORTEST);
        if command.covers <= shortest {
            if let Some(longest) = self.longest_before.take() {
                device.max_transfer = longest;
            }
            return false;
        }
        let half = (command.covers / 2 / shortest * shortest).max(shortest);
        if half < device.max_transfer {
            self.longest_before.get_or_insert(device.max_transfer);
            device.max_transfer = half;
        }
        true
    }

    /// A command that covers so many bytes was carried out: whether that is what was
    /// being tried.
    pub(super) fn lengthy(&mut self, covers: u32) {
        let Some(device) = &mut self.device else {
            return;
        };
        if self.longest_before.is_none() || covers != device.max_transfer {
            return;
        }
        self.longest_before = None;
        device.takes = covers;
        let line = format!(
            "{}: the logical unit takes at most {covers} bytes at a time, without saying so",
            self.place()
        );
        self.log(Level::Info, line);
        self.announce();
    }
}
