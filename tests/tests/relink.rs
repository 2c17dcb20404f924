//! Interfaces that are removed and made again, or go down and up, under the link of a
//! disk: an outage, after which all is served again by itself. Against `tgtd`.

use std::time::Duration;

use vcp_tests::client::Clients;
use vcp_tests::host::{Host, NAME};
use vcp_tests::lab::{Lab, Side, WIRE_CLIENT};
use vcp_tests::load::Load;
use vcp_tests::process::{Running, command, poll};
use vcp_tests::requires;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::vcp::assert_one_line;
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:relink";

/// Who made the interface that is taken away.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interface {
    /// An end of a wire, made by the test.
    Wire,
    /// A TAP, made by the test.
    Tap,
    /// A TAP that the host made.
    OwnTap,
}

struct Bed {
    lab: Lab,
    wiring: Wiring,
    interface: Interface,
    lun: Lun,
    _tgtd: Tgtd,
}

impl Bed {
    fn new(interface: Interface) -> Self {
        let wiring = match interface {
            Interface::Wire => Wiring::packet("tso", Family::V4),
            Interface::Tap | Interface::OwnTap => Wiring::tap("tso", Family::V4),
        };
        let lab = wiring.lab();
        let tgtd = Tgtd::start(&lab);
        let lun = tgtd.target(IQN).unit(1, Unit::new(64 << 20));
        let bed = Self {
            lab,
            wiring,
            interface,
            lun,
            _tgtd: tgtd,
        };
        if interface == Interface::Tap {
            bed.make();
        }
        bed
    }

    fn host(&self, lines: &str) -> Host {
        let url = self.lun.url(self.wiring.portal);
        Host::start(&self.lab, &self.wiring, &url, lines)
    }

    fn name(&self) -> (Side, &'static str) {
        match self.interface {
            Interface::Wire => (Side::Client, WIRE_CLIENT),
            Interface::Tap | Interface::OwnTap => (Side::Target, "vcp0"),
        }
    }

    fn remove(&self) {
        let (side, name) = self.name();
        self.lab.ip(side, &["link", "delete", name]);
    }

    fn make(&self) {
        match self.interface {
            Interface::Wire => self.lab.wire(),
            Interface::Tap => {
                let make = ["tuntap", "add", "dev", "vcp0", "mode", "tap"];
                self.lab.ip(Side::Target, &make);
            }
            Interface::OwnTap => {}
        }
    }

    fn set(&self, state: &str) {
        let (side, name) = self.name();
        self.lab.ip(side, &["link", "set", name, state]);
    }
}

fn ready(host: &Host) {
    host.until("ready again", |seen| seen["state"] == "ready");
}

/// No request fails and nothing written is lost, as often as it happens.
fn comes_back_under_load(interface: Interface) {
    let bed = Bed::new(interface);
    let host = bed.host("");
    let mut load = Load::start(bed.lab.dir(), &host.uri(), Duration::from_secs(14));
    for round in 0..2 {
        std::thread::sleep(Duration::from_secs(2));
        let before = host.inspect()["generation"].as_u64();
        bed.remove();
        if interface != Interface::OwnTap {
            let gone = |seen: &serde_json::Value| {
                let why = seen["reason"].as_str().unwrap_or_default();
                seen["state"] == "suspended" && why.starts_with("the link is gone: ")
            };
            host.until("known to be gone", gone);
            std::thread::sleep(Duration::from_secs(2));
            assert_eq!(host.inspect()["refusing"], false);
        }
        bed.make();
        let again = |seen: &serde_json::Value| {
            seen["state"] == "ready" && seen["generation"].as_u64() > before
        };
        host.until("ready again", again);
        assert!(load.is_running(), "the load has ended early, round {round}");
    }
    load.finish();
    assert_eq!(host.faults(), 0, "an outage is no fault");
    host.shut_down();
}

#[test]
fn a_packet_interface_is_removed_and_made_again_under_load() {
    requires!(Root, "tgtd", "fio");
    comes_back_under_load(Interface::Wire);
}

#[test]
fn a_tap_is_removed_and_made_again_under_load() {
    requires!(Root, Tun, "tgtd", "fio");
    comes_back_under_load(Interface::Tap);
}

#[test]
fn a_tap_that_the_host_made_is_removed_under_load() {
    requires!(Root, Tun, "tgtd", "fio");
    comes_back_under_load(Interface::OwnTap);
}

/// Down is not gone: the instance stays, and so do its connections.
fn goes_down_and_up(interface: Interface) {
    let bed = Bed::new(interface);
    let host = bed.host("");
    let mut load = Load::start(bed.lab.dir(), &host.uri(), Duration::from_secs(8));
    for _ in 0..2 {
        std::thread::sleep(Duration::from_secs(1));
        bed.set("down");
        std::thread::sleep(Duration::from_secs(1));
        bed.set("up");
    }
    assert!(load.is_running(), "the load has ended early");
    load.finish();
    ready(&host);
    let seen = host.inspect();
    assert_eq!(
        (&seen["generation"], &seen["faults"]),
        (&1.into(), &0.into())
    );
    host.shut_down();
}

#[test]
fn a_packet_interface_goes_down_and_up() {
    requires!(Root, "tgtd", "fio");
    goes_down_and_up(Interface::Wire);
}

#[test]
fn a_tap_goes_down_and_up() {
    requires!(Root, Tun, "tgtd", "fio");
    goes_down_and_up(Interface::Tap);
}

/// Reads every 20 ms until one fails, and from there until one succeeds; how the first
/// failed, and that the last did not.
const READER: &str = "\
import nbd, sys, time
h = nbd.NBD()
h.connect_uri(sys.argv[1])
def read():
    try:
        h.pread(4096, 0)
        return None
    except nbd.Error as error:
        return error.errno
while (error := read()) is None:
    time.sleep(0.02)
print(error, flush=True)
while read() is not None:
    time.sleep(0.02)
print('served', flush=True)
";

/// After the replacement timeout requests fail, and what an operator asks for is
/// refused with the reason; when the interface is back, all of it works.
fn fails_in_time_and_serves_again(interface: Interface, absent: &str) {
    let bed = Bed::new(interface);
    let host = bed.host("replacement-timeout = 2");
    let clients = Clients::new(bed.lab.dir());
    clients.qemu_io(&host.uri(), &["write -P 7 0 64k"]);
    let mut reader = command("/usr/bin/python3");
    reader.args(["-c", READER, &host.uri()]);
    let reader = Running::start(reader, bed.lab.dir(), "reader");
    std::thread::sleep(Duration::from_millis(500));
    bed.remove();
    let failed = || Some(reader.stdout()).filter(|said| said.contains('\n'));
    let said = poll(Duration::from_secs(10), failed).expect("a read failed in time");
    assert_eq!(said.trim(), "EIO");
    assert_eq!(host.inspect()["refusing"], true);
    let gone = format!("the link is gone: {absent}");
    for (verb, named) in [
        (&["restart", NAME][..], &["not restarted", &*gone][..]),
        (&["reload", NAME], &[&*gone]),
        (
            &["inject", NAME, "trap"],
            &["suspended", "no instance to fail"],
        ),
    ] {
        assert_one_line(&host.ask(verb), 1, named);
    }
    bed.make();
    let outcome = reader.outcome(Duration::from_secs(20));
    let text = outcome.expect_success("the reader");
    assert!(text.ends_with("served\n"), "{text}");
    clients.qemu_io(&host.uri(), &["read -P 7 0 64k", "write -P 8 0 64k"]);
    let restarted = host.ask(&["restart", NAME]).expect_success("vcp restart");
    assert!(restarted.contains("ready"), "{restarted}");
    clients.qemu_io(&host.uri(), &["read -P 8 0 64k"]);
    host.shut_down();
}

#[test]
fn without_its_packet_interface_requests_fail_in_time() {
    requires!(Root, "tgtd", "nbdsh", "qemu-io");
    fails_in_time_and_serves_again(Interface::Wire, "packet wire1: there is no such interface");
}

#[test]
fn without_its_tap_requests_fail_in_time() {
    requires!(Root, Tun, "tgtd", "nbdsh", "qemu-io");
    fails_in_time_and_serves_again(Interface::Tap, "tap vcp0: there is no such interface");
}

/// A restart that is asked for finds the interface at once.
#[test]
fn a_restart_opens_the_link() {
    requires!(Root, "tgtd", "qemu-io");
    let bed = Bed::new(Interface::Wire);
    let host = bed.host("");
    bed.remove();
    host.until("gone", |seen| seen["state"] == "suspended");
    std::thread::sleep(Duration::from_secs(2));
    bed.make();
    let restarted = host.ask(&["restart", NAME]).expect_success("vcp restart");
    assert!(restarted.contains("generation 2, ready"), "{restarted}");
    host.shut_down();
}

/// What is not there at the start is an error, as ever.
#[test]
fn a_first_start_without_the_interface_fails() {
    requires!(Root, "tgtd");
    let bed = Bed::new(Interface::Wire);
    bed.remove();
    let mut arguments = vec!["run".to_owned()];
    arguments.extend(bed.wiring.arguments(&bed.lun, &bed.lab.nbd()));
    let outcome = vcp_tests::vcp::once(&bed.lab, bed.wiring.side, &arguments);
    assert_one_line(&outcome, 1, &["packet wire1: there is no such interface"]);
}
