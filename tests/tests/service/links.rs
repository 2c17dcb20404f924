//! Links whose interface is not there when the service starts: as at boot, and after a
//! planned restart. Against `tgtd`.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use vcp_tests::client::Clients;
use vcp_tests::lab::{Lab, Side, WIRE_CLIENT};
use vcp_tests::manager::Manager;
use vcp_tests::process::{Running, command, poll};
use vcp_tests::requires;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::wiring::{Family, Wiring};

use super::MANAGER;

/// How long it may take until an interface that is there is used, and the disk with it.
const PATIENCE: Duration = Duration::from_secs(20);
const WAITS: &str = "there is no link yet: packet wire1: there is no such interface";

struct Bed {
    lab: Lab,
    _lun: Lun,
    _tgtd: Tgtd,
}

impl Bed {
    fn new() -> Self {
        let wiring = Wiring::packet("tso", Family::V4);
        let lab = wiring.lab();
        let tgtd = Tgtd::start(&lab);
        let lun = tgtd
            .target("iqn.2026-11.test:links")
            .unit(1, Unit::new(64 << 20));
        let text = format!(
            "[vcp.disk]\nmodule = \"iscsi\"\n{}\n[vcp.disk.config]\ntarget = \"{}\"\n\
             [export.disk]\nnbd = \"{}\"\n",
            wiring.table(),
            lun.url(wiring.portal),
            lab.nbd()
        );
        fs::write(lab.dir().join("host.toml"), text).expect("writing a configuration");
        Self {
            lab,
            _lun: lun,
            _tgtd: tgtd,
        }
    }

    fn manager(&self) -> Manager {
        let program = self.lab.command(Side::Client, MANAGER);
        Manager::by(program, self.lab.dir(), &[], &[])
    }

    fn remove(&self) {
        self.lab.ip(Side::Client, &["link", "delete", WIRE_CLIENT]);
    }

    fn uri(&self) -> String {
        let socket = self.lab.socket();
        format!("nbd+unix:///disk?socket={}", socket.display())
    }
}

/// Waits until the VCP is so.
fn until(manager: &Manager, state: &str) -> Value {
    let so = || {
        let text = manager.ask(&["inspect", "disk", "--json"]).stdout;
        let seen: Value = serde_json::from_str(&text).ok()?;
        (seen["state"] == state).then_some(seen)
    };
    let seen = poll(PATIENCE, so);
    seen.unwrap_or_else(|| panic!("not {state}:\n{}", manager.logs()))
}

#[test]
fn an_interface_that_comes_after_the_start_is_used() {
    requires!(Root, "tgtd", "qemu-io");
    let bed = Bed::new();
    bed.remove();
    let began = Instant::now();
    let manager = bed.manager();
    manager.wait_for("READY=1", 1);
    assert!(began.elapsed() < PATIENCE, "the machine starts meanwhile");
    manager.wait_for("disk is suspended", 1);
    assert_eq!(until(&manager, "suspended")["reason"], WAITS);
    std::thread::sleep(Duration::from_secs(3));
    let said = manager.logs();
    assert_eq!(said.matches(WAITS).count(), 1, "{said}");
    bed.lab.wire();
    until(&manager, "ready");
    let clients = Clients::new(bed.lab.dir());
    clients.qemu_io(&bed.uri(), &["write -P 7 0 64k", "read -P 7 0 64k"]);
    manager.wait_for("STATUS=VCPs ready: 1", 1);
    manager.stop();
}

#[test]
fn a_reload_says_that_a_new_disk_waits() {
    requires!(Root, "tgtd");
    let bed = Bed::new();
    bed.remove();
    let file = bed.lab.dir().join("host.toml");
    let text = fs::read_to_string(&file).expect("it is there");
    fs::write(&file, "").expect("writing a configuration");
    let manager = bed.manager();
    manager.wait_for("READY=1", 1);
    fs::write(&file, text).expect("writing a configuration");
    let said = manager
        .ask(&["reload", "--all"])
        .expect_success("vcp reload --all");
    assert!(
        said.contains("VCP disk: started, and waits for its link\n"),
        "{said}"
    );
    bed.lab.wire();
    until(&manager, "ready");
    manager.stop();
}

/// Reads for some seconds; whoever waits for the disk waits as long as it takes.
const READER: &str = "\
import nbd, sys, time
h = nbd.NBD()
h.connect_uri(sys.argv[1])
for _ in range(40):
    assert h.pread(4096, 0) == b'\\x07' * 4096
    time.sleep(0.1)
print('served', flush=True)
";

#[test]
fn a_planned_restart_without_the_interface_keeps_the_disk_and_its_clients() {
    requires!(Root, "tgtd", "qemu-io", "nbdsh");
    let bed = Bed::new();
    let manager = bed.manager();
    until(&manager, "ready");
    let clients = Clients::new(bed.lab.dir());
    clients.qemu_io(&bed.uri(), &["write -P 7 0 64k"]);
    let mut reader = command("/usr/bin/python3");
    reader.args(["-c", READER, &bed.uri()]);
    let reader = Running::start(reader, bed.lab.dir(), "reader");
    std::thread::sleep(Duration::from_secs(1));
    bed.remove();
    until(&manager, "suspended");
    manager.restart();
    assert_eq!(until(&manager, "suspended")["reason"], WAITS);
    // And once more, as nothing has come of it yet.
    manager.restart();
    assert_eq!(until(&manager, "suspended")["reason"], WAITS);
    bed.lab.wire();
    until(&manager, "ready");
    let read = reader.outcome(Duration::from_secs(30));
    assert_eq!(read.expect_success("the reader"), "served\n");
    manager.stop();
}
