//! What a channel counts for those who ask: sizes of batches and depths of the queue,
//! bytes, and the time that requests stood still, by cause.

use std::sync::atomic::Ordering;

use vcp_supervisor::Phase;

use super::Channel;
use crate::clock::now;

/// Since when something stands still.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// Requests wait, and no instance is there that serves them all.
    outage: Option<u64>,
    /// Clients wait for room in the queue.
    full: Option<u64>,
}

impl Channel {
    /// Counts at the end of a turn.
    pub(super) fn count(&mut self) {
        let time = now();
        let outage = self.supervisor.phase() != Phase::Ready && !self.table.is_empty();
        let full = self.clients.any_blocked();
        let counters = &self.shared.counters;
        let still = &mut self.still;
        for (since, stands, counter) in [
            (&mut still.outage, outage, &counters.outage_ns),
            (&mut still.full, full, &counters.full_ns),
        ] {
            if let Some(since) = *since {
                counter.fetch_add(time.saturating_sub(since), Ordering::Relaxed);
            }
            *since = stands.then_some(time);
        }
        let held = self.table.outstanding();
        counters.depths.add(held);
        let memory = self.guest.as_ref().map_or(0, |guest| guest.memory_size());
        for (counter, value) in [
            (&counters.memory, memory as u64),
            (&counters.clients, self.clients.len() as u64),
            (&counters.unanswered, self.table.len() as u64),
            (&counters.held, held as u64),
            (&counters.limited_ns, self.clients.limited_ns),
            (&counters.read_bytes, self.clients.read_bytes),
            (&counters.written_bytes, self.clients.written_bytes),
        ] {
            counter.store(value, Ordering::Relaxed);
        }
    }
}
