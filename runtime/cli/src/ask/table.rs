//! Reports as tables: a line of headings, then one line each, in columns.

use std::time::{Duration, SystemTime};

use vcp_config::ByteSize;
use vcp_control::report::{Clients, CrashLine, Host, Logs, Summary};

use super::plain;

/// The table of `vcp ps`.
pub(super) fn of_vcps(hosts: &[Host]) -> String {
    let headings = [
        "HOST", "NAME", "STATE", "GEN", "FAULTS", "UPTIME", "CPU", "SHARE", "CLIENTS", "WAITING",
        "MODULE", "DEVICES", "EXPORTS",
    ];
    let mut rows = Vec::new();
    for host in hosts {
        rows.extend(host.vcps.iter().map(|vcp| row(host.pid, vcp)));
    }
    columns(headings, &rows)
}

fn row(pid: u32, vcp: &Summary) -> [String; 13] {
    let uris: Vec<&str> = vcp
        .exports
        .iter()
        .flat_map(|export| export.uris.iter().map(String::as_str))
        .collect();
    let devices: Vec<&str> = vcp
        .exports
        .iter()
        .flat_map(|export| export.devices.iter().map(|device| device.device.as_str()))
        .collect();
    [
        pid.to_string(),
        vcp.name.clone(),
        vcp.state.clone(),
        vcp.generation.to_string(),
        vcp.faults.to_string(),
        length(vcp.uptime_ms),
        length(vcp.cpu_ms),
        vcp.share.clone().unwrap_or_default(),
        vcp.clients.to_string(),
        vcp.waiting.to_string(),
        vcp.module.clone(),
        devices.join(","),
        uris.join(" "),
    ]
}

/// The table of `vcp clients`.
pub(super) fn of_clients(clients: &Clients) -> String {
    let headings = [
        "CLIENT", "EXPORT", "SINCE", "REQUESTS", "OPEN", "READ", "WRITTEN", "HELD", "PEER", "WAITS",
    ];
    let rows: Vec<_> = clients
        .clients
        .iter()
        .map(|client| {
            [
                client.id.to_string(),
                client.export.clone(),
                length(client.since_ms),
                client.requests.to_string(),
                client.unanswered.to_string(),
                ByteSize(client.read_bytes).to_string(),
                ByteSize(client.written_bytes).to_string(),
                whole(client.held).to_string(),
                client.peer.clone(),
                client.waits.clone().unwrap_or_default(),
            ]
        })
        .collect();
    columns(headings, &rows)
}

/// A size in whole KiB: the exact byte does not matter for memory.
pub(super) fn whole(bytes: u64) -> ByteSize {
    ByteSize(bytes.div_ceil(1024).saturating_mul(1024))
}

/// The table of `vcp logs`.
pub(super) fn of_crashes(logs: &Logs) -> String {
    let row = |crash: &CrashLine| {
        [
            crash.number.to_string(),
            time(crash.unix_ms),
            crash.generation.to_string(),
            crash.kind.clone(),
            described(crash),
        ]
    };
    let rows: Vec<_> = logs.crashes.iter().map(row).collect();
    columns(["CRASH", "TIME", "GEN", "KIND", "FAULT"], &rows)
}

/// The fault that ended an instance, and whether an operator injected it.
pub(super) fn described(crash: &CrashLine) -> String {
    match crash.injected && crash.fault != "injected" {
        true => format!("{} (injected)", crash.fault),
        false => crash.fault.clone(),
    }
}

/// Aligns all columns but the last, two spaces between them.
fn columns<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let mut lines = vec![headings.map(str::to_owned)];
    let shown = |row: &[String; N]| row.each_ref().map(|cell| filled(plain(cell)));
    lines.extend(rows.iter().map(shown));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("{cell:width$}  ");
        }
        out += text.trim_end();
        out.push('\n');
    }
    out
}

/// Fills empty cells, so that programs find the columns.
fn filled(cell: String) -> String {
    if cell.is_empty() {
        "-".to_owned()
    } else {
        cell
    }
}

/// A length of time in whole seconds, or exactly when it is shorter than one.
pub(super) fn length(milliseconds: u64) -> String {
    let exact = Duration::from_millis(milliseconds);
    let shown = match exact.as_secs() {
        0 => exact,
        seconds => Duration::from_secs(seconds),
    };
    humantime::format_duration(shown)
        .to_string()
        .replace(' ', "")
}

/// A point in time, in UTC.
pub(super) fn time(unix_ms: u64) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    // RFC 3339 cannot express years beyond 9999.
    let known = time.filter(|_| unix_ms < 253_402_300_800_000);
    known.map_or("?".to_owned(), |time| {
        humantime::format_rfc3339_millis(time).to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_none_is_empty() {
        let rows = [
            ["a".to_owned(), "long value".to_owned(), "x y".to_owned()],
            ["\u{1b}[31mred".to_owned(), String::new(), String::new()],
        ];
        assert_eq!(
            columns(["ONE", "TWO", "THREE"], &rows),
            "ONE       TWO         THREE\n\
             a         long value  x y\n\
             \u{fffd}[31mred  -           -\n"
        );
    }

    #[test]
    fn times_and_lengths() {
        assert_eq!(length(12), "12ms");
        assert_eq!(length(3_723_004), "1h2m3s");
        assert_eq!(time(1_795_381_200_123), "2026-11-22T21:00:00.123Z");
        assert_eq!(time(u64::MAX), "?");
    }
}
