//! The last minute of snapshots, and the rates between one and the next.

use std::collections::VecDeque;

use crate::snapshot::{Snapshot, Vcp};

/// The newest snapshots of one host, at most [`History::LENGTH`], oldest first.
#[derive(Debug, Clone, Default)]
pub struct History {
    snapshots: VecDeque<Snapshot>,
}

/// The rates of a VCP between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// CPU time per time: 1 is one CPU.
    pub cpu: f64,
    /// Client requests answered a second.
    pub iops: f64,
    /// Bytes that clients asked for a second.
    pub bandwidth: Bandwidth,
    /// Queue entries per call; 0 without calls.
    pub batch: f64,
    /// The cause that it waited for most, and that time per time; it can be above 1, where
    /// several clients waited.
    pub stall: (&'static str, f64),
}

/// Bytes a second.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bandwidth {
    /// Read.
    pub read: f64,
    /// Written.
    pub written: f64,
}

impl History {
    /// A snapshot for each second of a minute, and the one before, at which rates begin.
    pub const LENGTH: usize = 61;

    /// Adds a newer snapshot. A snapshot of another process begins a new history.
    pub fn push(&mut self, snapshot: Snapshot) {
        let newer = self.latest().is_none_or(|last| {
            last.pid == snapshot.pid && last.monotonic_ns < snapshot.monotonic_ns
        });
        if !newer {
            self.snapshots.clear();
        }
        if self.snapshots.len() == Self::LENGTH {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back(snapshot);
    }

    /// The newest snapshot.
    pub fn latest(&self) -> Option<&Snapshot> {
        self.snapshots.back()
    }

    /// The rates of this VCP between the last two snapshots; zero before there
    /// are two that know it.
    pub fn rates(&self, vcp: &str) -> Rates {
        self.all_rates(vcp).last().flatten().unwrap_or_default()
    }

    /// The rates between each two snapshots, oldest first; `None` where the VCP was not
    /// there.
    pub fn all_rates<'a>(&'a self, vcp: &'a str) -> impl Iterator<Item = Option<Rates>> + 'a {
        let find = move |snapshot: &'a Snapshot| snapshot.vcps.iter().find(|v| v.name == vcp);
        let pairs = self.snapshots.iter().zip(self.snapshots.iter().skip(1));
        pairs.map(move |(before, after)| {
            let time = after.monotonic_ns.saturating_sub(before.monotonic_ns);
            Some(Rates::between(find(before)?, find(after)?, time))
        })
    }

    /// CPU time of the whole host per time, between the last two snapshots.
    pub fn host_cpu(&self) -> f64 {
        let mut newest = self.snapshots.iter().rev();
        match (newest.next(), newest.next()) {
            (Some(after), Some(before)) => {
                let time = after.monotonic_ns.saturating_sub(before.monotonic_ns);
                per(time, before.process.cpu_ns, after.process.cpu_ns)
            }
            _ => 0.0,
        }
    }
}

/// The increase per nanosecond.
fn per(nanos: u64, before: u64, after: u64) -> f64 {
    after.saturating_sub(before) as f64 / nanos.max(1) as f64
}

impl Rates {
    /// The rates from `before` to `after`, `nanos` later.
    pub fn between(before: &Vcp, after: &Vcp, nanos: u64) -> Self {
        let (old, new) = (&before.counters, &after.counters);
        let second = |before, after| per(nanos, before, after) * 1e9;
        let calls = new.calls.saturating_sub(old.calls);
        let entries = new.entries.saturating_sub(old.entries);
        let stalls = before
            .stalls
            .causes()
            .into_iter()
            .zip(after.stalls.causes());
        let stall = stalls
            .map(|((cause, before), (_, after))| (cause, per(nanos, before, after)))
            .max_by(|one, other| one.1.total_cmp(&other.1));
        Self {
            cpu: per(nanos, old.cpu_ns, new.cpu_ns),
            iops: second(old.completed, new.completed),
            bandwidth: Bandwidth {
                read: second(old.read_bytes, new.read_bytes),
                written: second(old.written_bytes, new.written_bytes),
            },
            batch: if calls == 0 {
                0.0
            } else {
                entries as f64 / calls as f64
            },
            stall: stall.filter(|(_, part)| *part > 0.0).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Counters, Stalls};

    /// A snapshot after this many seconds of a steady load.
    fn after(seconds: u64) -> Snapshot {
        let vcp = Vcp {
            name: "disk0".into(),
            counters: Counters {
                cpu_ns: seconds * 300_000_000,
                calls: seconds * 100,
                entries: seconds * 250,
                completed: seconds * 200,
                read_bytes: seconds * 4096,
                ..Counters::default()
            },
            stalls: Stalls {
                waiting_ns: seconds * 100_000_000,
                throttled_ns: seconds * 250_000_000,
                ..Stalls::default()
            },
            ..Vcp::default()
        };
        let mut snapshot = Snapshot {
            pid: 1,
            monotonic_ns: 5_000_000_000 + seconds * 1_000_000_000,
            vcps: vec![vcp],
            ..Snapshot::default()
        };
        snapshot.process.cpu_ns = seconds * 500_000_000;
        snapshot
    }

    #[test]
    fn rates_are_by_the_time_that_passed() {
        let mut history = History::default();
        history.push(after(0));
        assert_eq!(history.rates("disk0"), Rates::default());
        history.push(after(1));
        history.push(after(3));
        let rates = history.rates("disk0");
        assert_eq!((rates.cpu, rates.iops, rates.batch), (0.3, 200.0, 2.5));
        assert_eq!(rates.bandwidth.read, 4096.0);
        assert_eq!(rates.stall, ("throttled", 0.25));
        assert_eq!(history.host_cpu(), 0.5);
        assert_eq!(history.all_rates("disk0").count(), 2);
        assert!(history.all_rates("disk1").all(|rates| rates.is_none()));
    }

    #[test]
    fn a_history_is_a_minute_of_one_host() {
        let mut history = History::default();
        for second in 0..200 {
            history.push(after(second));
        }
        assert_eq!(history.all_rates("disk0").count(), 60);
        let other = Snapshot {
            pid: 2,
            ..after(200)
        };
        history.push(other.clone());
        assert_eq!(history.all_rates("disk0").count(), 0);
        // The clock of another boot, or the same moment again.
        history.push(other);
        assert_eq!(history.all_rates("disk0").count(), 0);
        assert_eq!(history.rates("disk0"), Rates::default());
    }

    #[test]
    fn what_goes_back_is_no_rate() {
        let (mut old, new) = (after(5), after(6));
        old.vcps[0].counters.cpu_ns = u64::MAX;
        let rates = Rates::between(&old.vcps[0], &new.vcps[0], 0);
        assert_eq!(rates.cpu, 0.0);
        assert!(rates.iops.is_finite());
    }
}
