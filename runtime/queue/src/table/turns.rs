//! Which client's request goes to the VCP next.
//!
//! Clients take turns by what they have had: each queue entry is charged to its client, and
//! the client that was charged least is next. So a client that keeps a thousand requests
//! waiting delays another's only one by an entry, and two that ask for the same get the
//! same, whatever the size of their requests (start-time fair queueing: Goyal, Vin and
//! Cheng, 1996). Requests of one client stay in the order of their submission.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ClientId;

/// The least that an entry costs, in bytes, however little data it has.
const LEAST: u64 = 4096;

/// Requests that still have entries to issue, by client.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lanes: BTreeMap<ClientId, Lane>,
    /// The clients that have requests waiting, by what they were charged.
    order: BTreeSet<(u64, ClientId)>,
    /// What the client that was served last had been charged before.
    clock: u64,
    /// A request that goes before all others.
    first: Option<usize>,
}

/// The waiting requests of one client.
#[derive(Debug, Default)]
struct Lane {
    /// The requests, in the order of submission.
    slots: VecDeque<usize>,
    charged: u64,
}

impl Turns {
    /// Adds a request, the last of its client.
    pub(super) fn push(&mut self, client: ClientId, slot: usize) {
        let lane = self.lanes.entry(client).or_default();
        if lane.slots.is_empty() {
            // Time in which it wanted nothing gains it nothing.
            lane.charged = lane.charged.max(self.clock);
            self.order.insert((lane.charged, client));
        }
        lane.slots.push_back(slot);
    }

    /// Puts a request before all others.
    pub(super) fn put_first(&mut self, slot: usize) {
        self.first = Some(slot);
    }

    /// The request that goes before all others, if there is one.
    pub(super) fn first(&self) -> Option<usize> {
        self.first
    }

    /// The oldest request of each client, in the order of their turns.
    pub(super) fn heads(&self) -> impl Iterator<Item = usize> + '_ {
        let heads = self.order.iter();
        let heads = heads.filter_map(|(_, client)| self.lanes[client].slots.front().copied());
        self.first.into_iter().chain(heads)
    }

    /// Charges a client for an entry with so many bytes of data that goes to the VCP.
    pub(super) fn charge(&mut self, client: ClientId, bytes: u32) {
        let Some(lane) = self.lanes.get_mut(&client) else {
            return;
        };
        self.clock = self.clock.max(lane.charged);
        let waits = self.order.remove(&(lane.charged, client));
        lane.charged += u64::from(bytes).max(LEAST);
        if waits {
            self.order.insert((lane.charged, client));
        }
    }

    /// Removes a request that has nothing left to issue. It may be anywhere, and is most
    /// often the oldest of its client.
    pub(super) fn remove(&mut self, client: ClientId, slot: usize) {
        if self.first == Some(slot) {
            self.first = None;
            return;
        }
        let Some(lane) = self.lanes.get_mut(&client) else {
            return;
        };
        if lane.slots.front() == Some(&slot) {
            lane.slots.pop_front();
        } else {
            lane.slots.retain(|&other| other != slot);
        }
        if lane.slots.is_empty() {
            self.order.remove(&(lane.charged, client));
        }
    }

    /// Keeps only the requests of which this is true.
    pub(super) fn retain(&mut self, mut stays: impl FnMut(usize) -> bool) {
        self.first = self.first.filter(|&slot| stays(slot));
        for (client, lane) in &mut self.lanes {
            lane.slots.retain(|&slot| stays(slot));
            if lane.slots.is_empty() {
                self.order.remove(&(lane.charged, *client));
            }
        }
    }

    /// Replaces all waiting requests by these, given in the order of submission. What
    /// clients were charged is remembered.
    pub(super) fn replace(&mut self, all: impl IntoIterator<Item = (ClientId, usize)>) {
        self.clear();
        for (client, slot) in all {
            self.push(client, slot);
        }
    }

    /// Removes all waiting requests.
    pub(super) fn clear(&mut self) {
        self.retain(|_| false);
    }

    /// Forgets what a client that is gone was charged, once nothing of it waits.
    pub(super) fn forget(&mut self, client: ClientId) {
        if let Some(lane) = self.lanes.get(&client)
            && lane.slots.is_empty()
        {
            self.lanes.remove(&client);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none() && self.order.is_empty()
    }
}
