//! Requests that are suspected of killing instances.
//!
//! The requests that a dying instance held are offered to the next. If one of them is what
//! kills, it would kill that one too, with all that others asked beside it. So requests that
//! several instances died with are set apart and tried one by one: a harmless one is
//! answered then, and one that kills does so alone. The caller says whether that is then
//! answered with an error ([`Table::condemn`]) or tried again, and when, until its deadline
//! comes.

use super::request::Request;
use super::{ClientId, Finished, Table};
use crate::block::{Operation, Status};

/// How much the death of an instance says about the requests that it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It died of something; the next may not.
    Crash,
    /// It answered nothing for as long as it is given. Another hang would take as long
    /// again, so its requests are not offered together a second time.
    Hang,
}

/// A request that an instance died of while it held nothing else.
#[derive(Debug)]
pub struct Condemned {
    /// The client whose request it was.
    pub client: ClientId,
    /// The operation that it asked for.
    pub operation: Operation,
    /// Bytes from the start of the device.
    pub offset: u64,
    /// The length in bytes.
    pub length: u32,
    /// The answer for the client.
    pub finished: Option<Finished>,
}

impl Request {
    /// Whether `after` instances died holding it, or one hung.
    pub(super) fn is_suspect(&self, after: u8) -> bool {
        self.blame >= after
    }
}

impl Table {
    /// Blames the requests that the instance held when it died; [`Table::restart`] follows.
    pub fn blame(&mut self, blame: Blame) {
        self.culprit = self.alone.filter(|_| self.tries_suspect());
        let weight = match blame {
            Blame::Crash => 1,
            Blame::Hang => self.limits.suspect_after,
        };
        for (_, request) in &mut self.requests {
            if request.outstanding > 0 {
                request.blame = request.blame.saturating_add(weight);
            }
        }
    }

    /// Whether the instance holds one suspect and nothing else.
    pub fn tries_suspect(&self) -> bool {
        self.alone
            .is_some_and(|slot| self.requests[slot].outstanding > 0)
    }

    /// Ends the suspect that the last instance died of while it held nothing else, if there
    /// is one, with `status`; to be called after [`Table::restart`].
    pub fn condemn(&mut self, status: Status) -> Option<Condemned> {
        let slot = self.culprit.take()?;
        self.waiting.retain(|other| other != slot);
        self.suspects.retain(|&other| other != slot);
        let request = &mut self.requests[slot];
        request.status = status;
        let (client, operation) = (request.client, request.operation);
        let (offset, length) = (request.offset, request.length);
        Some(Condemned {
            client,
            operation,
            offset,
            length,
            finished: self.finish(slot, false),
        })
    }

    /// Sets whether suspects are tried. While they are not, the other requests go on without
    /// them. When they are, the requests that wait by then go first.
    pub fn set_trials(&mut self, allowed: bool) {
        self.trials = allowed;
        self.before_trials = self.sequence;
    }

    /// Takes note that the instance waits for something. If it does so with the suspect that
    /// is being tried, then that one keeps it waiting, and does not kill it: the others need
    /// not wait for it, nor for each other.
    pub fn acquit(&mut self) {
        if self.alone.take().is_none() {
            return;
        }
        for (_, request) in &mut self.requests {
            request.blame = 0;
        }
        let requests = &self.requests;
        let mut all = Vec::new();
        self.waiting.retain(|slot| {
            all.push(slot);
            false
        });
        all.extend(self.suspects.drain(..));
        all.sort_unstable_by_key(|&slot| requests[slot].sequence);
        let all = all.into_iter().map(|slot| (requests[slot].client, slot));
        self.waiting.replace(all);
    }

    /// Lines up all requests to be offered: in order, and among suspects those with the
    /// least blame first.
    pub(super) fn line_up(&mut self) {
        let after = self.limits.suspect_after;
        let mut order: Vec<_> = self
            .requests
            .iter()
            .map(|(slot, request)| (request.blame, request.sequence, slot))
            .collect();
        order.sort_unstable_by_key(|&(_, sequence, _)| sequence);
        let (mut suspects, others): (Vec<_>, Vec<_>) = order
            .into_iter()
            .partition(|&(.., slot)| self.requests[slot].is_suspect(after));
        suspects.sort_by_key(|&(blame, ..)| blame);
        let others = others.into_iter().map(|(.., slot)| slot);
        let requests = &self.requests;
        self.waiting
            .replace(others.map(|slot| (requests[slot].client, slot)));
        self.suspects = suspects.into_iter().map(|(.., slot)| slot).collect();
        self.before_trials = self.sequence;
    }

    /// Whether nothing may be issued, because a suspect is being tried or about to be. If
    /// the next one can be tried, it is put at the head of the waiting requests.
    pub(super) fn others_must_wait(&mut self) -> bool {
        if let Some(alone) = self.alone {
            return self.waiting.first() != Some(alone);
        }
        let Some(&suspect) = self.suspects.front().filter(|_| self.trials) else {
            return false;
        };
        let mut next = self.waiting.heads();
        if next.any(|slot| self.requests[slot].sequence <= self.before_trials) {
            return false;
        }
        drop(next);
        if !self.pieces.is_empty() {
            return true;
        }
        self.suspects.pop_front();
        self.waiting.put_first(suspect);
        self.alone = Some(suspect);
        false
    }
}
