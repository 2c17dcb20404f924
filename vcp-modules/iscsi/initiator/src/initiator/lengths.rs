//! The longest transfer of one command, where a unit does not tell it: some units refuse
//! a read or a write for its length without saying that. The length is halved until the
//! unit accepts it, and then remembered. A unit that accepts none has another reason, and
//! nothing is remembered.

use alloc::format;

use super::Initiator;
use crate::action::Level;
use crate::task::{Data, TaskId};

/// A refused length below this, in bytes, or of one block, has another reason.
const SHORTEST: u32 = 4096;

impl Initiator {
    /// Handles the refusal of a command that moves data. Returns whether to send it again
    /// for fewer blocks.
    pub(super) fn shorten(&mut self, id: TaskId) -> bool {
        let command = &self.tasks.get(id).command;
        let moves = match command.data {
            Data::In(_) | Data::Out(_) => true,
            // Zeroes for the whole range can be cut; a pattern to be repeated cannot.
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

    /// Notes that a command that covers this many bytes succeeded, in case that length
    /// was being tried.
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
