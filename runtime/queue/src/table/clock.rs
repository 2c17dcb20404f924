//! How long each request may still go without an answer.
//!
//! A request has no deadline until the device can't answer it; the caller says when that is,
//! and how long the request has then. Only its answer ends that: neither a device that
//! serves again nor another instance does. The table has no clock: times are arguments, in
//! nanoseconds of one monotonic clock.

use super::{Finished, Table};
use crate::block::Status;

/// The result of [`Table::expire`].
#[derive(Debug)]
pub struct Expired {
    /// The answers for the clients.
    pub finished: Vec<Finished>,
    /// The requests whose time was up, those of clients that are gone included.
    pub count: usize,
    /// Whether the instance held entries of some of them, and may still carry them out: it
    /// has to go. What it held beside them is offered again, as after [`Table::restart`].
    pub issued: bool,
}

impl Table {
    /// Whether there is a request without a deadline.
    pub fn has_timeless(&self) -> bool {
        self.clocks.len() < self.requests.len()
    }

    /// Lets no unanswered request wait longer than to `deadline`. Those that have an earlier
    /// one keep it.
    pub fn set_deadline(&mut self, deadline: u64) {
        for (slot, request) in &mut self.requests {
            if request.deadline.is_some_and(|earlier| earlier <= deadline) {
                continue;
            }
            if let Some(later) = request.deadline.replace(deadline) {
                self.clocks.remove(&(later, slot));
            }
            self.clocks.insert((deadline, slot));
        }
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<u64> {
        self.clocks.first().map(|&(deadline, _)| deadline)
    }

    /// Ends exactly the requests whose deadline has come, with `status`.
    #[must_use = "clients wait for the answers, and the instance may have to go"]
    pub fn expire(&mut self, now: u64, status: Status) -> Expired {
        let due = self.clocks.iter().take_while(|&&(at, _)| at <= now);
        let due: Vec<usize> = due.map(|&(_, slot)| slot).collect();
        let issued = due.iter().any(|&slot| self.requests[slot].outstanding > 0);
        let requests = &self.requests;
        let stays = |slot: usize| requests[slot].deadline.is_none_or(|at| at > now);
        self.waiting.retain(stays);
        self.suspects.retain(|&slot| stays(slot));
        let count = due.len();
        let fail = |slot: usize| {
            self.requests[slot].status = status;
            self.finish(slot, false)
        };
        let finished = due.into_iter().filter_map(fail).collect();
        if issued {
            // None of their tags may be valid any more.
            self.restart();
        }
        Expired {
            finished,
            count,
            issued,
        }
    }
}
