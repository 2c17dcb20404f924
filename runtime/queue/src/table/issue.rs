//! From requests to queue entries: what the VCP is given next.

use super::request::Piece;
use super::{Entry, Finished, Source, Table};
use crate::area::Area;
use crate::block::{Modifiers, Operation};
use crate::extent;
use crate::plan::{Kind, Step};

impl Table {
    /// The next entry for the VCP, with room taken in `area`, or `None` when
    /// there is none now. The caller places `Source` and passes the entry on.
    pub fn next(&mut self, area: &mut Area) -> Option<(Entry, Source<'_>)> {
        let geometry = self.geometry.as_ref()?;
        // A block that was read still counts as with the VCP: writing it takes no more
        // depth.
        if let Some(&slot) = self.rewrites.front() {
            return self.issue_rewrite(slot, area);
        }
        if self.draining || self.pieces.len() >= self.limits.depth {
            return None;
        }
        let size = geometry.size;
        let (block, max_transfer) = (geometry.block_size, geometry.max_transfer);
        let (max_discard, max_zeroes) = (geometry.max_discard, geometry.max_write_zeroes);
        let answers_flush = !geometry.write_cache;
        loop {
            if self.others_must_wait() {
                return None;
            }
            let slot = self.next_head()?;
            let request = &mut self.requests[slot];
            // Its client knew the device when it was larger. (If the request was begun then,
            // its rest goes where its beginning went.)
            let end = request.offset.saturating_add(u64::from(request.length));
            if end > size && request.outstanding == 0 {
                request.status = request.operation.beyond_the_end();
                self.waiting.remove(request.client, slot);
                let finished = self.finish(slot, false);
                self.done.extend(finished);
                continue;
            }
            let flushed = request.operation == Operation::Flush && answers_flush;
            let Some(step) = request.plan.step(request.step).filter(|_| !flushed) else {
                self.waiting.remove(request.client, slot);
                if self.requests[slot].outstanding == 0 {
                    let finished = self.finish(slot, false);
                    self.done.extend(finished);
                }
                continue;
            };
            let limit = match (step.kind, request.operation) {
                (Kind::Plain, Operation::Discard) => max_discard,
                (Kind::Plain, Operation::WriteZeroes) => max_zeroes,
                (Kind::Plain, _) => u32::MAX,
                (_, _) => max_transfer.min(area.capacity()),
            };
            return self.issue(slot, step, block, limit - limit % block.max(1), area);
        }
    }

    /// Takes requests that were finished without asking the VCP.
    pub fn take_done(&mut self) -> Vec<Finished> {
        std::mem::take(&mut self.done)
    }

    /// Whether [`Table::next`] may have something to do.
    pub fn has_waiting(&self) -> bool {
        let suspects = self.trials && !self.suspects.is_empty();
        !self.waiting.is_empty() || !self.rewrites.is_empty() || suspects
    }

    /// Whether a flush that is offered again has to wait for writes that were submitted
    /// before it and are offered again: some of them may have been carried out already, and
    /// the flush must find them all. (It does not wait for suspects: they may never be
    /// carried out, and an unanswered write is no flush's business.) It keeps back its own
    /// client's requests only, though it may wait for another's.
    pub(super) fn must_wait(&self, slot: usize) -> bool {
        let flush = &self.requests[slot];
        let after = self.limits.suspect_after;
        flush.replayed
            && flush.operation == Operation::Flush
            && self.requests.iter().any(|(_, earlier)| {
                earlier.sequence < flush.sequence
                    && earlier.operation.changes()
                    && !earlier.is_suspect(after)
            })
    }

    fn issue(
        &mut self,
        slot: usize,
        step: Step,
        block: u32,
        limit: u32,
        area: &mut Area,
    ) -> Option<(Entry, Source<'_>)> {
        let request = &mut self.requests[slot];
        let modify = step.kind == Kind::Modify;
        let (offset, length) = next_range(&step, request.issued, block, limit);
        let operation = match step.kind {
            Kind::Read | Kind::Modify => Operation::Read,
            Kind::Write => Operation::Write,
            Kind::Plain => request.operation,
        };
        let loan = match operation {
            Operation::Read | Operation::Write => Some(area.take(length)?),
            Operation::Extents => Some(area.take(extent::ROOM)?),
            _ => None,
        };

        request.issued = (offset + u64::from(length) - step.offset) as u32;
        request.outstanding += 1;
        let stepped = offset + u64::from(length) >= step.offset + u64::from(step.length);
        if stepped {
            request.step += 1;
            request.issued = 0;
        }
        let moved = matches!(operation, Operation::Read | Operation::Write);
        self.waiting
            .charge(request.client, if moved { length } else { 0 });
        if stepped && request.plan.step(request.step).is_none() {
            self.waiting.remove(request.client, slot);
        }
        let tag = new_tag(&mut self.serial, self.pieces.vacant_key());
        let piece = self.pieces.insert(Piece {
            tag,
            request: slot,
            operation,
            offset,
            length,
            loan,
            block: Vec::new(),
            modify,
        });
        if modify {
            self.modifies.push(piece);
        }
        let request = &self.requests[slot];
        let modifiers = if operation.asks() {
            Modifiers::default()
        } else {
            request.modifiers
        };
        let source = match (operation, request.operation) {
            (Operation::Write, Operation::WriteZeroes) => Source::Zeroes,
            (Operation::Write, _) => {
                let start = (offset - request.offset) as usize;
                Source::Bytes(&request.bytes[start..start + length as usize])
            }
            _ => Source::Nothing,
        };
        Some((
            Entry {
                tag,
                operation,
                modifiers,
                offset,
                length,
                loan,
            },
            source,
        ))
    }

    /// Issues the write of a block that was read and changed.
    fn issue_rewrite(&mut self, slot: usize, area: &mut Area) -> Option<(Entry, Source<'_>)> {
        let length = self.pieces[slot].length;
        let loan = Some(area.take(length)?);
        self.rewrites.pop_front();
        let tag = new_tag(&mut self.serial, slot);
        let piece = &mut self.pieces[slot];
        piece.tag = tag;
        piece.operation = Operation::Write;
        piece.loan = loan;
        let modifiers = self.requests[piece.request].modifiers;
        let piece = &self.pieces[slot];
        let entry = Entry {
            tag: piece.tag,
            operation: Operation::Write,
            modifiers,
            offset: piece.offset,
            length,
            loan,
        };
        Some((entry, Source::Bytes(&piece.block)))
    }
}

/// The next entry's range within a step: whole blocks around its bytes, at most
/// `limit` bytes.
fn next_range(step: &Step, issued: u32, block: u32, limit: u32) -> (u64, u32) {
    if step.length == 0 {
        return (step.offset, 0);
    }
    let block = u64::from(block);
    let start = step.offset + u64::from(issued);
    let start = start - start % block;
    let end = (step.offset + u64::from(step.length)).next_multiple_of(block);
    (
        start,
        (end - start).min(u64::from(limit.max(block as u32))) as u32,
    )
}

fn new_tag(serial: &mut u64, slot: usize) -> u64 {
    *serial += 1;
    *serial << 16 | (slot as u64 & 0xffff)
}
