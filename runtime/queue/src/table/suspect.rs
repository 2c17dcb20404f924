//! Requests that may be what instances die of.
//!
//! What a dying instance held is offered to the next. If one of these requests is
//! what kills, it would kill that one too, with all that others asked beside it. So
//! what was held by several that died is set apart and tried by itself: what is
//! harmless is answered then, and what kills does so alone: whoever drives the table says
//! whether it is then answered with an error ([`Table::condemn`]) or tried again, and when,
//! until its deadline comes.

use super::request::Request;
use super::{ClientId, Finished, Table};
use crate::block::{Operation, Status};

/// How much the death of an instance says about what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It died of something; the next may not.
    Crash,
    /// It answered nothing for as long as it is given. Finding that out once more
    /// takes as long again, so nothing is offered beside these a second time.
    Hang,
}

/// A request that an instance died of while it held nothing else.
#[derive(Debug)]
pub struct Condemned {
    /// Whose it was.
    pub client: ClientId,
    /// What it asked for.
    pub operation: Operation,
    /// Bytes from the start of the device.
    pub offset: u64,
    /// Bytes.
    pub length: u32,
    /// The answer for the client.
    pub finished: Option<Finished>,
}

impl Request {
    /// Whether it was held in so many deaths, or in one hang.
    pub(super) fn is_suspect(&self, after: u8) -> bool {
        self.blame >= after
    }
}

impl Table {
    /// The instance died with what it holds; [`Table::restart`] follows.
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

    /// Whether all that the instance holds is one suspect.
    pub fn tries_suspect(&self) -> bool {
        self.alone
            .is_some_and(|slot| self.requests[slot].outstanding > 0)
    }

    /// Ends with `status` the suspect that the last instance died of while it held nothing
    /// else, if it did; to be called after [`Table::restart`].
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

    /// Whether suspects are tried from now on. While they are not, the others go on
    /// without them. When they are, those that wait by then go first.
    pub fn set_trials(&mut self, allowed: bool) {
        self.trials = allowed;
        self.before_trials = self.sequence;
    }

    /// The instance says that it waits for something. If it does so with the suspect
    /// that is being tried, then that one keeps it waiting, and does not kill it: the
    /// others need not wait for it, nor for each other.
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

    /// All requests are to be offered: in order, and those with the least against
    /// them first among suspects.
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

    /// Whether nothing may be issued, because a suspect is being tried or about to
    /// be. If the next one can be tried it is at the head of those that wait.
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
