//! Errors in `[vcp.*]`.

use super::{check, error, with};

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
        with("restart = { poison-after = \"often\" }"),
        "host.toml:3:28: vcp.ram.restart.poison-after: expected a number from 1 to 100, or \"never\", found \"often\"",
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
        "host.toml:3:12: vcp.ram.watchdog: expected a table such as { call = \"200ms\", progress = \"60s\" }, found a string",
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
        with("net = { link = \"tap:t\", address = \"10.0.0.2/24\", allow = [\"10.0.0.0/24\"] }"),
        "host.toml:3:58: vcp.ram.net.allow: only with link \"host\": over frames the VCP reaches all that is there",
    );
    check(
        with("net = { link = \"host\", allow = [\"10.0.0.0/24\", \"fd00::1/8\"] }"),
        "host.toml:3:48: vcp.ram.net.allow: expected the first address of a network, found \"fd00::1/8\"; fd00::/8 is the one it is in",
    );
    check(
        with("net = { link = \"host\", allow = \"10.0.0.0/33\" }"),
        "host.toml:3:32: vcp.ram.net.allow: expected a network such as \"10.0.0.0/24\" or \"fd00::/8\", or an address without a prefix, found \"10.0.0.0/33\"",
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
