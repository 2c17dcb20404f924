//! The model: which bytes were moved, in which attempt, and how that attempt ended;
//! and what therefore may be said to whoever submitted the request.

use std::fmt;

use vcp_iscsi_initiator::{Operation, Request, Status};

use super::pattern::Source;
use super::spans::Spans;

pub(super) const BLOCK: u32 = 512;

/// Blocks of the disk that belong to one request alone, by its tag: a command says by
/// its LBA for which request it is.
pub(super) const BLOCKS_PER_TAG: u64 = 32;

/// What the responder was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Write,
    WriteSame,
    Unmap,
    Sync,
}

/// How an attempt was ended, in the sense of SAM-5: what the target said, not whether it
/// is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Done, without a residual.
    Done,
    /// Done, with a residual.
    Residual,
    /// No such command, or not with these fields.
    Unsupported,
    /// Not done.
    Failed,
}

/// One command, as it reached the responder.
#[derive(Debug)]
pub(super) struct Attempt {
    /// The request's tag; none for a SYNCHRONIZE CACHE, and for an UNMAP whose list has
    /// not come yet.
    tag: Option<u64>,
    kind: Kind,
    fua: bool,
    /// Blocks of the request that it is for: the first, and how many.
    blocks: (u32, u32),
    /// Expected data transfer length.
    pub(super) length: u32,
    pub(super) moved: Spans,
    arrived: u64,
    ended: Option<(Outcome, u64)>,
    /// A SYNCHRONIZE CACHE that a request was completed for.
    used: bool,
}

impl Attempt {
    /// Whether it was ended well, and all of its data moved.
    fn is_done(&self) -> bool {
        let well = match self.ended {
            Some((Outcome::Done, _)) => true,
            // Not all targets count the bytes of parameters.
            Some((Outcome::Residual, _)) => !matches!(self.kind, Kind::Read | Kind::Write),
            _ => false,
        };
        well && self.moved.covers(self.length)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, moved, length) = (self.kind, self.moved.count(), self.length);
        write!(f, " {kind:?}: {moved} of {length} bytes, ")?;
        match self.ended {
            Some((outcome, _)) => write!(f, "{outcome:?};"),
            None => f.write_str("not ended;"),
        }
    }
}

/// What a command is, by its CDB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) kind: Kind,
    pub(super) fua: bool,
    /// First block of the disk, and how many.
    pub(super) lba: u64,
    pub(super) blocks: u32,
    pub(super) length: u32,
}

/// A request that is outstanding.
struct Pending {
    request: Request,
    submitted: u64,
    /// For each block, the attempt that moved all of its command and was ended well.
    done: Vec<Option<usize>>,
}

pub(super) struct Ledger {
    attempts: Vec<Attempt>,
    pending: Vec<Pending>,
    /// The order of all events.
    clock: u64,
    /// Whether what was completed may still be lost.
    cache: Cache,
    /// Nothing was said or done yet that is not as it should be.
    pub(super) honest: bool,
}

/// What the logical unit says about a volatile cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cache {
    /// It has one.
    On,
    /// It has none.
    Off,
    /// It doesn't say.
    Silent,
}

impl Ledger {
    pub(super) fn new(cache: Cache) -> Self {
        Self {
            attempts: Vec::new(),
            pending: Vec::new(),
            clock: 0,
            cache,
            honest: true,
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn outstanding(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn submitted(&mut self, request: Request) {
        let blocks = request.length / BLOCK;
        let submitted = self.tick();
        self.pending.push(Pending {
            request,
            submitted,
            done: vec![None; blocks as usize],
        });
    }

    pub(super) fn request(&self, tag: u64) -> Option<&Request> {
        self.find(tag).map(|at| &self.pending[at].request)
    }

    fn find(&self, tag: u64) -> Option<usize> {
        self.pending.iter().position(|p| p.request.tag == tag)
    }

    /// A command has reached the responder.
    pub(super) fn arrived(&mut self, order: &Order) -> usize {
        let arrived = self.tick();
        let id = self.attempts.len();
        self.attempts.push(Attempt {
            tag: None,
            kind: order.kind,
            fua: order.fua,
            blocks: (0, 0),
            length: order.length,
            moved: Spans::default(),
            arrived,
            ended: None,
            used: false,
        });
        if !matches!(order.kind, Kind::Sync | Kind::Unmap) {
            self.place(id, order.lba, order.blocks);
        }
        id
    }

    /// Says which blocks of the disk an attempt is for.
    pub(super) fn place(&mut self, id: usize, lba: u64, blocks: u32) {
        let tag = lba / BLOCKS_PER_TAG;
        let kind = self.attempts[id].kind;
        // The request may have been given up while its command was on its way.
        let Some(at) = self.find(tag) else { return };
        let pending = &self.pending[at];
        let operation = pending.request.operation;
        assert!(
            serves(kind, operation),
            "{kind:?} for {:?}",
            pending.request
        );
        let first = (lba % BLOCKS_PER_TAG) as u32;
        assert!(
            (first + blocks) as usize <= pending.done.len(),
            "a command beyond the end of {:?}",
            pending.request
        );
        self.attempts[id].tag = Some(tag);
        self.attempts[id].blocks = (first, blocks);
    }

    pub(super) fn attempt(&mut self, id: usize) -> &mut Attempt {
        &mut self.attempts[id]
    }

    /// What the data of an attempt that comes to the responder must be from `offset` on;
    /// `None`: whatever it is.
    pub(super) fn is_data_of(&self, id: usize, offset: u32, data: &[u8]) -> bool {
        let attempt = &self.attempts[id];
        let request = attempt.tag.and_then(|tag| self.request(tag));
        match (attempt.kind, request) {
            (Kind::Write, Some(request)) if request.operation == Operation::Write => {
                Source::Owner(request.tag).is_of(attempt.blocks.0 * BLOCK + offset, data)
            }
            (Kind::Write | Kind::WriteSame, _) => data.iter().all(|&b| b == 0),
            _ => true,
        }
    }

    /// The initiator is being told how an attempt ended. What is said of it afterwards
    /// doesn't count.
    pub(super) fn ended(&mut self, id: usize, outcome: Outcome) {
        let now = self.tick();
        let attempt = &mut self.attempts[id];
        if attempt.ended.is_some() {
            return;
        }
        attempt.ended = Some((outcome, now));
        if attempt.kind == Kind::Sync
            && outcome == Outcome::Unsupported
            && self.cache == Cache::Silent
        {
            // It never said that there is a cache, and has no command for one.
            self.cache = Cache::Off;
        }
        if !attempt.is_done() {
            return;
        }
        let (tag, (first, blocks)) = (attempt.tag, attempt.blocks);
        let Some(at) = tag.and_then(|tag| self.find(tag)) else {
            return;
        };
        self.pending[at].done[first as usize..][..blocks as usize].fill(Some(id));
    }

    /// The initiator says how a request ended, and `room` is what lies in its memory.
    pub(super) fn completed(&mut self, tag: u64, status: Status, room: &[u8]) -> Request {
        let at = self
            .find(tag)
            .unwrap_or_else(|| panic!("request {tag} is not outstanding"));
        let pending = self.pending.swap_remove(at);
        let request = pending.request;
        if status != Status::Ok {
            // Not every disk can discard, and that needs no command to know.
            let refused = request.operation == Operation::Discard && status == Status::NotSupported;
            assert!(
                !self.honest || refused,
                "{request:?} came to {status:?} for no reason"
            );
            return request;
        }
        for block in 0..pending.done.len() {
            self.check_block(&pending, block as u32, room);
        }
        self.check_durable(&pending);
        request
    }

    /// Whether a block of a request was moved, by count and by offset.
    fn check_block(&self, pending: &Pending, block: u32, room: &[u8]) {
        let request = &pending.request;
        let id = pending.done[block as usize].unwrap_or_else(|| {
            let attempts = self.attempts_of(request.tag);
            panic!("{request:?} is Ok, but no attempt moved its block {block}:{attempts}")
        });
        if request.operation == Operation::Read {
            let from = block * BLOCK;
            let offset = from - self.attempts[id].blocks.0 * BLOCK;
            let bytes = &room[from as usize..][..BLOCK as usize];
            assert!(
                Source::Attempt(id).is_of(offset, bytes),
                "{request:?} is Ok, but its block {block} is not what attempt {id} sent"
            );
        }
    }

    /// What was tried for a request, for messages.
    fn attempts_of(&self, tag: u64) -> String {
        let mine = self.attempts.iter().filter(|a| a.tag == Some(tag));
        mine.map(Attempt::to_string).collect()
    }

    /// Whether what was to be durable is.
    fn check_durable(&mut self, pending: &Pending) {
        let request = &pending.request;
        let since = match request.operation {
            Operation::Flush => Some(pending.submitted),
            Operation::Read => None,
            _ if request.fua => self.last_without_fua(pending),
            _ => None,
        };
        let Some(since) = since.filter(|_| self.cache != Cache::Off) else {
            return;
        };
        // The earliest that will do: it is of the least use to others.
        let sync = self.attempts.iter_mut().find(|attempt| {
            let done = attempt.kind == Kind::Sync && attempt.is_done();
            done && !attempt.used && attempt.arrived > since
        });
        match sync {
            Some(sync) => sync.used = true,
            None => panic!("{request:?} is Ok, but the cache was not written"),
        }
    }

    /// When the last of the attempts ended that moved a request without the FUA bit.
    fn last_without_fua(&self, pending: &Pending) -> Option<u64> {
        let attempts = pending.done.iter().flatten().map(|id| &self.attempts[*id]);
        attempts
            .filter(|attempt| !attempt.fua)
            .filter_map(|attempt| attempt.ended.map(|(_, at)| at))
            .max()
    }
}

/// Whether a command can be part of what was asked for.
fn serves(kind: Kind, operation: Operation) -> bool {
    matches!(
        (kind, operation),
        (Kind::Read, Operation::Read)
            | (Kind::Write, Operation::Write | Operation::WriteZeroes)
            | (Kind::WriteSame, Operation::WriteZeroes | Operation::Discard)
            | (Kind::Unmap, Operation::Discard)
    )
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
