//! Conversion of the core's reports to those of the control socket.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use vcp_control::report::{Crash, CrashLine, Entry, Inspection, Reload, Summary};
use vcp_core::{CrashReport, ReloadState, State, Stats, What};

use super::{Controlled, Reloading};
use crate::exports;

pub(super) fn summary(name: &str, vcp: &Controlled, started: Instant) -> Summary {
    let status = vcp.device.vcp.status();
    let stats = vcp.device.vcp.stats();
    let share = vcp
        .config()
        .vcps
        .values()
        .next()
        .and_then(|vcp| vcp.cpu.share);
    Summary {
        name: name.to_owned(),
        state: status.state.word().to_owned(),
        reason: match status.state {
            State::Suspended(why) | State::Held(why) => Some(why),
            _ => None,
        },
        generation: status.generation,
        module: status.module,
        faults: stats.faults,
        uptime_ms: millis(started.elapsed()),
        clients: stats.clients,
        waiting: stats.unanswered,
        cpu_ms: (stats.reserved_ns + stats.slack_ns) / 1_000_000,
        share: share.map(|share| share.to_string()),
        exports: vcp.exports.clone(),
    }
}

/// The report on a reload; `generation` is the current instance.
pub(super) fn reload(vcp: &str, outcome: &Reloading, generation: u32) -> Reload {
    let stays = Reload {
        vcp: vcp.to_owned(),
        replaced: false,
        generation,
        handed_over: false,
        pause_us: 0,
        replayed: 0,
        reason: None,
    };
    match outcome {
        Reloading::Replaced(reloaded) => Reload {
            replaced: true,
            generation: reloaded.generation,
            handed_over: reloaded.handed_over,
            pause_us: micros(reloaded.pause),
            replayed: reloaded.replayed as u64,
            ..stays
        },
        Reloading::NotStarted(why) | Reloading::RolledBack(why) => Reload {
            reason: Some(why.clone()),
            ..stays
        },
    }
}

pub(super) fn inspection(name: &str, vcp: &Controlled, started: Instant) -> Inspection {
    let status = vcp.device.vcp.status();
    let summary = summary(name, vcp, started);
    let config = vcp.config();
    let spare = match (vcp.spare, status.spare) {
        (false, _) => "off",
        (true, false) => "preparing",
        (true, true) => "ready",
    };
    let reload = match status.reload {
        ReloadState::None => "none",
        ReloadState::Preparing => "preparing",
        ReloadState::Draining => "draining",
        ReloadState::Trial => "trial",
    };
    Inspection {
        summary,
        pid: std::process::id(),
        instance_ms: millis(status.since.elapsed().unwrap_or_default()),
        size: match &*vcp.device.state.borrow() {
            exports::State::Ready(geometry) => Some(geometry.size),
            _ => None,
        },
        memory_limit: vcp.device.vcp.stats().memory_limit,
        spare: spare.to_owned(),
        refusing: status.refusing,
        reload: reload.to_owned(),
        previous_module: status.previous,
        last_fault: vcp.device.vcp.reports().last().map(|report| line(report)),
        client_memory: Vec::new(),
        counters: counters(&vcp.device.vcp.stats()),
        config: config.to_toml(),
    }
}

fn counters(stats: &Stats) -> BTreeMap<String, u64> {
    let counters = [
        ("calls", stats.calls),
        ("fuel", stats.fuel),
        ("queue-entries", stats.requests),
        ("held", stats.held),
        ("completed", stats.completed),
        ("frames-in", stats.frames_in),
        ("frames-out", stats.frames_out),
        ("frames-dropped", stats.frames_dropped),
        ("bytes-read", stats.read_bytes),
        ("bytes-written", stats.written_bytes),
        ("cpu-reserved-ns", stats.reserved_ns),
        ("cpu-slack-ns", stats.slack_ns),
        ("stall-throttled-ns", stats.throttled_ns),
        ("stall-waiting-ns", stats.waiting_ns),
        ("stall-limited-ns", stats.limited_ns),
        ("stall-queue-full-ns", stats.full_ns),
        ("stall-no-instance-ns", stats.outage_ns),
    ];
    counters
        .map(|(name, count)| (name.to_owned(), count))
        .into()
}

pub(super) fn line(report: &CrashReport) -> CrashLine {
    let since = report.time.duration_since(SystemTime::UNIX_EPOCH);
    CrashLine {
        number: report.number,
        unix_ms: millis(since.unwrap_or_default()),
        generation: report.generation,
        kind: report.fault.kind().to_owned(),
        fault: report.fault.to_string(),
        injected: report.injected,
    }
}

pub(super) fn crash(report: &CrashReport) -> Crash {
    Crash {
        line: line(report),
        module: report.module.clone(),
        backtrace: report.backtrace.lines().map(str::to_owned).collect(),
        said: report.said.clone(),
        ran_us: micros(report.ran),
        ready: report.ready,
        fuel: report.fuel,
        memory: report.memory as u64,
        held: report.held as u64,
        unanswered: report.unanswered as u64,
        entries: report.recent.iter().map(|e| entry(e, report.at)).collect(),
        core: report.core.as_ref().map(|dump| dump.len() as u64),
    }
}

fn entry(entry: &vcp_core::Entry, crashed_at: u64) -> Entry {
    let mut told = Entry {
        before_ns: crashed_at.saturating_sub(entry.at),
        generation: entry.generation,
        what: String::new(),
        tag: None,
        detail: None,
        offset: None,
        length: None,
    };
    let what = match entry.what {
        What::Request {
            tag,
            operation,
            offset,
            length,
        } => {
            told.tag = Some(tag);
            told.detail = Some(words(operation));
            told.offset = Some(offset);
            told.length = Some(length);
            "request"
        }
        What::Completion { tag, status } => {
            told.tag = Some(tag);
            told.detail = Some(words(status));
            "completion"
        }
        What::Ready => "ready",
        What::Suspended => "suspended",
    };
    told.what = what.to_owned();
    told
}

/// Spells a variant such as `WriteZeroes` as `write-zeroes`.
fn words(variant: impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for c in format!("{variant:?}").chars() {
        if c.is_uppercase() && !words.is_empty() {
            words.push('-');
        }
        words.extend(c.to_lowercase());
    }
    words
}

pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn micros(length: Duration) -> u64 {
    u64::try_from(length.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_words() {
        assert_eq!(words(vcp_queue::Operation::WriteZeroes), "write-zeroes");
        assert_eq!(words(vcp_queue::Status::Ok), "ok");
    }
}
