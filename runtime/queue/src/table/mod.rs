//! The request table: every client request from its submission to its answer.
//!
//! It belongs to the host and outlives any instance of the VCP. It holds the
//! only authoritative copy of unanswered write payloads, cuts requests into
//! queue entries that suit the device, and after a restart offers every
//! unanswered request again in the order of submission.
//!
//! The table does no I/O and touches no guest memory: [`Table::next`] says what
//! to place where, [`Table::complete`] is given the bytes that came back.

mod clock;
mod complete;
mod end;
mod entry;
mod issue;
mod overlap;
mod request;
mod suspect;
mod turns;

use std::collections::{BTreeSet, VecDeque};

use slab::Slab;

use crate::block::{Geometry, Status};
use crate::client::ClientRequest;
use crate::plan::Plan;
use request::{Piece, Request};
use turns::Turns;

pub use clock::Expired;
pub use entry::{ClientId, Data, Entry, Finished, Source, Violation};
pub use suspect::{Blame, Condemned};

/// See the module's documentation.
#[derive(Debug)]
pub struct Table {
    limits: Limits,
    geometry: Option<Geometry>,
    requests: Slab<Request>,
    pieces: Slab<Piece>,
    /// Requests that still have entries to issue.
    waiting: Turns,
    /// Pieces that change a block in part.
    modifies: Vec<usize>,
    /// Pieces of these whose block has been read and changed: they go before everything
    /// else.
    rewrites: VecDeque<usize>,
    /// Requests that were finished without asking the VCP.
    done: Vec<Finished>,
    sequence: u64,
    serial: u64,
    /// Whether nothing new goes to the VCP.
    draining: bool,
    /// Requests that have a deadline, the earliest first. Empty while all is well.
    clocks: BTreeSet<(u64, usize)>,
    /// Requests that instances may have died of, in the order in which they are tried.
    suspects: VecDeque<usize>,
    /// Whether suspects may be tried, after the requests submitted up to `before_trials`.
    trials: bool,
    before_trials: u64,
    /// The suspect that is being tried: nothing else goes to the VCP meanwhile.
    alone: Option<usize>,
    /// The suspect that was being tried when the last instance died.
    culprit: Option<usize>,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
}

/// The limits of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries with the VCP at a time; at most 65536.
    pub depth: usize,
    /// Client requests held before the table says that it is full.
    pub requests: usize,
    /// The instances that die holding a request before it is tried by itself; at least 1.
    pub suspect_after: u8,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 256,
            requests: 1024,
            suspect_after: 3,
        }
    }
}

/// Bytes of buffers kept for reuse.
const SPARE: usize = 16 << 20;

impl Table {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            geometry: None,
            requests: Slab::new(),
            pieces: Slab::new(),
            waiting: Turns::default(),
            modifies: Vec::new(),
            rewrites: VecDeque::new(),
            done: Vec::new(),
            sequence: 0,
            serial: 0,
            draining: false,
            clocks: BTreeSet::new(),
            suspects: VecDeque::new(),
            trials: true,
            before_trials: 0,
            alone: None,
            culprit: None,
            spare: Vec::new(),
            spare_bytes: 0,
        }
    }

    /// Sets the geometry of the device. Before this nothing is issued.
    pub fn set_geometry(&mut self, geometry: Geometry) {
        for (_, request) in &mut self.requests {
            if request.outstanding == 0 && request.step == 0 && request.issued == 0 {
                request.plan =
                    Plan::new(request.operation, request.offset, request.length, &geometry);
            }
        }
        self.geometry = Some(geometry);
    }

    /// The geometry of the device, once it is known.
    pub fn geometry(&self) -> Option<&Geometry> {
        self.geometry.as_ref()
    }

    /// Sets the most entries with the VCP at a time; those that are there already stay. 0 is
    /// taken for 1.
    pub fn set_depth(&mut self, depth: usize) {
        self.limits.depth = depth.max(1);
    }

    /// Whether it holds as many requests as it was made for. It takes more: the caller
    /// decides whose.
    pub fn is_full(&self) -> bool {
        self.requests.len() >= self.limits.requests
    }

    /// See [`crate::Submit::submit`].
    pub fn submit(&mut self, client: ClientId, request: ClientRequest) {
        let plan = match &self.geometry {
            Some(geometry) => {
                Plan::new(request.operation, request.offset, request.length, geometry)
            }
            None => Plan::default(),
        };
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
            replayed: false,
            deadline: None,
            blame: 0,
        });
        self.waiting.push(client, slot);
    }

    /// Takes a request out of the table, and out of everything that refers to it but
    /// `waiting` and `suspects`.
    fn remove(&mut self, slot: usize) -> Request {
        let request = self.requests.remove(slot);
        if let Some(deadline) = request.deadline {
            self.clocks.remove(&(deadline, slot));
        }
        for known in [&mut self.alone, &mut self.culprit] {
            *known = known.filter(|&other| other != slot);
        }
        request
    }

    /// Requests held, answered or not.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether no request is held.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// While draining, nothing new is issued: only what an entry with the VCP
    /// needs to be finished.
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// Entries with the VCP.
    pub fn outstanding(&self) -> usize {
        self.pieces.len()
    }

    /// A tag that no entry so far exceeds, and every later one does.
    pub fn newest_tag(&self) -> u64 {
        self.serial << 16 | 0xffff
    }

    /// See [`crate::Submit::buffer`].
    pub fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= buffer.capacity();
        buffer.clear();
        buffer.reserve(capacity);
        buffer
    }

    /// Takes back a buffer.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        let size = buffer.capacity();
        if size > 0 && self.spare_bytes + size <= SPARE {
            self.spare_bytes += size;
            self.spare.push(buffer);
        }
    }
}
