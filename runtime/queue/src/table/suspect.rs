//! Requests that may be what instances die of.
//!
//! What a dying instance held is offered to the next. If one of these requests is
//! what kills, it would kill that one too, with all that others asked beside it. So
//! what was held by several that died is tried by itself, after everything else:
//! what is harmless is answered then, and what kills does so alone, until its
//! deadline comes.

use std::collections::VecDeque;

use super::Table;
use super::request::Request;

/// How much the death of an instance says about what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It died of something; the next may not.
    Crash,
    /// It answered nothing for as long as it is given. Finding that out once more
    /// takes as long again, so nothing is offered beside these a second time.
    Hang,
}

/// From this on a request is a suspect: that many crashes, or one hang.
const SUSPECT: u8 = 2;

impl Request {
    pub(super) fn is_suspect(&self) -> bool {
        self.blame >= SUSPECT
    }
}

impl Table {
    /// The instance died with what it holds; [`Table::restart`] follows.
    pub fn blame(&mut self, blame: Blame) {
        let weight = match blame {
            Blame::Crash => 1,
            Blame::Hang => SUSPECT,
        };
        for (_, request) in &mut self.requests {
            if request.outstanding > 0 {
                request.blame = request.blame.saturating_add(weight);
            }
        }
    }

    /// The instance says that it waits for something. If it does so with the suspect
    /// that is being tried, then that one keeps it waiting, and does not kill it: the
    /// others need not wait for it, nor for each other.
    pub fn acquit(&mut self) {
        if self.alone.take().is_some() {
            for (_, request) in &mut self.requests {
                request.blame = 0;
            }
        }
    }

    /// All requests as they are to be offered: suspects last, those with the least
    /// against them first.
    pub(super) fn in_order(&self) -> VecDeque<usize> {
        let rank = |(slot, request): (usize, &Request)| {
            let blame = if request.is_suspect() {
                request.blame
            } else {
                0
            };
            (blame, request.sequence, slot)
        };
        let mut order: Vec<_> = self.requests.iter().map(rank).collect();
        order.sort_unstable();
        order.into_iter().map(|(.., slot)| slot).collect()
    }

    /// Whether the request at the head of those that wait has to wait until others
    /// are done, because it or what is under way is a suspect. If not and it is
    /// one, it is being tried from now on.
    pub(super) fn others_must_be_done(&mut self, slot: usize) -> bool {
        match self.alone {
            Some(alone) => alone != slot,
            None if !self.requests[slot].is_suspect() => false,
            None if self.pieces.is_empty() => {
                self.alone = Some(slot);
                false
            }
            None => true,
        }
    }
}
