//! The VCP without a sandbox, for a host that has it compiled in: the meaning of its
//! spans. In a component they are addresses in linear memory; natively each area has a
//! base of its own.

use vcp_sdk::Arena;
use vcp_sdk::types::Span;

use crate::memory::Memories;
use crate::transport::Transport;
use crate::vcp::Iscsi;

impl Iscsi {
    /// The first `length` bytes of an entry's span, or `None` when it reaches outside.
    /// Frames to send stay until the next call.
    #[must_use]
    pub fn bytes(&self, span: Span) -> Option<&[u8]> {
        let (transport, memories) = self.parts()?;
        let Memories { data, receive } = memories;
        let area = [&data.0, receive].into_iter().find(|a| holds(a, span));
        match (area, transport) {
            (Some(area), _) => area.get(span),
            (None, Transport::Frames(frames)) => {
                let (arena, _) = frames.stack.outgoing();
                let start = span.address as usize;
                arena.get(start..start.checked_add(span.length as usize)?)
            }
            (None, Transport::Streams(streams)) => streams.buffer.get(span),
        }
    }

    /// The bytes of a span in the data or the receive area, for writing, or `None` when
    /// it reaches outside.
    #[must_use]
    pub fn bytes_mut(&mut self, span: Span) -> Option<&mut [u8]> {
        let Memories { data, receive } = self.memories_mut()?;
        match holds(receive, span) {
            true => receive.get_mut(span),
            false => data.0.get_mut(span),
        }
    }
}

/// Whether a span begins in an area.
fn holds(area: &Arena, span: Span) -> bool {
    let all = area.span();
    (all.address..all.address + all.length).contains(&span.address)
}
