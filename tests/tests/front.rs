//! What NBD clients meet in front of a host: exports of any name, sockets for a
//! group, and limits that hold and change with the configuration.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use vcp_tests::process::{Running, command, poll, run};
use vcp_tests::requires;
use vcp_tests::user::{LIMIT, User};
use vcp_tests::vcp::assert_one_line;

const NAMES: [&str; 3] = [
    "iqn.2026-11.example:disk/1",
    "Ünïcode disk",
    "a//b?c#d%e&\"f'",
];

/// A RAM disk and these exports of it.
fn configuration(host: &str, exports: &[(&str, String)]) -> String {
    let mut text =
        format!("{host}\n[vcp.ram]\nmodule = \"ramdisk\"\nconfig = {{ size = \"8MiB\" }}\n");
    for (name, lines) in exports {
        let name = name.replace('\\', "\\\\").replace('"', "\\\"");
        text += &format!("[export.\"{name}\"]\nvcp = \"ram\"\n{lines}\n");
    }
    text
}

fn write(user: &User, text: &str) {
    fs::write(user.dir().join("host.toml"), text).expect("writing a configuration");
}

/// What a program says of a URI.
fn said(user: &User, program: &str, words: &[&str], uri: &str) -> String {
    let mut command = command(program);
    command.args(words).arg(uri);
    run(command, user.dir(), LIMIT).expect_success(program)
}

/// One that is served, or `None` when it is turned away.
fn enter(socket: &Path) -> Option<UnixStream> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.read_exact(&mut [0; 18]).ok()?;
    let enter = b"\0\0\0\x03IHAVEOPT\0\0\0\x01\0\0\0\0";
    stream.write_all(enter).ok()?;
    stream.read_exact(&mut [0; 10]).ok()?;
    Some(stream)
}

fn mode_and_group(socket: &Path) -> (u32, u32) {
    let meta = fs::metadata(socket).expect("a socket");
    (meta.mode() & 0o777, meta.gid())
}

#[test]
fn exports_of_any_name_are_served_named_and_found() {
    requires!("nbdinfo", "qemu-img", "nbdcopy");
    let user = User::new();
    let exports = NAMES.map(|name| (name, String::new()));
    write(&user, &configuration("", &exports));
    let host = user.host(&["host.toml"]);
    let uris = host.wait_for_uris(NAMES.len());
    let mut found = Vec::new();
    for (at, uri) in uris.iter().enumerate() {
        let info = said(&user, "nbdinfo", &["--json"], uri);
        let info: serde_json::Value = serde_json::from_str(&info).expect("JSON");
        found.push(
            info["exports"][0]["export-name"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        );
        assert!(said(&user, "qemu-img", &["info"], uri).contains("8388608 bytes"));
        let mut copy = command("nbdcopy");
        copy.arg(uri).arg(user.dir().join(format!("copy{at}")));
        run(copy, user.dir(), LIMIT).expect_success("nbdcopy");
    }
    found.sort();
    let mut names = NAMES.map(str::to_owned);
    names.sort();
    assert_eq!(found, names);
    let pid = host.pid();
    let ps = user.say(&["ps"]);
    assert!(uris.iter().all(|uri| ps.contains(uri)), "{ps}");
    let inspected = user.say(&["inspect", "ram"]);
    for name in NAMES {
        assert!(
            inspected.contains(&format!("export            {name} nbd+unix:")),
            "{inspected}"
        );
        // Verbs take it alone, and with the host in front.
        user.say(&["set", name, "limit.iops=100"]);
        user.say(&["set", &format!("{pid}/{name}"), "limit.iops=77"]);
    }
    let metrics = user.say(&["metrics"]);
    for name in NAMES {
        let label = name.replace('\\', "\\\\").replace('"', "\\\"");
        let line =
            format!("vcp_export_limit_requests_per_second{{export=\"{label}\",vcp=\"ram\"}} 77");
        assert!(metrics.contains(&line), "{metrics}");
    }
    host.shut_down();
}

#[test]
fn sockets_have_the_group_and_mode_that_an_operator_asks_for() {
    requires!(Root);
    let user = User::new();
    let words = [
        "ramdisk",
        "size=8MiB",
        "--nbd",
        "unix:s",
        "--socket-mode",
        "0660",
    ];
    let disk = 6;
    for group in ["disk", "6"] {
        let host = user.host(&[&words[..], &["--socket-group", group]].concat());
        assert_eq!(host.wait_for_uris(1).len(), 1);
        assert_eq!(mode_and_group(&user.dir().join("s")), (0o660, disk));
        host.shut_down();
    }
    let refused = user.ask(&[&["run"], &words[..], &["--socket-group", "nosuch"]].concat());
    assert_one_line(&refused, 1, &["ramdisk", "socket-group", "\"nosuch\""]);
}

#[test]
fn limits_modes_and_groups_change_with_the_configuration() {
    requires!(Root, "nbdinfo");
    let user = User::new();
    let socket = user.dir().join("s");
    let at = format!("nbd = \"unix:{}\"", socket.display());
    let with = |host: &str, lines: &str| {
        let exports = [("a:b", format!("{at}\n{lines}"))];
        write(&user, &configuration(host, &exports));
    };
    with(
        "[host]\nnbd = { connections = 1 }",
        "socket-mode = \"0640\"",
    );
    let service = user.command(&["host", "--config", "host.toml"]);
    let _host = Running::start(service, user.dir(), "host");
    let first = poll(LIMIT, || enter(&socket)).expect("it serves");
    assert_eq!(mode_and_group(&socket).0, 0o640);
    assert!(enter(&socket).is_none(), "one too many");
    with(
        "[host]\nnbd = { connections = 2 }",
        "socket-mode = \"0660\"\nsocket-group = \"disk\"",
    );
    let said = user.say(&["reload", "--all"]);
    assert!(said.contains("[host]: nbd: as configured"), "{said}");
    assert!(said.contains("export a:b: as configured"), "{said}");
    assert_eq!(mode_and_group(&socket), (0o660, 6));
    let second = enter(&socket).expect("there is room now");
    assert!(enter(&socket).is_none());
    drop((first, second));
    // What can't be done is told, and the rest goes on.
    with("", "socket-group = \"nosuch\"");
    let outcome = user.ask(&["reload", "--all"]);
    let why = "export a:b: socket-group: there is no group \"nosuch\"";
    assert_one_line(&outcome, 1, &[why]);
    assert!(!outcome.stdout.contains("export a:b"), "{outcome:?}");
    assert_eq!(mode_and_group(&socket), (0o660, 6), "the old goes on");
    assert!(poll(LIMIT, || enter(&socket)).is_some());
}
