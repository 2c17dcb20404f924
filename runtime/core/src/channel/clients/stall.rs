//! Clients whose peers keep them waiting, in the middle of a request or by taking no
//! answers.
//!
//! Silence is no fault: a peer that asks for nothing may stay for ever, and one that
//! takes no answers as well, as long as nobody needs the memory that they wait in. Half
//! a request has a time to be completed in.

use vcp_queue::{Awaits, ClientError, ClientId, Table};

use super::super::poller::Poller;
use super::{Clients, Stop};
use crate::clock::now;

/// How long a peer may take no answers, or send no more of a request that it began, while
/// others want the memory that this costs, in nanoseconds.
const PATIENCE: u64 = 5_000_000_000;

/// The least patience, in nanoseconds, however many wait.
const LEAST_PATIENCE: u64 = 1_000_000_000;

/// How soon stalled clients are looked at again, in nanoseconds.
const LOOK_AGAIN: u64 = 250_000_000;

impl Clients {
    /// How long a client may keep memory that others want. The more of them wait, the
    /// shorter it is: the last in line waits for all before it.
    fn patience(&self) -> u64 {
        let stops = self.slots.values().filter_map(|slot| slot.stop);
        let waiting = stops.filter(|stop| matches!(stop, Stop::Memory { .. } | Stop::Room));
        (PATIENCE / (1 + waiting.count() as u64)).max(LEAST_PATIENCE)
    }

    /// When the first client has to be looked at.
    pub(in super::super) fn stall_deadline(&self) -> Option<u64> {
        let awaiting = self.slots.values().filter_map(|slot| {
            if slot.is_kept_waiting() {
                return None;
            }
            let (awaits, since, _) = slot.account.awaits?;
            let wanted = (slot.account.taken > 0).then(|| {
                // At the earliest, some time after the last look.
                (since + self.patience()).max(self.looked + LOOK_AGAIN)
            });
            let rest = (awaits == Awaits::Rest).then_some(since);
            let rest = rest.map(|since| since.saturating_add(slot.account.half_request()));
            [wanted, rest].into_iter().flatten().min()
        });
        awaiting.min()
    }

    /// Ends the clients whose peers have kept them waiting for too long.
    pub(in super::super) fn end_stalled(&mut self, table: &mut Table, poller: &Poller) {
        let Some(due) = self.stall_deadline() else {
            return;
        };
        let time = now();
        if due > time {
            return;
        }
        self.looked = time;
        let patience = self.patience();
        let mut ended: Vec<(ClientId, String)> = Vec::new();
        for (id, slot) in &self.slots {
            if slot.is_kept_waiting() {
                continue;
            }
            let Some((awaits, since, _)) = slot.account.awaits else {
                continue;
            };
            let waited = time.saturating_sub(since);
            let wanted = waited >= patience && slot.account.is_wanted(&self.process, time);
            let rest = awaits == Awaits::Rest && waited >= slot.account.half_request();
            let seconds = waited as f64 / 1e9;
            let what = match awaits {
                Awaits::Rest => "it sent half a request and no more of it",
                Awaits::Reader => "it took no answers",
            };
            if wanted {
                let why = format!("{what} for {seconds:.1} s, while others waited for the memory");
                ended.push((*id, why));
            } else if rest {
                ended.push((*id, format!("{what} for {seconds:.1} s")));
            }
        }
        for (id, why) in ended {
            self.remove(id, &ClientError::Ended(why), table, poller);
        }
    }
}
