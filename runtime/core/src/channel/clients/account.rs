//! The account of one client: its traffic so far, and the memory that it holds.

use vcp_queue::{Awaits, Client};

use crate::limit::{Attached, HALF_REQUEST};
use crate::pool::{FREE, Pool};

/// The fewest bytes that count as progress. With fewer, a peer could keep its memory by
/// moving a byte now and then.
const PIECE: u64 = 64 << 10;

/// The fixed cost of a request when clients take turns, beside its bytes.
const LEAST: u64 = 4096;

/// Requests that each client may have in the table although it is full.
const FREE_REQUESTS: u64 = 32;

/// See the module's documentation.
pub(super) struct Account {
    /// The export that it is attached to, whose limits all of its clients share.
    pub(super) export: Option<Attached>,
    /// Bytes taken from the pools of its export and of the process, beyond [`FREE`].
    pub(super) taken: usize,
    /// Requests so far.
    pub(super) requests: u64,
    /// Those of them that are in the table.
    pub(super) unanswered: u64,
    /// Bytes that it asked to read, and to write.
    pub(super) read: u64,
    pub(super) written: u64,
    /// When it was attached.
    pub(super) since: u64,
    /// What it awaits of its peer, since when, and how many bytes had moved by then.
    pub(super) awaits: Option<(Awaits, u64, u64)>,
}

impl Account {
    pub(super) fn new(export: Option<Attached>, now: u64) -> Self {
        Self {
            export,
            taken: 0,
            requests: 0,
            unanswered: 0,
            read: 0,
            written: 0,
            since: now,
            awaits: None,
        }
    }

    /// Its service so far, as turns count it: its bytes and a fixed cost per request.
    pub(super) fn had(&self) -> u64 {
        self.read + self.written + self.requests * LEAST
    }

    /// Whether it may have one more request in the table, although that is full.
    pub(super) fn has_free(&self) -> bool {
        self.unanswered < FREE_REQUESTS
    }

    /// Whether both pools would let it have so many bytes now.
    pub(super) fn fits(&self, bytes: usize, process: &Pool, now: u64) -> bool {
        let pool = self.export.as_ref().map(|export| export.pool());
        pool.into_iter()
            .chain([process])
            .all(|pool| pool.fits(bytes, now))
    }

    /// Takes so many bytes of both pools, or none.
    pub(super) fn take(&mut self, bytes: usize, process: &Pool, now: u64) -> bool {
        let pool = self.export.as_ref().map(|export| export.pool());
        if pool.is_some_and(|pool| !pool.take(bytes, now)) {
            return false;
        }
        if !process.take(bytes, now) {
            pool.inspect(|pool| pool.give_back(bytes));
            return false;
        }
        self.taken += bytes;
        true
    }

    /// Adjusts both pools to the bytes that it holds, beyond those that are free.
    pub(super) fn settle(&mut self, held: usize, process: &Pool) {
        let due = held.saturating_sub(FREE);
        let (pool, taken) = (self.export.as_ref().map(|export| export.pool()), self.taken);
        for pool in pool.into_iter().chain([process]) {
            if due < taken {
                pool.give_back(taken - due);
            } else if due > taken {
                pool.owe(due - taken);
            }
        }
        self.taken = due;
    }

    /// How long half a request may take, in nanoseconds.
    pub(super) fn half_request(&self) -> u64 {
        let export = self.export.as_ref();
        export.map_or(HALF_REQUEST, |export| export.half_request())
    }

    /// Notes what it awaits of its peer, and begins anew when something has moved.
    pub(super) fn look(&mut self, client: &dyn Client, clock: impl FnOnce() -> u64) {
        let moved = client.moved();
        let nothing = |before: u64| moved.saturating_sub(before) < PIECE;
        self.awaits = match (client.awaits(), self.awaits) {
            (None, _) => None,
            (Some(awaits), Some(before)) if before.0 == awaits && nothing(before.2) => Some(before),
            (Some(awaits), _) => Some((awaits, clock(), moved)),
        };
    }

    /// Whether someone waits for memory that it holds.
    pub(super) fn is_wanted(&self, process: &Pool, now: u64) -> bool {
        let pool = self.export.as_ref().map(|export| export.pool());
        let mut pools = pool.into_iter().chain([process]);
        self.taken > 0 && pools.any(|pool| pool.is_wanted(now))
    }
}
