//! The bytes of an instance, as far as the host reaches them: the one place where
//! spans become bytes.

use super::{Exports, Guest};
use crate::bindings::types::Span;
use crate::fault::Fault;

impl Guest {
    /// The bytes of a span that the guest named; `what` says where it did.
    pub(crate) fn bytes(&self, what: &'static str, span: Span) -> Result<&[u8], Fault> {
        let Span { address, length } = span;
        let bytes = match (&self.memory, &self.exports) {
            (Some(memory), _) => memory.slice(address, length).ok(),
            (None, Exports::Native(vcp)) => vcp.bytes(span).filter(|b| b.len() == length as usize),
            (None, _) => None,
        };
        bytes.ok_or(Fault::Span {
            what,
            address,
            length,
        })
    }

    /// The bytes of a span of its areas, to write; `None` when it reaches outside.
    pub(crate) fn bytes_mut(&mut self, span: Span) -> Option<&mut [u8]> {
        match (&mut self.memory, &mut self.exports) {
            (Some(memory), _) => memory.slice_mut(span.address, span.length).ok(),
            (None, Exports::Native(vcp)) => vcp
                .bytes_mut(span)
                .filter(|bytes| bytes.len() == span.length as usize),
            (None, _) => None,
        }
    }

    /// Bytes of its linear memory; a native VCP has none.
    pub(crate) fn memory_size(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.size())
    }

    /// Whether it is compiled into the host, and runs without a sandbox.
    pub(crate) fn is_native(&self) -> bool {
        matches!(self.exports, Exports::Native(_))
    }

    /// Populates its memory: all but the data area beyond its first `data` bytes.
    pub(crate) fn touch(&self, data: u32) {
        let Some(memory) = &self.memory else { return };
        let areas = self.areas.data;
        let after = areas.address.saturating_add(areas.length);
        let size = u32::try_from(memory.size()).unwrap_or(u32::MAX);
        let before = areas.address.saturating_add(data.min(areas.length));
        memory.populate(0, before);
        memory.populate(after, size.saturating_sub(after));
    }
}
