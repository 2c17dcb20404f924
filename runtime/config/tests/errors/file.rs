//! Errors of the file as a whole, and in `[host]`.

use super::{check, error, with};

#[test]
fn the_file_as_a_whole() {
    check(
        error(""),
        "host.toml:1:1: vcp: expected at least one [vcp.NAME]",
    );
    check(
        error("vcp = 1"),
        "host.toml:1:7: vcp: expected a table, found an integer",
    );
    check(
        error("[vpc.a]\n"),
        "host.toml:1:2: vpc: unknown key (did you mean \"vcp\"?); expected one of: host, vcp, export",
    );
    check(
        error("[vcp.\"a b\"]\nmodule = \"x\""),
        "host.toml:1:6: vcp.\"a b\": expected a name of up to 63 letters, digits, \".\", \"_\" and \"-\" that starts with a letter or digit, found \"a b\"",
    );
    check(
        error("[vcp.a]\n"),
        "host.toml:1:6: vcp.a.module: missing; expected what runs in the VCP, such as \"iscsi\" or a path",
    );
}

#[test]
fn the_process() {
    check(
        error("[host]\nmemory-lok = true\n"),
        "host.toml:2:1: host.memory-lok: unknown key (did you mean \"memory-lock\"?); expected one of: memory-lock, io-flusher, oom-score-adjust, core-dumps, nbd",
    );
    check(
        error("[host]\nio-flusher = \"yes\"\n"),
        "host.toml:2:14: host.io-flusher: expected true or false, found a string",
    );
    check(
        error("[host]\noom-score-adjust = -1001\n"),
        "host.toml:2:20: host.oom-score-adjust: expected a number from -1000 to 1000, found -1001",
    );
    check(
        error("[host]\noom-score-adjust = true\n"),
        "host.toml:2:20: host.oom-score-adjust: expected a number from -1000 to 1000, found a boolean",
    );
}

#[test]
fn the_nbd_servers() {
    check(
        error("[host]\nnbd = true\n"),
        "host.toml:2:7: host.nbd: expected a table such as { connections = 128, keep-alive = \"120s\" }, found a boolean",
    );
    check(
        error("[host]\nnbd.connection = 1\n"),
        "host.toml:2:5: host.nbd.connection: unknown key (did you mean \"connections\"?); expected one of: connections, negotiations, handshake, keep-alive, half-request, memory",
    );
    for key in ["connections", "negotiations"] {
        for value in ["0", "65537"] {
            check(
                error(&format!("[host]\n nbd.{key} = {value}\n")),
                &format!(
                    "host.toml:2:{}: host.nbd.{key}: expected a number from 1 to 65536, found {value}",
                    key.len() + 9
                ),
            );
        }
    }
    check(
        error("[host]\nnbd.handshake = \"11min\"\n"),
        "host.toml:2:17: host.nbd.handshake: expected a time from 100ms to 10min, found \"11min\"",
    );
    check(
        error("[host]\nnbd.handshake = \"never\"\n"),
        "host.toml:2:17: host.nbd.handshake: expected a time with its unit, such as \"50ms\" or \"5s\", found \"never\"",
    );
    check(
        error("[host]\nnbd.keep-alive = 1\n"),
        "host.toml:2:18: host.nbd.keep-alive: expected a time from 2s to 12h, or \"never\", found \"1s\"",
    );
    check(
        error("[host]\nnbd.keep-alive = \"off\"\n"),
        "host.toml:2:18: host.nbd.keep-alive: expected a time such as \"120s\", a number of seconds, or \"never\", found \"off\"",
    );
    check(
        error("[host]\nnbd.half-request = \"99ms\"\n"),
        "host.toml:2:20: host.nbd.half-request: expected a time from 100ms to 1h, found \"99ms\"",
    );
    check(
        error("[host]\nnbd.memory = \"1MiB\"\n"),
        "host.toml:2:14: host.nbd.memory: expected a size from 33MiB to 1TiB, found \"1MiB\"",
    );
}

#[test]
fn text_that_is_no_toml() {
    check(
        error("[vcp.a\n"),
        "host.toml:1:7: unclosed table, expected `]`",
    );
    check(
        error("[vcp.a]\nmodule = \"x\"\nmodule = \"y\"\n"),
        "host.toml:3:1: duplicate key module",
    );
    check(
        error("[vcp.a]\nmodule = \"x\"\n[vcp.a]\n"),
        "host.toml:3:6: duplicate key a",
    );
    check(
        error("[vcp.a]\nmodule = x\n"),
        "host.toml:2:10: string values must be quoted, expected literal string",
    );
}

#[test]
fn unknown_keys() {
    check(
        with("memroy = \"1MiB\""),
        "host.toml:3:1: vcp.ram.memroy: unknown key (did you mean \"memory\"?); expected one of: module, cpu, memory, restart, replacement-timeout, watchdog, reload, crash-reports, config, net, files, queue-depth",
    );
    check(
        with("zzz = 1"),
        "host.toml:3:1: vcp.ram.zzz: unknown key; expected one of: module, cpu, memory, restart, replacement-timeout, watchdog, reload, crash-reports, config, net, files, queue-depth",
    );
    check(
        with("cpu = { shares = \"50%\" }"),
        "host.toml:3:9: vcp.ram.cpu.shares: unknown key (did you mean \"share\"?); expected one of: pin, share, period, slack, poll, coalesce, priority, cgroup",
    );
    check(
        with("restart = { police = \"always\" }"),
        "host.toml:3:13: vcp.ram.restart.police: unknown key (did you mean \"policy\"?); expected one of: policy, min-run, backoff, limit, spare, poison-after",
    );
    check(
        with("net = { link = \"tap:t\", adress = \"10.0.0.2/24\" }"),
        "host.toml:3:25: vcp.ram.net.adress: unknown key (did you mean \"address\"?); expected one of: link, address, gateway, mtu, mac, offload, pcap, host-address, allow",
    );
    check(
        with("files = [{ host = \"/a\", guest = \"/b\", readonly = true }]"),
        "host.toml:3:39: vcp.ram.files.readonly: unknown key (did you mean \"read-only\"?); expected one of: host, guest, read-only",
    );
    check(
        with("[export.ram]\nndb = \"unix:/x\""),
        "host.toml:4:1: export.ram.ndb: unknown key (did you mean \"nbd\"?); expected one of: vcp, nbd, read-only, description, limit, memory, socket-mode, socket-group, attach",
    );
}

#[test]
fn lists_have_an_end() {
    let many = |item: fn(usize) -> String| (0..65).map(item).collect::<Vec<_>>().join(", ");
    let addresses = many(|n| format!("\"10.0.0.{}/24\"", n + 1));
    check(
        with(&format!(
            "net.link = \"tap:t\"\nnet.address = [\n{addresses}]"
        )),
        "host.toml:5:1016: vcp.ram.net.address: more than 64 of them",
    );
    let sockets = many(|n| format!("\"unix:/{n:02}\""));
    check(
        with(&format!("[export.ram]\nnbd = [\n{sockets}]")),
        "host.toml:5:769: export.ram.nbd: more than 64 of them",
    );
}

#[test]
fn columns_count_characters() {
    check(
        error("[vcp.a]\nmodule = \"x\"\ncpu = { \"é\" = 1 }"),
        "host.toml:3:9: vcp.a.cpu.\"é\": unknown key; expected one of: pin, share, period, slack, poll, coalesce, priority, cgroup",
    );
}
