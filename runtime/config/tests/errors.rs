//! Every refusal of a configuration file, as the exact line an operator sees.

use std::path::Path;

use vcp_config::HostConfig;

const TARGET: &str = "config.target = \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"";
const NET: &str = "net = { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }";

fn error(text: &str) -> String {
    match HostConfig::parse(Path::new("host.toml"), text) {
        Ok(config) => panic!("accepted:\n{text}\nas {config:?}"),
        Err(error) => error.to_string(),
    }
}

/// A RAM disk with one more line in its table, which is line 3 of the file.
fn with(line: &str) -> String {
    error(&format!("[vcp.ram]\nmodule = \"ramdisk\"\n{line}\n"))
}

/// As [`with`], for an iSCSI disk: `line` is line 3.
fn iscsi(line: &str) -> String {
    error(&format!("[vcp.disk0]\nmodule = \"iscsi\"\n{line}\n"))
}

#[track_caller]
fn check(found: String, expected: &str) {
    assert_eq!(found, expected);
    assert!(!found.contains('\n'), "one line: {found}");
}

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
        "host.toml:1:2: vpc: unknown key (did you mean \"vcp\"?); expected one of: vcp, export",
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
        "host.toml:3:13: vcp.ram.restart.police: unknown key (did you mean \"policy\"?); expected one of: policy, min-run, backoff, limit, spare",
    );
    check(
        with("net = { link = \"tap:t\", adress = \"10.0.0.2/24\" }"),
        "host.toml:3:25: vcp.ram.net.adress: unknown key (did you mean \"address\"?); expected one of: link, address, gateway, mtu, mac, offload, pcap, host-address",
    );
    check(
        with("files = [{ host = \"/a\", guest = \"/b\", readonly = true }]"),
        "host.toml:3:39: vcp.ram.files.readonly: unknown key (did you mean \"read-only\"?); expected one of: host, guest, read-only",
    );
    check(
        with("[export.ram]\nndb = \"unix:/x\""),
        "host.toml:4:1: export.ram.ndb: unknown key (did you mean \"nbd\"?); expected one of: vcp, nbd, read-only, description, limit, attach",
    );
}

#[test]
fn values_of_a_vcp() {
    check(with("module = 1"), "host.toml:3:1: duplicate key module");
    check(
        error("[vcp.a]\nmodule = 1"),
        "host.toml:2:10: vcp.a.module: expected a string, found an integer",
    );
    check(
        error("[vcp.a]\nmodule = \"Two Words\""),
        "host.toml:2:10: vcp.a.module: expected the name of a built-in module, a path such as \"./disk.wasm\", or \"oci:REFERENCE\", found \"Two Words\"",
    );
    check(
        with("cpu = 1"),
        "host.toml:3:7: vcp.ram.cpu: expected a table such as { pin = [1], share = \"50%\" }, found an integer",
    );
    check(
        with("cpu.share = \"150%\""),
        "host.toml:3:13: vcp.ram.cpu.share: expected a percentage above 0% and up to 100%, such as \"50%\", found \"150%\"",
    );
    check(
        with("cpu.share = 50"),
        "host.toml:3:13: vcp.ram.cpu.share: expected a percentage above 0% and up to 100%, such as \"50%\", found \"50\"",
    );
    check(
        with("cpu = { pin = [1, \"x\"] }"),
        "host.toml:3:19: vcp.ram.cpu.pin: expected a list of CPU numbers such as [1], a string such as \"0,2-3\", \"core\", \"sibling-of:N\", \"numa:N\" or \"any\", found \"x\"",
    );
    check(
        with("cpu = { pin = [] }"),
        "host.toml:3:15: vcp.ram.cpu.pin: expected a list of CPU numbers such as [1], a string such as \"0,2-3\", \"core\", \"sibling-of:N\", \"numa:N\" or \"any\", found []",
    );
    check(
        with("cpu = { pin = [9999] }"),
        "host.toml:3:15: vcp.ram.cpu.pin: expected a list of CPU numbers such as [1], a string such as \"0,2-3\", \"core\", \"sibling-of:N\", \"numa:N\" or \"any\", found [9999]",
    );
    check(
        with("cpu = { pin = \"cores\" }"),
        "host.toml:3:15: vcp.ram.cpu.pin: expected \"any\", \"core\", \"sibling-of:N\", \"numa:N\" or CPU numbers such as [1], \"1\" or \"0,2-3\", found \"cores\"",
    );
    check(
        with("cpu = { pin = true }"),
        "host.toml:3:15: vcp.ram.cpu.pin: expected a list of CPU numbers such as [1], a string such as \"0,2-3\", \"core\", \"sibling-of:N\", \"numa:N\" or \"any\", found a boolean",
    );
    check(
        with("cpu = { period = \"10\" }"),
        "host.toml:3:18: vcp.ram.cpu.period: expected a time with its unit, such as \"50ms\" or \"5s\", found \"10\"",
    );
    check(
        with("cpu = { period = \"2s\" }"),
        "host.toml:3:18: vcp.ram.cpu.period: expected a time from 100us to 1s, found \"2s\"",
    );
    check(
        with("cpu = { slack = \"yes\" }"),
        "host.toml:3:17: vcp.ram.cpu.slack: expected true, false or a weight from 1 to 1000, found \"yes\"",
    );
    check(
        with("memory = \"64MB\""),
        "host.toml:3:10: vcp.ram.memory: expected a size such as \"64MiB\", \"1G\" or a number of bytes, found \"64MB\"",
    );
    check(
        with("memory = 1000000"),
        "host.toml:3:10: vcp.ram.memory: expected a multiple of 64KiB from 1MiB to 4GiB, found \"1000000\"",
    );
    check(
        with("memory = \"8GiB\""),
        "host.toml:3:10: vcp.ram.memory: expected a multiple of 64KiB from 1MiB to 4GiB, found \"8GiB\"",
    );
    check(
        with("memory = true"),
        "host.toml:3:10: vcp.ram.memory: expected a size such as \"64MiB\", \"1G\" or a number of bytes, found \"true\"",
    );
    check(
        with("restart = \"always\""),
        "host.toml:3:11: vcp.ram.restart: expected a table such as { policy = \"always\" }, found a string",
    );
    check(
        with("restart = { policy = \"sometimes\" }"),
        "host.toml:3:22: vcp.ram.restart.policy: expected \"always\" or \"never\", found \"sometimes\"",
    );
    check(
        with("restart = { min-run = 5 }"),
        "host.toml:3:23: vcp.ram.restart.min-run: expected a time with its unit, such as \"50ms\" or \"5s\", found \"5\"",
    );
    check(
        with("restart = { backoff = \"5s..10ms\" }"),
        "host.toml:3:23: vcp.ram.restart.backoff: expected a range of times, lower first, such as \"10ms..5s\", found \"5s..10ms\"",
    );
    check(
        with("queue-depth = 0"),
        "host.toml:3:15: vcp.ram.queue-depth: expected a number from 1 to 4096, found 0",
    );
    check(
        with("queue-depth = \"deep\""),
        "host.toml:3:15: vcp.ram.queue-depth: expected a number from 1 to 4096, found a string",
    );
}

#[test]
fn recovery() {
    check(
        with("restart = { limit = 0 }"),
        "host.toml:3:21: vcp.ram.restart.limit: expected a number from 1 to 1000000, found 0",
    );
    check(
        with("restart = { spare = 1 }"),
        "host.toml:3:21: vcp.ram.restart.spare: expected true or false, found an integer",
    );
    check(
        with("replacement-timeout = \"soon\""),
        "host.toml:3:23: vcp.ram.replacement-timeout: expected a time such as \"120s\", a number of seconds, or \"never\", found \"soon\"",
    );
    check(
        with("replacement-timeout = -1"),
        "host.toml:3:23: vcp.ram.replacement-timeout: expected a time such as \"120s\", a number of seconds, or \"never\", found \"-1\"",
    );
    check(
        with("replacement-timeout = []"),
        "host.toml:3:23: vcp.ram.replacement-timeout: expected a time such as \"120s\", a number of seconds, or \"never\", found an array",
    );
    check(
        with("replacement-timeout = \"8761h\""),
        "host.toml:3:23: vcp.ram.replacement-timeout: expected a time of at most 8760h, or \"never\", found \"8761h\"",
    );
    check(
        with("crash-reports = { keep = 257 }"),
        "host.toml:3:26: vcp.ram.crash-reports.keep: expected a number from 0 to 256, found 257",
    );
    check(
        with("crash-reports = { core-dumps = \"yes\" }"),
        "host.toml:3:32: vcp.ram.crash-reports.core-dumps: expected true or false, found a string",
    );
    check(
        with("crash-reports = { coredumps = true }"),
        "host.toml:3:19: vcp.ram.crash-reports.coredumps: unknown key (did you mean \"core-dumps\"?); expected one of: keep, core-dumps",
    );
}

#[test]
fn watchdogs_and_reloads() {
    check(
        with("watchdog = \"2s\""),
        "host.toml:3:12: vcp.ram.watchdog: expected a table such as { call = \"2s\", progress = \"60s\" }, found a string",
    );
    check(
        with("watchdog = { calls = \"2s\" }"),
        "host.toml:3:14: vcp.ram.watchdog.calls: unknown key (did you mean \"call\"?); expected one of: call, fuel, progress",
    );
    check(
        with("watchdog = { call = \"0s\" }"),
        "host.toml:3:21: vcp.ram.watchdog.call: expected a time from 1ms to 1h, found \"0s\"",
    );
    check(
        with("watchdog = { call = \"never\" }"),
        "host.toml:3:21: vcp.ram.watchdog.call: expected a time with its unit, such as \"50ms\" or \"5s\", found \"never\"",
    );
    check(
        with("watchdog = { fuel = 10 }"),
        "host.toml:3:21: vcp.ram.watchdog.fuel: expected a number from 1000000 to 9223372036854775807, found 10",
    );
    check(
        with("watchdog = { progress = 0 }"),
        "host.toml:3:25: vcp.ram.watchdog.progress: expected a time from 100ms to 24h, found \"0s\"",
    );
    check(
        with("reload = { drain = \"2min\" }"),
        "host.toml:3:20: vcp.ram.reload.drain: expected a time from 0s to 1min, found \"2min\"",
    );
    check(
        with("reload = { ready = \"1ms\" }"),
        "host.toml:3:20: vcp.ram.reload.ready: expected a time from 10ms to 10min, found \"1ms\"",
    );
    check(
        with("reload = { probation = 5 }"),
        "host.toml:3:24: vcp.ram.reload.probation: expected a time with its unit, such as \"50ms\" or \"5s\", found \"5\"",
    );
    check(
        with("reload = { snapshot = true }"),
        "host.toml:3:12: vcp.ram.reload.snapshot: unknown key; expected one of: drain, ready, probation",
    );
}

#[test]
fn settings_of_a_module() {
    check(
        with("config = { size = [1] }"),
        "host.toml:3:19: vcp.ram.config.size: expected a string, a number, true or false, found an array",
    );
    check(
        with("config = { \"a b\" = 1 }"),
        "host.toml:3:12: vcp.ram.config.\"a b\": expected a key of up to 64 letters, digits, \".\", \"_\" and \"-\"",
    );
    check(
        with("config = { password = \"\" }"),
        "host.toml:3:12: vcp.ram.config.password: expected a secret",
    );
    check(
        with("config = { password-file = \"\" }"),
        "host.toml:3:12: vcp.ram.config.password-file: expected a file name",
    );
    check(
        with("config = { password = \"hunter2\", password-file = \"/x\" }"),
        "host.toml:3:34: vcp.ram.config.password-file: \"password\" is given twice",
    );
}

#[test]
fn links() {
    check(
        with("net = \"tap:vcp0\""),
        "host.toml:3:7: vcp.ram.net: expected a table such as { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }, found a string",
    );
    check(
        with("net = { address = \"10.0.0.2/24\" }"),
        "host.toml:3:1: vcp.ram.net.link: missing; expected what carries the frames, such as \"tap:vcp0\"",
    );
    check(
        with("net = { link = \"wire:x\", address = \"10.0.0.2/24\" }"),
        "host.toml:3:16: vcp.ram.net.link: expected a link, \"tap:NAME\", \"packet:IFACE\", \"macvtap:IFACE\", \"pipe:NAME\" or \"host\", found \"wire:x\"",
    );
    check(
        with("net = { link = \"tap:t\" }"),
        "host.toml:3:1: vcp.ram.net.address: missing; expected the VCP's own address on the link, such as \"10.77.0.2/24\"",
    );
    check(
        with("net = { link = \"tap:t\", address = [\"10.0.0.2/24\", \"10.0.0.3\"] }"),
        "host.toml:3:51: vcp.ram.net.address: expected an address with its prefix, such as \"10.77.0.2/24\" or \"fd77::2/64\", found \"10.0.0.3\"",
    );
    check(
        with("net = { link = \"tap:t\", address = 10 }"),
        "host.toml:3:35: vcp.ram.net.address: expected an address with its prefix, such as \"10.77.0.2/24\" or \"fd77::2/64\", found \"10\"",
    );
    check(
        with("net = { link = \"tap:t\", address = \"10.0.0.2/24\", mtu = 499 }"),
        "host.toml:3:56: vcp.ram.net.mtu: expected a number from 500 to 65535, found 499",
    );
    check(
        with("net = { link = \"tap:t\", address = \"10.0.0.2/24\", mtu = \"big\" }"),
        "host.toml:3:56: vcp.ram.net.mtu: expected a number from 500 to 65535, found a string",
    );
    check(
        with("net = { link = \"tap:t\", address = \"10.0.0.2/24\", mac = \"01:00:00:00:00:00\" }"),
        "host.toml:3:56: vcp.ram.net.mac: expected a unicast Ethernet address such as \"02:00:00:00:00:01\", found \"01:00:00:00:00:00\"",
    );
    check(
        with("net = { link = \"tap:t\", address = \"10.0.0.2/24\", gateway = \"10.0.1.1\" }"),
        "host.toml:3:60: vcp.ram.net.gateway: 10.0.1.1 is outside the networks of the VCP's addresses",
    );
    check(
        with("net = { link = \"tap:t\", address = \"10.0.0.2/24\", offload = \"all\" }"),
        "host.toml:3:60: vcp.ram.net.offload: expected \"none\", \"csum\" or \"tso\", found \"all\"",
    );
    check(
        with(
            "net = { link = \"packet:eth0\", address = \"10.0.0.2/24\", host-address = \"10.0.0.1/24\" }",
        ),
        "host.toml:3:71: vcp.ram.net.host-address: only a TAP has a host end to give an address, not packet:eth0",
    );
    check(
        with("net = { link = \"host\", mtu = 1500 }"),
        "host.toml:3:30: vcp.ram.net.mtu: not with link \"host\", where the host's own TCP is used",
    );
}

#[test]
fn directories() {
    check(
        with("files = \"/srv\""),
        "host.toml:3:9: vcp.ram.files: expected a list of directories such as { host = \"/srv/disks\", guest = \"/data\" }, found a string",
    );
    check(
        with("files = [\"/srv\"]"),
        "host.toml:3:10: vcp.ram.files: expected a table such as { host = \"/srv/disks\", guest = \"/data\" }, found a string",
    );
    check(
        with("files = [{ host = \"/srv\" }]"),
        "host.toml:3:10: vcp.ram.files.guest: missing; expected the path under which the VCP finds it, such as \"/data\"",
    );
    check(
        with("files = [{ host = \"\", guest = \"/data\" }]"),
        "host.toml:3:19: vcp.ram.files.host: expected a directory of the host, found \"\"",
    );
    check(
        with("files = [{ host = \"/srv\", guest = \"data\" }]"),
        "host.toml:3:35: vcp.ram.files.guest: expected an absolute path without \".\" or \"..\", such as \"/data\", found \"data\"",
    );
    check(
        with("files = [{ host = \"/srv\", guest = \"/a/../b\" }]"),
        "host.toml:3:35: vcp.ram.files.guest: expected an absolute path without \".\" or \"..\", such as \"/data\", found \"/a/../b\"",
    );
    check(
        with("files = [{ host = \"/srv\", guest = \"/a\" }, { host = \"/x\", guest = \"/a\" }]"),
        "host.toml:3:43: vcp.ram.files: guest: \"/a\" is given twice",
    );
}

#[test]
fn the_iscsi_module() {
    check(
        iscsi(""),
        "host.toml:1:6: vcp.disk0.config.target: missing; expected the target of module \"iscsi\", such as \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"",
    );
    check(
        iscsi(TARGET),
        "host.toml:1:6: vcp.disk0.net: missing; module \"iscsi\" needs a link, such as { link = \"tap:vcp0\", address = \"10.77.0.2/24\" }",
    );
    check(
        iscsi(NET),
        "host.toml:1:6: vcp.disk0.config.target: missing; expected the target of module \"iscsi\", such as \"iscsi://10.77.0.1/iqn.2026-11.example:disk/1\"",
    );
    check(
        iscsi(&format!("{NET}\nconfig.target = \"10.77.0.1\"")),
        "host.toml:4:17: vcp.disk0.config.target: expected iscsi://[user[%password]@]host[:port]/iqn/lun, found no \"iscsi://\"",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig.target = \"iscsi://10.77.0.1/disk/1\""
        )),
        "host.toml:4:17: vcp.disk0.config.target: expected a target name that starts with iqn., eui. or naa., found \"disk\"",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig.target = \"iscsi://[fd00::1]/iqn.a/1\""
        )),
        "host.toml:4:17: vcp.disk0.config.target: fd00::1 can't be reached: net.address has no IPv6 address",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig.target = \"iscsi://joe%hunter2%@h/iqn.a/1\""
        )),
        "host.toml:4:17: vcp.disk0.config.target: expected user or user%password before \"@\", the password with % as %25, @ as %40 and / as %2F",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig = {{ target = \"iscsi://joe@h/iqn.a/1\", user = \"joe\" }}"
        )),
        "host.toml:4:21: vcp.disk0.config.target: \"user\" is given twice, here and as a key of its own",
    );
    check(
        iscsi(&format!(
            "{NET}\nconfig = {{ target = \"iscsi://joe%x@h/iqn.a/1\", password-file = \"/x\" }}"
        )),
        "host.toml:4:21: vcp.disk0.config.target: \"password\" is given twice, here and as a key of its own",
    );
}

#[test]
fn parts_of_the_target_have_no_keys_of_their_own() {
    check(
        iscsi(&format!(
            "{NET}\nconfig = {{ target = \"iscsi://10.0.0.1/iqn.a/1\", lun = 1 }}"
        )),
        "host.toml:4:21: vcp.disk0.config.target: \"lun\" is part of this URI, and not a key of its own",
    );
}

#[test]
fn exports() {
    check(
        with("[export.disk]"),
        "host.toml:3:9: export.disk.vcp: there is no [vcp.disk]",
    );
    check(
        with("[export.rams]"),
        "host.toml:3:9: export.rams.vcp: there is no [vcp.rams] (did you mean \"ram\"?)",
    );
    check(
        with("[export.x]\nvcp = \"rma\""),
        "host.toml:4:7: export.x.vcp: there is no [vcp.rma] (did you mean \"ram\"?)",
    );
    check(
        with("[export.ram]\nnbd = \"/run/x.sock\""),
        "host.toml:4:7: export.ram.nbd: expected an NBD address, \"unix:PATH\" or \"tcp:HOST:PORT\" (IPv6 in brackets), found \"/run/x.sock\"",
    );
    check(
        with("[export.ram]\nnbd = [\"unix:/a\", \"unix:/a\"]"),
        "host.toml:4:19: export.ram.nbd: \"unix:/a\" is given twice",
    );
    check(
        with("[export.ram]\nnbd = [\"unix:/a\", 1]"),
        "host.toml:4:19: export.ram.nbd: expected an NBD address, \"unix:PATH\" or \"tcp:HOST:PORT\" (IPv6 in brackets), found \"1\"",
    );
    check(
        with("[export.ram]\nnbd = \"unix:\""),
        "host.toml:4:7: export.ram.nbd: expected \"unix:PATH\" with a path of 1 to 107 bytes, found \"unix:\"",
    );
    check(
        with("[export.ram]\nread-only = \"no\""),
        "host.toml:4:13: export.ram.read-only: expected true or false, found a string",
    );
    check(
        with("[export.ram]\ndescription = \"two\\nlines\""),
        "host.toml:4:15: export.ram.description: expected one line of at most 4096 bytes, found \"two\\nlines\"",
    );
    check(
        with("[export.\"\"]\nvcp = \"ram\""),
        "host.toml:3:9: export.\"\": expected a name of up to 63 letters, digits, \".\", \"_\" and \"-\" that starts with a letter or digit, found \"\"",
    );
}

#[test]
fn budgets() {
    check(
        with("cpu.slack = 0"),
        "host.toml:3:13: vcp.ram.cpu.slack: expected true, false or a weight from 1 to 1000, found \"0\"",
    );
    check(
        with("cpu = { share = \"10%\", slack = [] }"),
        "host.toml:3:32: vcp.ram.cpu.slack: expected true, false or a weight from 1 to 1000, found an array",
    );
    check(
        with("cpu = { slack = false }"),
        "host.toml:3:17: vcp.ram.cpu.slack: false needs a share: without either the VCP never runs",
    );
    check(
        with("cpu.share = \"33.333%\""),
        "host.toml:3:13: vcp.ram.cpu.share: expected a percentage above 0% and up to 100%, such as \"50%\", found \"33.333%\"",
    );
    check(
        with("cpu.pin = \"sibling-of:\""),
        "host.toml:3:11: vcp.ram.cpu.pin: expected \"any\", \"core\", \"sibling-of:N\", \"numa:N\" or CPU numbers such as [1], \"1\" or \"0,2-3\", found \"sibling-of:\"",
    );
    let poll = "host.toml:3:12: vcp.ram.cpu.poll: expected a time of at most 10ms, such as \"50us\", or \"never\", found";
    for (value, found) in [("\"11ms\"", "11ms"), ("50", "50")] {
        let expected = format!("{poll} {found:?}");
        check(with(&format!("cpu.poll = {value}")), &expected);
    }
    check(
        with("cpu.coalesce = \"2ms\""),
        "host.toml:3:16: vcp.ram.cpu.coalesce: expected a time of at most 1ms, such as \"50us\", or \"never\", found \"2ms\"",
    );
    check(
        with("cpu.priority = \"rr:1\""),
        "host.toml:3:16: vcp.ram.cpu.priority: expected \"fifo:\" and a priority from 1 to 99, found \"rr:1\"",
    );
    check(
        with("cpu.cgroup = \"../host\""),
        "host.toml:3:14: vcp.ram.cpu.cgroup: expected a relative path without \".\" or \"..\", such as \"vcp/disk0\", found \"../host\"",
    );
}

#[test]
fn limits_of_an_export() {
    check(
        with("[export.ram]\nlimit = 1000"),
        "host.toml:4:9: export.ram.limit: expected a table such as { iops = 1000, bytes = \"100MiB\" }, found an integer",
    );
    check(
        with("[export.ram]\nlimit.iop = 1"),
        "host.toml:4:7: export.ram.limit.iop: unknown key (did you mean \"iops\"?); expected one of: iops, bytes, burst",
    );
    check(
        with("[export.ram]\nlimit.iops = 0"),
        "host.toml:4:14: export.ram.limit.iops: expected a number from 1 to 10000000, found 0",
    );
    check(
        with("[export.ram]\nlimit.bytes = \"100MB\""),
        "host.toml:4:15: export.ram.limit.bytes: expected a size such as \"64MiB\", \"1G\" or a number of bytes, found \"100MB\"",
    );
    check(
        with("[export.ram]\nlimit.bytes = 4095"),
        "host.toml:4:15: export.ram.limit.bytes: expected bytes a second from 4KiB to 1TiB, found \"4095\"",
    );
    check(
        with("[export.ram]\nlimit.burst = \"61s\""),
        "host.toml:4:15: export.ram.limit.burst: expected a time from 10ms to 1min, found \"61s\"",
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

#[test]
fn the_device_of_an_export() {
    check(
        with("[export.ram]\nattach = true"),
        "host.toml:4:10: export.ram.attach: expected a table such as { device = \"/dev/nbd0\" }, or {} for any device, found a boolean",
    );
    check(
        with("[export.ram]\nattach.devices = 1"),
        "host.toml:4:8: export.ram.attach.devices: unknown key (did you mean \"device\"?); expected one of: device, connections, timeout, dead-timeout, identifier",
    );
    check(
        with("[export.ram]\nattach.device = \"/dev/sda\""),
        "host.toml:4:17: export.ram.attach.device: expected a whole nbd device such as \"/dev/nbd0\", found \"/dev/sda\"",
    );
    check(
        with("[export.ram]\nattach.connections = 0"),
        "host.toml:4:22: export.ram.attach.connections: expected a number from 1 to 16, found 0",
    );
    check(
        with("[export.ram]\nattach.dead-timeout = \"1500ms\""),
        "host.toml:4:23: export.ram.attach.dead-timeout: expected whole seconds, found \"1500ms\"",
    );
    check(
        with("[export.ram]\nattach.identifier = \"\""),
        "host.toml:4:21: export.ram.attach.identifier: expected one line of 1 to 256 bytes, found \"\"",
    );
}
