//! The request `stats`: all counters at one moment.

use std::time::SystemTime;

use vcp_meter::{
    Budget, Counters, Export, Histogram, Limit, Log, Process, Processor, Snapshot, Stalls, Vcp,
};

use super::{Control, Controlled, Vcps, tell};
use crate::budget;

impl Control {
    /// The resources that everything has used so far.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let all = self.vcps();
        let vcps = all.iter();
        Snapshot {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            unix_ms: tell::millis(since.unwrap_or_default()),
            monotonic_ns: tell::nanos(self.started.elapsed()),
            process: Process::read(),
            log: log(),
            exports: vcps
                .clone()
                .flat_map(|(name, vcp)| exports(name, vcp))
                .collect(),
            vcps: vcps.map(|(name, vcp)| self.vcp(name, vcp, &all)).collect(),
        }
    }

    fn vcp(&self, name: &str, controlled: &Controlled, all: &Vcps) -> Vcp {
        let status = controlled.device.vcp.status();
        let stats = controlled.device.vcp.stats();
        let config = controlled.config();
        let settings = config.vcps.values().next();
        let budget = settings.map(|vcp| (budget::budget(&vcp.cpu), vcp));
        Vcp {
            name: name.to_owned(),
            state: status.state.word().to_owned(),
            generation: status.generation,
            module: status.module,
            processor: processor(name, controlled, all),
            budget: budget.map_or_else(Budget::default, |(budget, vcp)| Budget {
                share: vcp.cpu.share.map_or(0, vcp_config::Percent::basis_points),
                period_ns: budget.period,
                slack_weight: budget.slack,
            }),
            counters: Counters {
                cpu_ns: stats.reserved_ns + stats.slack_ns,
                cpu_reserved_ns: stats.reserved_ns,
                cpu_slack_ns: stats.slack_ns,
                fuel: stats.fuel,
                calls: stats.calls,
                entries: stats.requests,
                completed: stats.completed,
                frames_in: stats.frames_in,
                frames_out: stats.frames_out,
                frames_dropped: stats.frames_dropped,
                read_bytes: stats.read_bytes,
                written_bytes: stats.written_bytes,
                faults: stats.faults,
                restarts: u64::from(stats.generation.saturating_sub(1)),
                low_space: stats.low_space,
            },
            stalls: Stalls {
                throttled_ns: stats.throttled_ns,
                waiting_ns: stats.waiting_ns,
                limited_ns: stats.limited_ns,
                queue_full_ns: stats.full_ns,
                no_instance_ns: stats.outage_ns,
            },
            clients: stats.clients,
            unanswered: stats.unanswered,
            held: stats.held,
            queue_depth: settings.map_or(0, |vcp| u64::from(vcp.queue_depth)),
            batches: histogram(&stats.batches),
            depths: histogram(&stats.depths),
            memory_bytes: stats.memory,
            memory_limit_bytes: stats.memory_limit,
        }
    }
}

/// The VCP's channel processor and its other VCPs: those pinned to the same CPU share a
/// thread.
fn processor(name: &str, controlled: &Controlled, all: &Vcps) -> Processor {
    let pin = &controlled.pin;
    let shares = |other: &Controlled| pin.len() == 1 && other.pin == *pin;
    let others = all.iter().filter(|(other, _)| *other != name);
    Processor {
        cpus: pin
            .iter()
            .filter_map(|cpu| u32::try_from(*cpu).ok())
            .collect(),
        beside: others
            .filter(|(_, other)| shares(other))
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

fn exports(vcp: &str, controlled: &Controlled) -> Vec<Export> {
    let told = controlled.limits.iter().map(|(name, limit)| {
        let (rates, totals) = (limit.rates(), limit.totals());
        Export {
            name: name.clone(),
            vcp: vcp.to_owned(),
            clients: totals.clients,
            requests: totals.requests,
            bytes: totals.bytes,
            limit: Limit {
                iops: rates.iops,
                bytes: rates.bytes,
                burst_ns: tell::nanos(rates.burst),
            },
            limited_ns: totals.limited_ns,
        }
    });
    told.collect()
}

fn log() -> Log {
    let (lost, left_out) = crate::logging::missing();
    Log { lost, left_out }
}

fn histogram(sizes: &vcp_core::Histogram) -> Histogram {
    Histogram::new(sizes.buckets, sizes.sum)
}
