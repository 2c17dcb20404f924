//! Prints the options of the process and the exports.

use super::{inline, key, line, separate, string, strings};
use crate::attach::Attach;
use crate::budget::Limit;
use crate::model::Export;
use crate::nbd::NbdOptions;
use crate::reclaim::HostOptions;

pub(super) fn host_table(out: &mut String, host: &HostOptions, options: &NbdOptions) {
    if *host == HostOptions::default() && *options == NbdOptions::default() {
        return;
    }
    separate(out, "host");
    let flag = |flag: Option<bool>| flag.map(|flag| flag.to_string());
    line(out, "memory-lock", flag(host.memory_lock));
    line(out, "io-flusher", flag(host.io_flusher));
    let score = host.oom_score_adjust.map(|score| score.to_string());
    line(out, "oom-score-adjust", score);
    line(out, "core-dumps", flag(host.core_dumps.then_some(true)));
    line(out, "nbd", nbd(options));
}

fn nbd(nbd: &NbdOptions) -> Option<String> {
    let default = NbdOptions::default();
    let number = |own: u32, default: u32| (own != default).then(|| own.to_string());
    inline(vec![
        ("connections", number(nbd.connections, default.connections)),
        (
            "negotiations",
            number(nbd.negotiations, default.negotiations),
        ),
        (
            "handshake",
            (nbd.handshake != default.handshake).then(|| string(nbd.handshake)),
        ),
        (
            "keep-alive",
            (nbd.keep_alive != default.keep_alive).then(|| string(nbd.keep_alive)),
        ),
        (
            "half-request",
            (nbd.half_request != default.half_request).then(|| string(nbd.half_request)),
        ),
        (
            "memory",
            (nbd.memory != default.memory).then(|| string(nbd.memory)),
        ),
    ])
}

pub(super) fn export_table(out: &mut String, name: &str, export: &Export) {
    separate(out, &format!("export.{}", key(name)));
    let other = (export.vcp.as_str() != name).then(|| string(&export.vcp));
    line(out, "vcp", other);
    line(
        out,
        "nbd",
        (!export.nbd.is_empty()).then(|| strings(&export.nbd)),
    );
    line(
        out,
        "read-only",
        export.read_only.then(|| "true".to_owned()),
    );
    line(out, "description", export.description.as_ref().map(string));
    line(out, "limit", limit(&export.limit));
    let memory = (export.memory != Export::DEFAULT_MEMORY).then(|| string(export.memory));
    line(out, "memory", memory);
    line(out, "socket-mode", export.socket_mode.map(string));
    line(
        out,
        "socket-group",
        export.socket_group.as_ref().map(string),
    );
    line(out, "attach", export.attach.as_ref().map(attach));
}

/// The table has a meaning even without any key.
fn attach(attach: &Attach) -> String {
    let default = Attach::default();
    let keys = vec![
        ("device", attach.device.map(string)),
        (
            "connections",
            (attach.connections != default.connections).then(|| attach.connections.to_string()),
        ),
        ("timeout", attach.timeout.map(string)),
        (
            "dead-timeout",
            (attach.dead_timeout != default.dead_timeout).then(|| string(attach.dead_timeout)),
        ),
        ("identifier", attach.identifier.as_ref().map(string)),
    ];
    inline(keys).unwrap_or_else(|| "{}".to_owned())
}

fn limit(limit: &Limit) -> Option<String> {
    let default = Limit::default();
    inline(vec![
        ("iops", limit.iops.map(|iops| iops.to_string())),
        ("bytes", limit.bytes.map(string)),
        (
            "burst",
            (limit.burst != default.burst).then(|| string(limit.burst)),
        ),
    ])
}
