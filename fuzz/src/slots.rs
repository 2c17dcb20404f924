//! The memory of requests: one slot for each, which nobody may touch once the request
//! is completed.

use vcp_iscsi_initiator::{Memory, Operation, Span};

/// As many slots as requests may be outstanding, all of one size.
pub(crate) struct Slots {
    bytes: Vec<u8>,
    /// The operation and length of the request in each slot.
    used: Vec<Option<(Operation, u32)>>,
    size: usize,
}

impl Slots {
    /// So many slots of `size` bytes.
    pub(crate) fn new(count: usize, size: usize) -> Self {
        Self {
            bytes: vec![0; count * size],
            used: vec![None; count],
            size,
        }
    }

    /// Takes a free slot for a request.
    pub(crate) fn take(&mut self, operation: Operation, length: u32) -> Option<Span> {
        assert!(length as usize <= self.size);
        let slot = self.used.iter().position(Option::is_none)?;
        self.used[slot] = Some((operation, length));
        Some(Span {
            address: (slot * self.size) as u32,
            length,
        })
    }

    pub(crate) fn free(&mut self, span: Span) {
        self.used[span.address as usize / self.size] = None;
    }

    /// The bytes of a slot that is in use, for its owner.
    pub(crate) fn owned(&mut self, span: Span) -> &mut [u8] {
        &mut self.bytes[span.address as usize..][..span.length as usize]
    }

    /// Where a span that the initiator names lies.
    fn check(&self, span: Span, operation: Operation) -> std::ops::Range<usize> {
        let (start, length) = (span.address as usize, span.length as usize);
        let used = self.used.get(start / self.size).copied().flatten();
        let (owner, room) = used.unwrap_or_else(|| panic!("{span:?} belongs to no request"));
        assert!(
            start % self.size + length <= room as usize,
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
