//! What a client asks for.

use vcp_queue::{Modifiers, Operation};

use crate::random::Random;

/// Bytes of the largest request.
pub(super) const LARGEST: u32 = 256 << 10;

/// A request, in blocks.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) operation: Operation,
    pub(super) modifiers: Modifiers,
    pub(super) block: u32,
    pub(super) blocks: u32,
}

impl Wanted {
    pub(super) fn flush() -> Self {
        Self {
            operation: Operation::Flush,
            modifiers: Modifiers::default(),
            block: 0,
            blocks: 0,
        }
    }

    pub(super) fn read(block: u32, blocks: u32) -> Self {
        Self {
            operation: Operation::Read,
            modifiers: Modifiers::default(),
            block,
            blocks,
        }
    }

    /// One of the load's.
    pub(super) fn any(random: &mut Random, all: u32) -> Self {
        let operation = match random.below(100) {
            0..=43 => Operation::Read,
            44..=83 => Operation::Write,
            84..=87 => Operation::Flush,
            88..=91 => Operation::Discard,
            _ => Operation::WriteZeroes,
        };
        let changes = operation.changes();
        let modifiers = Modifiers {
            fua: changes && random.chance(1, 20),
            no_unmap: operation == Operation::WriteZeroes && random.chance(1, 2),
        };
        if operation == Operation::Flush {
            return Self::flush();
        }
        // 4 KiB to 256 KiB, half of them up to 16 KiB; one in eight starts
        // between the device's preferred blocks.
        let pages = 1
            << if random.chance(1, 2) {
                random.below(3)
            } else {
                random.below(7)
            };
        let blocks = (pages * 8).min(all);
        let room = all - blocks;
        let mut block = random.below(u64::from(room) + 1) as u32;
        if !random.chance(1, 8) {
            block &= !7;
        }
        Self {
            operation,
            modifiers,
            block,
            blocks,
        }
    }
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            operation,
            block,
            blocks,
            ..
        } = self;
        write!(f, "{operation:?} of {blocks} blocks at {block}")
    }
}
