//! Errors in `[export.*]`.

use super::{check, with};

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
        "host.toml:3:9: export.\"\": expected the name of an export: 1 to 255 bytes in one line, without space around it or \"/\" in front, found \"\"",
    );
    check(
        with("[export.\" x\"]\nvcp = \"ram\""),
        "host.toml:3:9: export.\" x\": expected the name of an export: 1 to 255 bytes in one line, without space around it or \"/\" in front, found \" x\"",
    );
    check(
        with("[export.\"/dev/nbd0\"]\nvcp = \"ram\""),
        "host.toml:3:9: export.\"/dev/nbd0\": expected the name of an export: 1 to 255 bytes in one line, without space around it or \"/\" in front, found \"/dev/nbd0\"",
    );
    check(
        with("[export.\"iqn.x:ram/1\"]"),
        "host.toml:3:9: export.\"iqn.x:ram/1\".vcp: missing; no VCP can have the name of this export, so say whose it is",
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

#[test]
fn the_memory_of_an_export() {
    for (value, found) in [("\"32MiB\"", "32MiB"), ("\"65GiB\"", "65GiB"), ("1", "1")] {
        check(
            with(&format!("[export.ram]\nmemory = {value}")),
            &format!(
                "host.toml:4:10: export.ram.memory: expected a size from 33MiB to 64GiB, found \"{found}\""
            ),
        );
    }
    check(
        with("[export.ram]\nmemory = true"),
        "host.toml:4:10: export.ram.memory: expected a size such as \"64MiB\", \"1G\" or a number of bytes, found \"true\"",
    );
}

#[test]
fn the_sockets_of_an_export() {
    check(
        with("[export.ram]\nnbd = \"unix:/a\"\nsocket-mode = \"0668\""),
        "host.toml:5:15: export.ram.socket-mode: expected a mode in octal, such as \"0660\", found \"0668\"",
    );
    check(
        with("[export.ram]\nnbd = \"unix:/a\"\nsocket-mode = 660"),
        "host.toml:5:15: export.ram.socket-mode: expected a string, found an integer",
    );
    check(
        with("[export.ram]\nnbd = \"unix:/a\"\nsocket-group = \"a b\""),
        "host.toml:5:16: export.ram.socket-group: expected the name or the number of a group, such as \"disk\", found \"a b\"",
    );
    for nbd in ["", "nbd = \"tcp:[::1]:1\"  "] {
        check(
            with(&format!("[export.ram]\nsocket-mode = \"0660\"\n{nbd}")),
            "host.toml:4:15: export.ram.socket-mode: needs a unix socket to be of, and none is given: nbd = \"unix:PATH\"",
        );
    }
    check(
        with("[export.ram]\nsocket-group = \"disk\""),
        "host.toml:4:16: export.ram.socket-group: needs a unix socket to be of, and none is given: nbd = \"unix:PATH\"",
    );
}

#[test]
fn exports_at_one_socket_agree() {
    let two = |first: &str, second: &str| {
        format!(
            "[export.a]\nvcp = \"ram\"\nnbd = \"unix:/s\"\n{first}\n\
             [export.b]\nvcp = \"ram\"\nnbd = [\"unix:/t\", \"unix:/s\"]\n{second}\n"
        )
    };
    check(
        with(&two("socket-mode = \"0660\"", "")),
        "host.toml:7:9: export.b.socket-mode: \"unix:/s\" is shared with export \"a\", which has \"0660\"; one file has one",
    );
    check(
        with(&two("", "socket-mode = \"0660\"")),
        "host.toml:10:15: export.b.socket-mode: \"unix:/s\" is shared with export \"a\", which has \"0600\"; one file has one",
    );
    check(
        with(&two("", "socket-group = \"disk\"")),
        "host.toml:10:16: export.b.socket-group: \"unix:/s\" is shared with export \"a\", which has none; one file has one",
    );
    // Both spellings mean the same mode; other addresses are independent.
    for (first, second) in [
        ("socket-mode = \"660\"", "socket-mode = \"0660\""),
        ("", "socket-mode = \"0600\""),
    ] {
        let text = format!("[vcp.ram]\nmodule = \"ramdisk\"\n{}", two(first, second));
        let read = vcp_config::HostConfig::parse(std::path::Path::new("x"), &text);
        assert_eq!(read.map(|config| config.exports.len()), Ok(2));
        let apart = text.replace(", \"unix:/s\"", "").replace("0660", "0606");
        assert!(vcp_config::HostConfig::parse(std::path::Path::new("x"), &apart).is_ok());
    }
}
