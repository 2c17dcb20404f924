//! The request table: every client request from its submission to its answer.
//!
//! It belongs to the host and outlives any instance of the VCP. It holds the
//! only authoritative copy of unanswered write payloads, cuts requests into
//! queue entries that suit the device, and after a restart offers every
//! unanswered request again in the order of submission.
//!
//! The table does no I/O and touches no guest memory: [`Table::next`] says what
//! to place where, [`Table::complete`] is given the bytes that came back.

use std::collections::VecDeque;

use slab::Slab;

use crate::area::{Area, Loan};
use crate::block::{Geometry, Modifiers, Operation, Status};
use crate::client::ClientRequest;
use crate::plan::{Kind, Plan, Step};

/// Names a client of the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u64);

/// One queue entry for the VCP, as `vcp:block/types.request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Never used twice in the life of the table.
    pub tag: u64,
    /// What to do; aligned to the device's blocks.
    pub operation: Operation,
    /// What else.
    pub modifiers: Modifiers,
    /// Bytes.
    pub offset: u64,
    /// Bytes.
    pub length: u32,
    /// Where the data is to be, or empty.
    pub loan: Option<Loan>,
}

/// What the host places in an entry's loan before the VCP sees it.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// Nothing: room for a read, or no data at all.
    Nothing,
    /// These bytes.
    Bytes(&'a [u8]),
    /// Zeroes.
    Zeroes,
}

/// A request that is finished and has to be answered to its client.
#[derive(Debug)]
pub struct Finished {
    /// Whose it was.
    pub client: ClientId,
    /// The client's name for it.
    pub cookie: u64,
    /// How it ended.
    pub status: Status,
    /// What was read.
    pub data: Data,
}

/// Where the bytes of a finished read are.
#[derive(Debug, PartialEq, Eq)]
pub enum Data {
    /// There are none.
    None,
    /// Exactly the bytes that were given to [`Table::complete`].
    InPlace,
    /// In this buffer, from `start` on. Give it to [`Table::recycle`] after use.
    Buffer {
        /// The buffer.
        bytes: Vec<u8>,
        /// First byte of the answer.
        start: usize,
        /// Bytes of the answer.
        length: usize,
    },
}

/// A completion that answers nothing, or not what was asked: a fault of the VCP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// No entry with this tag is outstanding.
    #[error("completion of tag {0:#x}, which is not outstanding")]
    UnknownTag(u64),
    /// A read was completed with another number of bytes.
    #[error("read of {expected} bytes (tag {tag:#x}) completed with {got}")]
    WrongLength {
        /// Of the entry.
        tag: u64,
        /// What was asked.
        expected: u32,
        /// What came.
        got: usize,
    },
}

#[derive(Debug)]
struct Request {
    client: ClientId,
    sequence: u64,
    cookie: u64,
    operation: Operation,
    modifiers: Modifiers,
    offset: u64,
    length: u32,
    /// Payload of a write, or what was read so far of a read in several pieces.
    bytes: Vec<u8>,
    plan: Plan,
    /// The step under way and how much of it has been issued, in bytes.
    step: usize,
    issued: u32,
    /// Entries with the VCP.
    outstanding: u32,
    status: Status,
    abandoned: bool,
}

#[derive(Debug)]
struct Piece {
    tag: u64,
    request: usize,
    operation: Operation,
    offset: u64,
    length: u32,
    loan: Option<Loan>,
    /// The block being changed, once it has been read.
    block: Vec<u8>,
    modify: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Table {
    limits: Limits,
    geometry: Option<Geometry>,
    requests: Slab<Request>,
    pieces: Slab<Piece>,
    /// Requests that still have entries to issue, in order of submission.
    waiting: VecDeque<usize>,
    /// The second half of a modify: goes before everything else.
    rewrite: Option<usize>,
    /// Finished without asking the VCP.
    done: Vec<Finished>,
    payload: usize,
    sequence: u64,
    serial: u64,
    exclusive: bool,
    spare: Vec<Vec<u8>>,
}

/// How much the table takes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries with the VCP at a time; at most 65536.
    pub depth: usize,
    /// Client requests held.
    pub requests: usize,
    /// Payload bytes held. A single larger request is taken when alone.
    pub payload: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 256,
            requests: 1024,
            payload: 64 << 20,
        }
    }
}

/// Buffers kept for reuse, and the largest that is worth keeping.
const SPARE_BUFFERS: usize = 256;
const SPARE_CAPACITY: usize = 2 << 20;

impl Table {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            geometry: None,
            requests: Slab::new(),
            pieces: Slab::new(),
            waiting: VecDeque::new(),
            rewrite: None,
            done: Vec::new(),
            payload: 0,
            sequence: 0,
            serial: 0,
            exclusive: false,
            spare: Vec::new(),
        }
    }

    /// Says what the device is. Before this nothing is issued.
    pub fn set_geometry(&mut self, geometry: Geometry) {
        for (_, request) in &mut self.requests {
            if request.outstanding == 0 && request.step == 0 && request.issued == 0 {
                request.plan =
                    Plan::new(request.operation, request.offset, request.length, &geometry);
            }
        }
        self.geometry = Some(geometry);
    }

    /// What the device is, once known.
    pub fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }

    /// See [`crate::Submit::has_room`].
    pub fn has_room(&self, payload: usize) -> bool {
        self.requests.is_empty()
            || (self.requests.len() < self.limits.requests
                && self.payload + payload <= self.limits.payload)
    }

    /// See [`crate::Submit::submit`].
    pub fn submit(&mut self, client: ClientId, request: ClientRequest) {
        let plan = match &self.geometry {
            Some(geometry) => {
                Plan::new(request.operation, request.offset, request.length, geometry)
            }
            None => Plan::default(),
        };
        self.payload += request.payload.len();
        self.sequence += 1;
        let slot = self.requests.insert(Request {
            client,
            sequence: self.sequence,
            cookie: request.cookie,
            operation: request.operation,
            modifiers: request.modifiers,
            offset: request.offset,
            length: request.length,
            bytes: request.payload,
            plan,
            step: 0,
            issued: 0,
            outstanding: 0,
            status: Status::Ok,
            abandoned: false,
        });
        self.waiting.push_back(slot);
    }

    /// The next entry for the VCP, with room taken in `area`, or `None` when
    /// there is none now. The caller places `Source` and passes the entry on.
    pub fn next(&mut self, area: &mut Area) -> Option<(Entry, Source<'_>)> {
        let geometry = self.geometry.as_ref()?;
        if self.pieces.len() >= self.limits.depth {
            return None;
        }
        if let Some(slot) = self.rewrite {
            return self.issue_rewrite(slot, area);
        }
        if self.exclusive {
            return None;
        }
        let (block, max_transfer) = (geometry.block_size, geometry.max_transfer);
        let (max_discard, max_zeroes) = (geometry.max_discard, geometry.max_write_zeroes);
        let answers_flush = !geometry.write_cache;
        loop {
            let &slot = self.waiting.front()?;
            let request = &mut self.requests[slot];
            let flushed = request.operation == Operation::Flush && answers_flush;
            let Some(step) = request.plan.step(request.step).filter(|_| !flushed) else {
                self.waiting.pop_front();
                if self.requests[slot].outstanding == 0 {
                    let finished = self.finish(slot, false);
                    self.done.extend(finished);
                }
                continue;
            };
            if request.plan.exclusive() {
                if !self.pieces.is_empty() {
                    return None;
                }
                self.exclusive = step.kind == Kind::Modify;
            }
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
        !self.waiting.is_empty() || self.rewrite.is_some()
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
        let needs_room = matches!(operation, Operation::Read | Operation::Write);
        let loan = if needs_room {
            Some(area.take(length)?)
        } else {
            None
        };

        request.issued = (offset + u64::from(length) - step.offset) as u32;
        request.outstanding += 1;
        let stepped = offset + u64::from(length) >= step.offset + u64::from(step.length);
        if stepped {
            request.step += 1;
            request.issued = 0;
        }
        if stepped && request.plan.step(request.step).is_none() {
            self.waiting.pop_front();
        }
        let tag = new_tag(&mut self.serial, self.pieces.vacant_key());
        self.pieces.insert(Piece {
            tag,
            request: slot,
            operation,
            offset,
            length,
            loan,
            block: Vec::new(),
            modify,
        });
        let request = &self.requests[slot];
        let modifiers = if operation == Operation::Read {
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
        self.rewrite = None;
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
        if Some(slot) == self.rewrite {
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
        let loan = piece.loan;
        if piece.modify && read && status == Status::Ok && !self.requests[piece.request].abandoned {
            self.change_block(slot, data);
            return Ok((loan, None));
        }
        let piece = self.pieces.remove(slot);
        if piece.modify {
            self.exclusive = false;
        }
        let block = self.block();
        let request = &mut self.requests[piece.request];
        request.outstanding -= 1;
        if status != Status::Ok && request.status == Status::Ok {
            request.status = status;
        }
        let whole = read && request.offset == piece.offset && request.length == piece.length;
        if read && !whole && !piece.modify && status == Status::Ok {
            collect(request, &piece, data, block);
        }
        let issued_all = request.plan.step(request.step).is_none();
        if request.outstanding > 0 || !(issued_all || request.status != Status::Ok) {
            return Ok((loan, None));
        }
        if !issued_all {
            self.waiting.retain(|&waiting| waiting != piece.request);
        }
        Ok((loan, self.finish(piece.request, whole)))
    }

    /// The block has been read: put the request's bytes into it, and write it.
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
        self.rewrite = Some(slot);
    }

    fn block(&self) -> u64 {
        self.geometry
            .as_ref()
            .map_or(1, |geometry| u64::from(geometry.block_size))
    }

    fn finish(&mut self, slot: usize, whole: bool) -> Option<Finished> {
        let mut request = self.requests.remove(slot);
        let bytes = std::mem::take(&mut request.bytes);
        let is_read = request.operation == Operation::Read;
        if !is_read {
            self.payload -= bytes.len();
        }
        let wanted = is_read && request.status == Status::Ok && !request.abandoned;
        let data = if wanted && whole {
            Data::InPlace
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

    /// The instance is gone: every unanswered request is offered again, from
    /// its beginning, in the order of submission. Room in the old area is
    /// forgotten; the next instance brings an area of its own.
    pub fn restart(&mut self) {
        self.pieces.clear();
        self.rewrite = None;
        self.exclusive = false;
        self.waiting.clear();
        self.requests.retain(|_, request| !request.abandoned);
        let mut order: Vec<_> = self
            .requests
            .iter()
            .map(|(slot, r)| (r.sequence, slot))
            .collect();
        order.sort_unstable();
        for (_, slot) in order {
            let request = &mut self.requests[slot];
            request.step = 0;
            request.issued = 0;
            request.outstanding = 0;
            request.status = Status::Ok;
            self.waiting.push_back(slot);
        }
        let requests = &self.requests;
        let held = |r: &Request| {
            if r.operation == Operation::Read {
                0
            } else {
                r.bytes.len()
            }
        };
        self.payload = requests.iter().map(|(_, r)| held(r)).sum();
    }

    /// A client is gone: what it had not yet issued is dropped, and what is with
    /// the VCP will be finished without an answer.
    pub fn forget(&mut self, client: ClientId) {
        let requests = &mut self.requests;
        let mut dropped = 0;
        self.waiting.retain(|&slot| {
            let request = &mut requests[slot];
            if request.client != client || request.outstanding > 0 || request.step > 0 {
                return true;
            }
            if request.operation != Operation::Read {
                dropped += request.bytes.len();
            }
            requests.remove(slot);
            false
        });
        self.payload -= dropped;
        for (_, request) in requests.iter_mut() {
            request.abandoned |= request.client == client;
        }
        self.done.retain(|finished| finished.client != client);
    }

    /// Ends everything unanswered with `status`: the device won't come back.
    pub fn fail_all(&mut self, status: Status) -> Vec<Finished> {
        self.pieces.clear();
        self.waiting.clear();
        self.rewrite = None;
        self.exclusive = false;
        let slots: Vec<_> = self.requests.iter().map(|(slot, _)| slot).collect();
        let fail = |slot| {
            self.requests[slot].status = status;
            self.finish(slot, false)
        };
        slots.into_iter().filter_map(fail).collect()
    }

    /// Requests held, answered or not.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether no request is held.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Entries with the VCP.
    pub fn outstanding(&self) -> usize {
        self.pieces.len()
    }

    /// See [`crate::Submit::buffer`].
    pub fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.reserve(capacity);
        buffer
    }

    /// Takes back a buffer.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        let worth = (1..=SPARE_CAPACITY).contains(&buffer.capacity());
        if worth && self.spare.len() < SPARE_BUFFERS {
            self.spare.push(buffer);
        }
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

fn new_tag(serial: &mut u64, slot: usize) -> u64 {
    *serial += 1;
    *serial << 16 | (slot as u64 & 0xffff)
}
