//! What goes wrong at the start ends with one line that names what and where.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use vcp_tests::lab::{Lab, Scratch, Side};
use vcp_tests::process::{Outcome, run};
use vcp_tests::requires;
use vcp_tests::scale::Scale;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::vcp::{self, assert_no_panic, assert_one_line};
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:bad";

/// A target with one unit, and a TAP to it.
struct Bench {
    lun: Lun,
    wiring: Wiring,
    _tgtd: Tgtd,
    lab: Lab,
}

impl Bench {
    fn new() -> Self {
        let lab = Lab::new();
        let tgtd = Tgtd::start(&lab);
        let lun = tgtd.target(IQN).unit(1, Unit::new(4 << 20));
        Self {
            lun,
            wiring: Wiring::tap("tso", Family::V4),
            _tgtd: tgtd,
            lab,
        }
    }

    fn attach(&self, url: &str) -> Outcome {
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(self.wiring.arguments_for(url, &self.lab.nbd()));
        let outcome = vcp::once(&self.lab, self.wiring.side, &arguments);
        assert!(
            !self.lab.socket().exists(),
            "the NBD socket was left behind"
        );
        assert!(
            !self
                .lab
                .interfaces(Side::Target)
                .contains(&"vcp0".to_owned()),
            "the TAP was left behind"
        );
        outcome
    }
}

#[test]
fn unreachable_portal() {
    requires!(Root, Tun, "tgtd");
    let bench = Bench::new();
    let outcome = bench.attach(&format!("iscsi://10.77.0.99/{IQN}/1"));
    assert_one_line(&outcome, 1, &["10.77.0.99"]);
}

#[test]
fn portal_without_a_route() {
    requires!(Root, Tun, "tgtd");
    let bench = Bench::new();
    let outcome = bench.attach(&format!("iscsi://192.0.2.1/{IQN}/1"));
    assert_one_line(&outcome, 1, &["192.0.2.1"]);
}

#[test]
fn refused_connection() {
    requires!(Root, Tun, "tgtd");
    let bench = Bench::new();
    let outcome = bench.attach(&format!("iscsi://10.77.0.1:3999/{IQN}/1"));
    assert_one_line(&outcome, 1, &["10.77.0.1:3999", "refused"]);
}

#[test]
fn unknown_target() {
    requires!(Root, Tun, "tgtd");
    let bench = Bench::new();
    let outcome = bench.attach("iscsi://10.77.0.1/iqn.2026-11.test:nobody/1");
    assert_one_line(&outcome, 1, &["iqn.2026-11.test:nobody", "10.77.0.1"]);
}

#[test]
fn unknown_unit() {
    requires!(Root, Tun, "tgtd");
    let bench = Bench::new();
    let outcome = bench.attach(&format!("iscsi://10.77.0.1/{IQN}/77"));
    assert_one_line(&outcome, 1, &[IQN, "77"]);
}

#[test]
fn module_that_is_no_component() {
    let scratch = Scratch::new();
    let text = scratch.path().join("text.wasm");
    fs::write(&text, "this is not WebAssembly\n").expect("writing a file");
    let core = scratch.path().join("core.wasm");
    fs::write(&core, b"\0asm\x01\0\0\0").expect("writing a file");
    for file in [&text, &core, &scratch.path().join("missing.wasm")] {
        let name = file.display().to_string();
        let outcome = vcp::once_here(&scratch, &["run", &name, "--nbd", "unix:x.sock"]);
        assert_one_line(&outcome, 1, &[&name]);
    }
}

/// The smallest component there is, which exports no interface at all.
#[test]
fn component_of_another_world() {
    let scratch = Scratch::new();
    let file = scratch.path().join("empty.wasm");
    fs::write(&file, b"\0asm\x0d\0\x01\0").expect("writing a file");
    let name = file.display().to_string();
    let outcome = vcp::once_here(&scratch, &["run", &name, "--nbd", "unix:x.sock"]);
    assert_one_line(&outcome, 1, &[&name, "export"]);
}

#[test]
fn configuration_that_does_not_parse() {
    let scratch = Scratch::new();
    let cases = [
        ("key", "[vcp.disk0]\nmodul = \"ramdisk\"\n", "modul"),
        ("syntax", "[vcp.disk0\nmodule = \"ramdisk\"\n", "1"),
        ("type", "[vcp.disk0]\nmodule = 7\n", "module"),
        (
            "value",
            "[vcp.disk0]\nmodule = \"ramdisk\"\nmemory = \"much\"\n",
            "memory",
        ),
        ("export", "[export.disk1]\nnbd = \"unix:x.sock\"\n", "disk1"),
        ("nothing", "", "nothing.toml"),
    ];
    for (name, text, named) in cases {
        let file = scratch.path().join(format!("{name}.toml"));
        fs::write(&file, text).expect("writing a configuration");
        let path = file.display().to_string();
        let outcome = vcp::once_here(&scratch, &["run", &path]);
        assert_one_line(&outcome, 1, &[&path, named]);
    }
    let outcome = vcp::once_here(&scratch, &["run", "missing.toml"]);
    assert_one_line(&outcome, 1, &["missing.toml"]);
}

/// The command line itself: exit code 2, and the word that is wrong is named.
#[test]
fn usage() {
    let scratch = Scratch::new();
    let cases: &[(&[&str], &str)] = &[
        (&["frobnicate"], "frobnicate"),
        (&["run"], "MODULE"),
        (&["run", "ramdisk", "--frobnicate"], "--frobnicate"),
        (
            &["run", "ramdisk", "size=1M", "--nbd", "carrier-pigeon:x"],
            "carrier-pigeon",
        ),
        (
            &[
                "run",
                "iscsi",
                "target=iscsi://10.77.0.1/iqn.2026-11.a:b/1",
                "--link",
                "string:can",
            ],
            "string:can",
        ),
        (
            &[
                "run",
                "iscsi",
                "target=http://10.77.0.1/",
                "--link",
                "tap:vcp0,address=10.77.0.2/24",
            ],
            "target",
        ),
    ];
    for (arguments, named) in cases {
        let outcome = vcp::once_here(&scratch, arguments);
        assert_no_panic(&outcome);
        assert_eq!(outcome.code(), 2, "{arguments:?}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains(named),
            "{arguments:?}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn no_permission_for_a_tap() {
    requires!(Root, Tun, "tgtd");
    let bench = Bench::new();
    let mut command = vcp::unprivileged(bench.lab.dir(), Some((&bench.lab, Side::Target)));
    command
        .arg("run")
        .args(bench.wiring.arguments(&bench.lun, "unix:nbd.sock"));
    let outcome = run(command, bench.lab.dir(), Scale::from_env().limit());
    assert_one_line(&outcome, 1, &["vcp0", "permi"]);
}

#[test]
fn no_such_interface() {
    requires!(Root, "tgtd");
    let lab = Lab::new();
    let link = "packet:nope0,address=10.77.1.2/24";
    let url = format!("target=iscsi://10.77.1.1/{IQN}/1");
    let outcome = vcp::once(&lab, Side::Client, &["run", "iscsi", &url, "--link", link]);
    assert_one_line(&outcome, 1, &["nope0"]);
}

#[test]
fn nbd_address_in_use() {
    let scratch = Scratch::new();
    let socket = scratch.path().join("taken.sock");
    let _unix = UnixListener::bind(&socket).expect("binding a socket");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("binding a socket");
    let port = tcp.local_addr().expect("bound").port();
    for address in [
        format!("unix:{}", socket.display()),
        format!("tcp:127.0.0.1:{port}"),
    ] {
        let outcome = vcp::once_here(&scratch, &["run", "ramdisk", "size=1M", "--nbd", &address]);
        let (_, place) = address.split_once(':').expect("has a scheme");
        assert_one_line(&outcome, 1, &[place, "in use"]);
    }
    assert!(socket.exists(), "somebody else's socket was removed");
}

#[test]
fn nbd_socket_where_none_can_be() {
    let scratch = Scratch::new();
    let outcome = vcp::once_here(
        &scratch,
        &["run", "ramdisk", "size=1M", "--nbd", "unix:/nowhere/x.sock"],
    );
    assert_one_line(&outcome, 1, &["/nowhere/x.sock"]);
}

#[test]
fn no_such_built_in_module() {
    let scratch = Scratch::new();
    let outcome = vcp::once_here(&scratch, &["run", "floppy", "--nbd", "unix:x.sock"]);
    assert_one_line(&outcome, 1, &["floppy"]);
}
