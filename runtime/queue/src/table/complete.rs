//! From completions to answers.

use super::request::{Piece, Request};
use super::{Data, Finished, Table, Violation};
use crate::area::Loan;
use crate::block::{Operation, Status};
use crate::extent;

impl Table {
    /// Where an outstanding read was told to put its bytes.
    pub fn room_of(&self, tag: u64) -> Option<Loan> {
        let piece = self.pieces.get((tag & 0xffff) as usize)?;
        piece
            .loan
            .filter(|_| piece.tag == tag && piece.operation == Operation::Read)
    }

    /// Takes one completion. `data` are the bytes it names. Returns the room
    /// that can be given back once `data` is no longer needed, and the request
    /// if that finished it.
    pub fn complete(
        &mut self,
        tag: u64,
        status: Status,
        data: &[u8],
    ) -> Result<(Option<Loan>, Option<Finished>), Violation> {
        let slot = (tag & 0xffff) as usize;
        let piece = match self.pieces.get(slot) {
            Some(piece) if piece.tag == tag && tag != 0 => piece,
            _ => return Err(Violation::UnknownTag(tag)),
        };
        if self.rewrites.contains(&slot) {
            return Err(Violation::UnknownTag(tag));
        }
        let read = piece.operation == Operation::Read;
        if read && status == Status::Ok && data.len() != piece.length as usize {
            let expected = piece.length;
            return Err(Violation::WrongLength {
                tag,
                expected,
                got: data.len(),
            });
        }
        // A device that does not support it can't tell: all may be data.
        let (status, told) = match (piece.operation, status) {
            (Operation::Extents, Status::NotSupported) => (Status::Ok, None),
            (Operation::Extents, Status::Ok) => (status, Some(self.extents(piece, data)?)),
            _ => (status, None),
        };
        let loan = piece.loan;
        if piece.modify && read && status == Status::Ok && !self.requests[piece.request].abandoned {
            self.change_block(slot, data);
            return Ok((loan, None));
        }
        let piece = self.pieces.remove(slot);
        if piece.modify {
            self.modifies.retain(|&modify| modify != slot);
        }
        let block = self.block();
        let request = &mut self.requests[piece.request];
        request.outstanding -= 1;
        if let Some(told) = told {
            request.bytes = told;
        }
        if status != Status::Ok && request.status == Status::Ok {
            request.status = status;
        }
        let whole = read && request.offset == piece.offset && request.length == piece.length;
        if read && !whole && !piece.modify && status == Status::Ok {
            collect(request, &piece, data, block);
        }
        let issued_all = request.plan.step(request.step).is_none();
        let client = request.client;
        if request.outstanding > 0 || !(issued_all || request.status != Status::Ok) {
            return Ok((loan, None));
        }
        if !issued_all {
            self.waiting.remove(client, piece.request);
        }
        Ok((loan, self.finish(piece.request, whole)))
    }

    /// The extents of a completion, cut to the range that the client asked about.
    fn extents(&self, piece: &Piece, data: &[u8]) -> Result<Vec<u8>, Violation> {
        let request = &self.requests[piece.request];
        let block = u32::try_from(self.block()).unwrap_or(u32::MAX);
        let skip = u32::try_from(request.offset - piece.offset).unwrap_or(0);
        let end = skip.saturating_add(request.length);
        extent::checked(data, piece.length, block, skip, end).map_err(|error| Violation::Extents {
            tag: piece.tag,
            error,
        })
    }

    /// Puts the request's bytes into the block that has been read, and has it written.
    fn change_block(&mut self, slot: usize, data: &[u8]) {
        let piece = &mut self.pieces[slot];
        let request = &self.requests[piece.request];
        piece.block.clear();
        piece.block.extend_from_slice(data);
        let block_end = piece.offset + u64::from(piece.length);
        let from = request.offset.max(piece.offset);
        let to = (request.offset + u64::from(request.length)).min(block_end);
        let target = &mut piece.block[(from - piece.offset) as usize..(to - piece.offset) as usize];
        if request.operation == Operation::Write {
            let start = (from - request.offset) as usize;
            target.copy_from_slice(&request.bytes[start..start + target.len()]);
        } else {
            target.fill(0);
        }
        piece.loan = None;
        self.rewrites.push_back(slot);
    }

    pub(super) fn block(&self) -> u64 {
        self.geometry
            .as_ref()
            .map_or(1, |geometry| u64::from(geometry.block_size))
    }

    pub(super) fn finish(&mut self, slot: usize, whole: bool) -> Option<Finished> {
        let mut request = self.remove(slot);
        let bytes = std::mem::take(&mut request.bytes);
        let asks = request.operation.asks();
        let wanted = asks && request.status == Status::Ok && !request.abandoned;
        let data = if wanted && whole {
            Data::InPlace
        } else if wanted && request.operation == Operation::Extents {
            Data::Buffer {
                start: 0,
                length: bytes.len(),
                bytes,
            }
        } else if wanted {
            let start = (request.offset % self.block()) as usize;
            Data::Buffer {
                bytes,
                start,
                length: request.length as usize,
            }
        } else {
            self.recycle(bytes);
            Data::None
        };
        (!request.abandoned).then_some(Finished {
            client: request.client,
            cookie: request.cookie,
            status: request.status,
            data,
        })
    }
}

/// Puts a piece of a read in its place among the others, in a buffer that
/// begins at the block the request begins in.
fn collect(request: &mut Request, piece: &Piece, data: &[u8], block: u64) {
    let base = request.offset - request.offset % block;
    let at = (piece.offset - base) as usize;
    if request.bytes.len() < at + data.len() {
        request.bytes.resize(at + data.len(), 0);
    }
    request.bytes[at..at + data.len()].copy_from_slice(data);
}
