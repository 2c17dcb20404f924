//! Which clients are read from when not all can be served at once.
//!
//! While no client waits, each is read from as soon as it sends something. Once one had to
//! stop, for want of room or for its export's limit, all clients with something to ask for
//! take turns of so many bytes each. A client that took more with a large request sits out
//! as many turns (deficit round robin: Shreedhar and Varghese, 1995). The first turn goes to
//! the client that had least, counting what it waits for. So a small request does not stand
//! behind a hundred large ones, nor a large one for ever behind small ones, whose clients
//! have had as much by then (start-time fair queueing, as in the table: Goyal, Vin and
//! Cheng, 1996). What then waits in the table is served in turns as well, by the table.

use vcp_queue::{ClientId, Table};

use super::super::poller::Poller;
use super::queue::{LOOK_AGAIN, Turn};
use super::{Clients, Slot, Stop};
use crate::clock::now;

/// Bytes of a turn.
const QUANTUM: i64 = 64 << 10;

impl Clients {
    /// Gives a new client its turn, as it may have sent something already. The turn comes
    /// when all are attached that come with it: clients of another process hold memory
    /// already.
    pub(in super::super) fn has_come(&mut self, id: ClientId) {
        if let Some(slot) = self.slots.get_mut(&id)
            && slot.stop.is_none()
        {
            slot.stop = Some(Stop::Turn);
            self.waiting += 1;
        }
    }

    /// A client's socket has something, and may be `broken` as well.
    pub(in super::super) fn readable(
        &mut self,
        id: ClientId,
        broken: bool,
        table: &mut Table,
        poller: &Poller,
    ) {
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let others = self.waiting - usize::from(slot.stop.is_some_and(|stop| stop != Stop::Own));
        if others > 0 && !self.refusing && !broken {
            if slot.stop.is_none() {
                slot.stop = Some(Stop::Turn);
                slot.begin_to_wait(self.clock);
                self.waiting += 1;
            }
            return;
        }
        let turn = Turn {
            allowance: None,
            // A client whose peer is gone is read from to the end, but leaves others their
            // room.
            least_only: others > 0,
        };
        self.receive(id, turn, table, poller);
        // A client that can't be read from and whose peer is gone would be reported by every
        // wait.
        if broken && self.slots.get(&id).is_some_and(|slot| slot.stop.is_some()) {
            self.drop_lost(id, table, poller);
        }
    }

    /// Whether any client waits for room.
    pub(in super::super) fn any_blocked(&self) -> bool {
        let limited = |stop: &Stop| matches!(stop, Stop::Limit { .. } | Stop::Own);
        let mut stops = self.slots.values().filter_map(|slot| slot.stop);
        self.waiting > 0 && stops.any(|stop| !limited(&stop))
    }

    /// Whether a client that had to stop may go on now: perhaps no other event tells of it.
    pub(in super::super) fn can_go_on(&self, table: &Table) -> bool {
        if self.waiting == 0 {
            return false;
        }
        let stops = || self.slots.values().filter_map(|slot| slot.stop);
        // Clients behind one that waits for memory are looked at again together with it.
        let behind = stops().any(|stop| matches!(stop, Stop::Memory { .. }));
        stops().any(|stop| match stop {
            Stop::Turn => true,
            Stop::Room => !behind && !table.is_full(),
            _ => false,
        })
    }

    /// When the first client that waits for a time may go on.
    pub(in super::super) fn limit_deadline(&self) -> Option<u64> {
        if self.waiting == 0 {
            return None;
        }
        let times = self.slots.values().filter_map(|slot| match slot.stop? {
            Stop::Limit { until, .. } | Stop::Memory { until, .. } => Some(until),
            _ => None,
        });
        times.min()
    }

    /// Lets clients go on that had to stop, in turns, as far as there is room.
    pub(in super::super) fn resume(&mut self, table: &mut Table, poller: &Poller) {
        if self.waiting == 0 {
            return;
        }
        let time = now();
        let refusing = self.refusing;
        let due = |stop: Stop| match stop {
            Stop::Limit { until, .. } => until <= time || refusing,
            Stop::Turn | Stop::Room | Stop::Memory { .. } => true,
            Stop::Own => false,
        };
        let all = self.slots.iter();
        let all = all.filter(|(_, slot)| slot.stop.is_some_and(due));
        let place = |slot: &Slot| match slot.stop {
            Some(Stop::Memory { more, .. }) => slot.had.saturating_add(more as u64),
            _ => slot.had,
        };
        let mut round: Vec<_> = all.map(|(id, slot)| (place(slot), *id)).collect();
        round.sort_unstable();
        // Clients behind one that waits for room may not take that room.
        let mut least_only = false;
        while !round.is_empty() {
            let mut next = Vec::new();
            for (place, id) in round {
                match self.take_turn(id, least_only, table, poller) {
                    Outcome::Again => next.push((place, id)),
                    Outcome::Full => least_only = true,
                    Outcome::Over => {}
                }
            }
            round = next;
        }
    }

    /// One turn of one client.
    fn take_turn(
        &mut self,
        id: ClientId,
        least_only: bool,
        table: &mut Table,
        poller: &Poller,
    ) -> Outcome {
        let alone = self.waiting == 1;
        let Some(slot) = self.slots.get_mut(&id) else {
            return Outcome::Over;
        };
        // A look is cheaper than an attempt to read.
        let full = !slot.account.has_free() && (least_only || table.is_full());
        let memory = match slot.stop {
            Some(Stop::Memory { more, .. }) => {
                slot.account.fits(more, &self.process, now()) && !least_only
            }
            _ => true,
        };
        if (full || !memory) && !self.refusing {
            if let Some(Stop::Memory { until, .. }) = &mut slot.stop {
                *until = now() + LOOK_AGAIN;
            }
            return Outcome::Full;
        }
        slot.credit = (slot.credit + QUANTUM).min(QUANTUM);
        if slot.credit <= 0 && !alone {
            return Outcome::Again;
        }
        let before = slot.account.had();
        let turn = Turn {
            allowance: (!alone).then_some(slot.credit),
            least_only,
        };
        let stop = self.receive(id, turn, table, poller);
        if let Some(slot) = self.slots.get_mut(&id) {
            // A client that got nothing keeps its place.
            let got = slot.account.had() - before;
            if got > 0 {
                self.clock = self.clock.max(slot.had);
                slot.had += got;
            }
        }
        match stop {
            Some(Stop::Turn) => Outcome::Again,
            Some(Stop::Room | Stop::Memory { .. }) => Outcome::Full,
            Some(Stop::Limit { .. } | Stop::Own) | None => Outcome::Over,
        }
    }
}

/// The outcome of a turn.
enum Outcome {
    /// It has more to ask for, or sat this turn out.
    Again,
    /// There is no room for it.
    Full,
    /// It is done, or waits for something else.
    Over,
}
