//! The counters of a channel: sizes of batches and depths of the queue,
//! bytes, and the time that requests stood still, by cause.

use std::sync::atomic::Ordering;

use vcp_supervisor::Phase;

use super::Channel;
use crate::clock::now;

/// When the current standstills began, by cause.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// Since when requests wait and no ready instance serves them.
    outage: Option<u64>,
    /// Since when clients wait for room in the queue.
    full: Option<u64>,
}

impl Channel {
    /// Updates the counters at the end of a turn.
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
