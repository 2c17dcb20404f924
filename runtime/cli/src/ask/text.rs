//! Reports about one VCP: one line for each fact.

use std::fmt::Write as _;

use vcp_config::ByteSize;
use vcp_control::report::{Crash, CrashLine, Entry, Inspection, Reload};

use super::plain;
use super::table::{described, length, time, whole};

/// Lines of a name and a value.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl AsRef<str>) {
        writeln!(self.0, "{name:17} {}", plain(value.as_ref())).expect("a String takes everything");
    }

    /// Adds several lines under one name.
    fn block(&mut self, name: &str, lines: impl Iterator<Item = String>) {
        let mut lines = lines.peekable();
        if lines.peek().is_some() {
            writeln!(self.0, "{name}").expect("a String takes everything");
        }
        for line in lines {
            let line = format!("  {}", plain(&line));
            writeln!(self.0, "{}", line.trim_end()).expect("a String takes everything");
        }
    }
}

/// The report of `vcp inspect`.
pub(super) fn of_inspection(vcp: &Inspection) -> String {
    let summary = &vcp.summary;
    let mut lines = Lines::default();
    lines.add("name", &summary.name);
    lines.add("host", vcp.pid.to_string());
    lines.add(
        "state",
        with_reason(&summary.state, summary.reason.as_deref()),
    );
    if vcp.refusing {
        lines.add("requests", "refused: the replacement timeout has run out");
    }
    lines.add("module", &summary.module);
    let generation = format!("{}, for {}", summary.generation, length(vcp.instance_ms));
    lines.add("generation", generation);
    lines.add("faults", summary.faults.to_string());
    if let Some(crash) = &vcp.last_fault {
        let fault = format!(
            "crash {} of generation {} at {}: {}",
            crash.number,
            crash.generation,
            time(crash.unix_ms),
            described(crash)
        );
        lines.add("last fault", fault);
    }
    lines.add("uptime", length(summary.uptime_ms));
    if let Some(size) = vcp.size {
        lines.add("size", ByteSize(size).to_string());
    }
    lines.add("memory limit", ByteSize(vcp.memory_limit).to_string());
    lines.add("spare", &vcp.spare);
    lines.add("reload", &vcp.reload);
    if let Some(module) = &vcp.previous_module {
        lines.add("previous module", module);
    }
    lines.add("clients", summary.clients.to_string());
    lines.add("waiting requests", summary.waiting.to_string());
    for memory in &vcp.client_memory {
        let (held, most) = (whole(memory.held), ByteSize(memory.most));
        let of = match &memory.export {
            Some(export) => format!("of export {export}"),
            None => "of all exports of the host".to_owned(),
        };
        lines.add("client memory", format!("{held} of {most}, {of}"));
    }
    for export in &summary.exports {
        lines.add(
            "export",
            format!("{} {}", export.name, export.uris.join(" ")),
        );
        for device in &export.devices {
            lines.add("device", super::attach::described(device));
        }
    }
    let width = vcp.counters.keys().map(String::len).max().unwrap_or(0);
    let counters = vcp.counters.iter();
    lines.block(
        "counters",
        counters.map(|(name, count)| format!("{name:width$}  {count}")),
    );
    lines.block("configuration", vcp.config.lines().map(str::to_owned));
    lines.0
}

fn with_reason(state: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    }
}

/// The report of `vcp logs --crash`.
pub(super) fn of_crash(crash: &Crash) -> String {
    let mut lines = Lines::default();
    lines.add("crash", crash.line.number.to_string());
    lines.add("time", time(crash.line.unix_ms));
    lines.add("fault", with_kind(&crash.line));
    lines.add("module", &crash.module);
    lines.add("generation", crash.line.generation.to_string());
    let never = if crash.ready { "" } else { ", never ready" };
    let ran = std::time::Duration::from_micros(crash.ran_us);
    lines.add("ran for", format!("{ran:?}{never}"));
    lines.add("fuel", crash.fuel.to_string());
    lines.add("memory", ByteSize(crash.memory).to_string());
    let held = format!("{}, held {} entries", crash.unanswered, crash.held);
    lines.add("unanswered", held);
    if let Some(length) = crash.core {
        lines.add(
            "core dump",
            format!("{length} bytes; --core FILE writes it"),
        );
    }
    lines.block("last words", crash.said.iter().cloned());
    lines.block("backtrace", crash.backtrace.iter().cloned());
    lines.block("last queue entries", crash.entries.iter().map(entry));
    lines.0
}

/// The fault that ended an instance, with its kind unless the text begins with that.
fn with_kind(crash: &CrashLine) -> String {
    let described = described(crash);
    let rest = described.strip_prefix(crash.kind.as_str());
    match rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' '])) {
        true => described,
        false => format!("{}: {described}", crash.kind),
    }
}

fn entry(entry: &Entry) -> String {
    let before = std::time::Duration::from_nanos(entry.before_ns).as_secs_f64() * 1e3;
    let mut text = format!(
        "{before:>12.3} ms before, generation {}: {}",
        entry.generation, entry.what
    );
    if let Some(tag) = entry.tag {
        text += &format!(" {tag}");
    }
    if let Some(detail) = &entry.detail {
        text += &format!(" {detail}");
    }
    if let (Some(length), Some(offset)) = (entry.length, entry.offset) {
        text += &format!(" {length} bytes at {offset}");
    }
    text
}

/// The report of `vcp reload`, for a reload that took place.
pub(super) fn of_reload(reload: &Reload) -> String {
    let state = match (reload.handed_over, reload.replayed) {
        (true, _) => "state handed over".to_owned(),
        (false, 0) => "started anew".to_owned(),
        (false, 1) => "started anew, 1 request replayed".to_owned(),
        (false, count) => format!("started anew, {count} requests replayed"),
    };
    format!(
        "{}: generation {}, {state}; requests stood still for {:.3} ms\n",
        plain(&reload.vcp),
        reload.generation,
        std::time::Duration::from_micros(reload.pause_us).as_secs_f64() * 1e3
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_said_once() {
        let said = |kind: &str, fault: &str, injected| {
            with_kind(&CrashLine {
                number: 1,
                unix_ms: 0,
                generation: 1,
                kind: kind.to_owned(),
                fault: fault.to_owned(),
                injected,
            })
        };
        assert_eq!(
            said("trap", "trap: unreachable", false),
            "trap: unreachable"
        );
        assert_eq!(
            said("trap", "trap: unreachable", true),
            "trap: unreachable (injected)"
        );
        assert_eq!(said("injected", "injected", true), "injected");
        assert_eq!(said("stack", "stack overflow", false), "stack overflow");
        assert_eq!(said("init", "initial", false), "init: initial");
        assert_eq!(
            said("fuel", "one call used all", false),
            "fuel: one call used all"
        );
    }
}
