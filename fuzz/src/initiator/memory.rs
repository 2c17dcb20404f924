//! The memory of requests: one slot for each, which nobody may touch once the request
//! is completed.

use vcp_iscsi_initiator::{Memory, Operation, Span};

pub(super) const SLOTS: usize = 12;
pub(super) const SLOT: usize = 4 * 4096;

pub(super) struct Slots {
    bytes: Vec<u8>,
    /// The operation and length of the request in each slot.
    used: [Option<(Operation, u32)>; SLOTS],
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            bytes: vec![0; SLOTS * SLOT],
            used: [None; SLOTS],
        }
    }

    /// Takes a free slot for a request.
    pub(super) fn take(&mut self, operation: Operation, length: u32) -> Option<Span> {
        assert!(length as usize <= SLOT);
        let slot = self.used.iter().position(Option::is_none)?;
        self.used[slot] = Some((operation, length));
        Some(Span {
            address: (slot * SLOT) as u32,
            length,
        })
    }

    pub(super) fn free(&mut self, span: Span) {
        self.used[span.address as usize / SLOT] = None;
    }

    /// The bytes of a slot that is in use, for its owner.
    pub(super) fn owned(&mut self, span: Span) -> &mut [u8] {
        &mut self.bytes[span.address as usize..][..span.length as usize]
    }

    /// Where a span that the initiator names lies.
    fn check(&self, span: Span, operation: Operation) -> std::ops::Range<usize> {
        let (start, length) = (span.address as usize, span.length as usize);
        let used = self.used.get(start / SLOT).copied().flatten();
        let (owner, room) = used.unwrap_or_else(|| panic!("{span:?} belongs to no request"));
        assert!(
            start % SLOT + length <= room as usize,
            "{span:?} is more than its request has"
        );
        assert_eq!(owner, operation, "{span:?}");
        start..start + length
    }
}

impl Memory for Slots {
    fn bytes(&self, span: Span) -> &[u8] {
        &self.bytes[self.check(span, Operation::Write)]
    }

    fn bytes_mut(&mut self, span: Span) -> &mut [u8] {
        let range = self.check(span, Operation::Read);
        &mut self.bytes[range]
    }
}
