//! Which entries must not be with the VCP at the same time.
//!
//! A block that is changed in part is read, changed here, and written. A change by others in
//! between would be undone; so while that goes on nothing else that changes the block is
//! under way, and it begins when nothing that changes it is. All other entries go on:
//! clients may have as many requests under way as they like, and a write to a part of a
//! block must not wait for those, nor keep them waiting.

use std::ops::Range;

use super::Table;
use crate::block::Operation;
use crate::plan::Kind;

impl Table {
    /// The request whose turn it is, if it can go on now. Requests that can't are passed
    /// over; those that would change the same blocks wait behind them, so that they have
    /// their turn.
    pub(super) fn next_head(&self) -> Option<usize> {
        let mut kept: Vec<Range<u64>> = Vec::new();
        self.waiting.heads().find(|&slot| {
            if self.must_wait(slot) {
                return false;
            }
            let Some((range, kind)) = self.next_change(slot) else {
                return true;
            };
            let free =
                !self.clashes(&range, kind) && !kept.iter().any(|other| overlap(other, &range));
            if !free {
                kept.push(range);
            }
            free
        })
    }

    /// The blocks that what is left of a request's step will change, if it changes any.
    fn next_change(&self, slot: usize) -> Option<(Range<u64>, Kind)> {
        let request = &self.requests[slot];
        let step = request.plan.step(request.step)?;
        let changes = match step.kind {
            Kind::Read => false,
            Kind::Write | Kind::Modify => true,
            Kind::Plain => request.operation.changes(),
        };
        let block = self.block();
        // A range that reaches beyond the end of the device is found out later.
        let start = step.offset.saturating_add(u64::from(request.issued));
        let end = step.offset.saturating_add(u64::from(step.length));
        let end = end.checked_next_multiple_of(block).unwrap_or(u64::MAX);
        let range = start - start % block..end;
        changes.then_some((range, step.kind))
    }

    /// Whether an entry that is with the VCP forbids changing these blocks.
    fn clashes(&self, range: &Range<u64>, kind: Kind) -> bool {
        if kind != Kind::Modify {
            let mut modifies = self.modifies.iter();
            return modifies.any(|&slot| overlap(&self.range_of(slot), range));
        }
        let changes = |operation: Operation, modify| modify || operation.changes();
        let mut pieces = self.pieces.iter();
        pieces.any(|(slot, piece)| {
            changes(piece.operation, piece.modify) && overlap(&self.range_of(slot), range)
        })
    }

    fn range_of(&self, piece: usize) -> Range<u64> {
        let piece = &self.pieces[piece];
        piece.offset..piece.offset + u64::from(piece.length)
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}
