//! One client's view of the table, for as long as it is read from: what it may take
//! off its socket, and why it may not take more.

use std::sync::Arc;

use vcp_queue::{
    Answer, ClientId, ClientRequest, Data, Finished, Operation, Status, Submit, Table,
};

use super::{Account, Stop};
use crate::clock::now;
use crate::pool::{FREE, Pool};

/// How soon a client that waits for memory looks again, in nanoseconds: other VCPs give
/// theirs back without notice.
pub(super) const LOOK_AGAIN: u64 = 2_000_000;

/// How soon a client that waits for a limit looks again at the latest, in nanoseconds.
const LOOK_AT_LIMIT: u64 = 100_000_000;

/// The least that a request counts for when clients take turns, in bytes.
const LEAST: i64 = 4096;

/// How a client may be read from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// Bytes that it may ask for before others have their turn; `None` if no other waits.
    pub(super) allowance: Option<i64>,
    /// Take only what each client may have although others wait before it.
    pub(super) least_only: bool,
}

/// See the module's documentation.
pub(super) struct Queue<'a> {
    pub(super) id: ClientId,
    pub(super) table: &'a mut Table,
    pub(super) account: &'a mut Account,
    pub(super) process: &'a Arc<Pool>,
    pub(super) turn: Turn,
    /// Why it was told to stop.
    pub(super) stop: Option<Stop>,
    /// The answers to refused requests, when the VCP is stopping.
    pub(super) refused: Option<&'a mut Vec<Finished>>,
    pub(super) read: u64,
    pub(super) written: u64,
}

impl Queue<'_> {
    /// Why it may not take a request that makes it hold `held` bytes; `None` if it may.
    fn refuses(&mut self, held: usize) -> Option<Stop> {
        if self.turn.allowance.is_some_and(|left| left <= 0) {
            return Some(Stop::Turn);
        }
        let time = now();
        if let Some(export) = &self.account.export {
            let opens = export.opens(time);
            if opens > time {
                return Some(Stop::Limit {
                    since: time,
                    // The limit may be changed meanwhile.
                    until: opens.min(time + LOOK_AT_LIMIT),
                });
            }
        }
        if !self.account.has_free() && (self.turn.least_only || self.table.is_full()) {
            return Some(Stop::Room);
        }
        let more = held.saturating_sub(FREE).saturating_sub(self.account.taken);
        if more > 0 && (self.turn.least_only || !self.account.take(more, self.process, time)) {
            return Some(Stop::Memory {
                more,
                until: time + LOOK_AGAIN,
            });
        }
        None
    }
}

impl Submit for Queue<'_> {
    fn admit(&mut self, held: usize) -> bool {
        if self.refused.is_some() {
            return true;
        }
        self.stop = self.refuses(held);
        self.stop.is_none()
    }

    fn submit(&mut self, request: ClientRequest) {
        if let Some(refused) = &mut self.refused {
            refused.push(Finished {
                client: self.id,
                cookie: request.cookie,
                status: Status::ShuttingDown,
                data: Data::None,
            });
            return self.table.recycle(request.payload);
        }
        let length = match request.operation {
            // The length of the range says nothing about the size of the answer.
            Operation::Extents => 0,
            _ => request.length,
        };
        let bytes = u64::from(length);
        if let Some(export) = &self.account.export {
            export.charge(bytes, now());
        }
        if let Some(left) = &mut self.turn.allowance {
            *left -= i64::from(length).max(LEAST);
        }
        match request.operation {
            Operation::Read => self.read += bytes,
            Operation::Write => self.written += bytes,
            _ => {}
        }
        self.account.requests += 1;
        self.account.unanswered += 1;
        self.table.submit(self.id, request);
    }

    fn spend(&mut self, bytes: u32) {
        if self.refused.is_some() {
            return;
        }
        if let Some(export) = &self.account.export {
            export.charge(u64::from(bytes), now());
        }
        if let Some(left) = &mut self.turn.allowance {
            *left -= i64::from(bytes).max(LEAST);
        }
        self.account.requests += 1;
    }

    fn buffer(&mut self, capacity: usize) -> Vec<u8> {
        self.table.buffer(capacity)
    }
}

/// The answer that a client gets for a finished request.
pub(super) fn answer<'a>(finished: &'a Finished, in_place: &'a [u8]) -> Answer<'a> {
    let data = match &finished.data {
        Data::None => &[],
        Data::InPlace => in_place,
        Data::Buffer {
            bytes,
            start,
            length,
        } => &bytes[*start..*start + *length],
    };
    Answer {
        cookie: finished.cookie,
        status: finished.status,
        data,
    }
}
