//! The end: whatever is going on, it is clean and leaves nothing behind.

use std::time::Duration;

use rustix::process::Signal;
use vcp_tests::client::Clients;
use vcp_tests::lab::{Lab, Scratch, Side};
use vcp_tests::need;
use vcp_tests::process::{Running, command, poll, run};
use vcp_tests::requires;
use vcp_tests::scale::Scale;
use vcp_tests::tgtd::{Tgtd, Unit};
use vcp_tests::vcp::{self, Vcp, assert_no_panic};
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:life";

/// A signal to an idle host: logged out at the target, socket and TAP gone, no
/// process but the target's.
fn ends_cleanly(signal: Signal) {
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let target = tgtd.target(IQN);
    let lun = target.unit(1, Unit::new(8 << 20));
    let wiring = Wiring::tap("tso", Family::V4);
    let vcp = Vcp::run(&lab, Side::Target, wiring.arguments(&lun, &lab.nbd()));
    Clients::new(lab.dir()).qemu_io(&vcp.uri(), &["write -P 5 0 64k"]);
    assert_eq!(target.connections(), 1);
    let outcome = vcp.stop(signal);
    assert_no_panic(&outcome);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert!(
        outcome.elapsed < Duration::from_secs(3),
        "took {:?}",
        outcome.elapsed
    );
    assert_eq!(target.connections(), 0, "the session was not logged out");
    assert_nothing_left(&lab, &tgtd);
}

fn assert_nothing_left(lab: &Lab, tgtd: &Tgtd) {
    assert!(!lab.socket().exists(), "the NBD socket was left behind");
    let interfaces = lab.interfaces(Side::Target);
    assert!(
        !interfaces.contains(&"vcp0".to_owned()),
        "the TAP was left behind: {interfaces:?}"
    );
    assert_eq!(
        lab.processes(Side::Target),
        [tgtd.pid()],
        "processes were left behind"
    );
}

#[test]
fn on_sigterm() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    ends_cleanly(Signal::TERM);
}

#[test]
fn on_sigint() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    ends_cleanly(Signal::INT);
}

/// A signal in the middle of a load.
#[test]
fn under_load() {
    requires!(Root, Tun, "tgtd", "fio");
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let target = tgtd.target(IQN);
    let lun = target.unit(1, Unit::new(64 << 20));
    let wiring = Wiring::tap("tso", Family::V4);
    let vcp = Vcp::run(&lab, Side::Target, wiring.arguments(&lun, &lab.nbd()));
    let mut fio = command("fio");
    fio.args([
        "--name=load",
        "--thread",
        "--ioengine=nbd",
        "--rw=randrw",
        "--bs=64k",
        "--iodepth=32",
        "--time_based",
    ]);
    fio.args(["--runtime=60", &format!("--uri={}", vcp.uri())])
        .current_dir(lab.dir());
    let load = Running::start(fio, lab.dir(), "fio");
    std::thread::sleep(Duration::from_secs(1));
    let outcome = vcp.stop(Signal::TERM);
    assert_no_panic(&outcome);
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    drop(load);
    assert_eq!(target.connections(), 0, "the session was not logged out");
    assert_nothing_left(&lab, &tgtd);
}

/// A target that no longer answers does not hold up the end.
#[test]
fn with_a_silent_target() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd.target(IQN).unit(1, Unit::new(8 << 20));
    let wiring = Wiring::tap("tso", Family::V4);
    let vcp = Vcp::run(&lab, Side::Target, wiring.arguments(&lun, &lab.nbd()));
    tgtd.pause();
    let outcome = vcp.stop(Signal::TERM);
    assert_no_panic(&outcome);
    assert!(
        outcome.elapsed < Duration::from_secs(6),
        "took {:?}",
        outcome.elapsed
    );
    assert_nothing_left(&lab, &tgtd);
}

/// Killed outright, it leaves no TAP (the kernel sees to that), and a stale
/// socket file is no obstacle to the next.
#[test]
fn after_a_kill() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd.target(IQN).unit(1, Unit::new(8 << 20));
    let wiring = Wiring::tap("tso", Family::V4);
    let clients = Clients::new(lab.dir());
    let vcp = Vcp::run(&lab, Side::Target, wiring.arguments(&lun, &lab.nbd()));
    clients.qemu_io(&vcp.uri(), &["write -P 6 0 64k", "flush"]);
    assert_eq!(vcp.stop(Signal::KILL).code(), 128 + 9);
    let gone = || (!lab.interfaces(Side::Target).contains(&"vcp0".to_owned())).then_some(());
    assert!(
        poll(Duration::from_secs(5), gone).is_some(),
        "the TAP was left behind"
    );
    let vcp = Vcp::run(&lab, Side::Target, wiring.arguments(&lun, &lab.nbd()));
    clients.qemu_io(&vcp.uri(), &["read -P 6 0 64k"]);
    vcp.shut_down();
    assert_nothing_left(&lab, &tgtd);
}

/// Descriptors and threads do not grow with the clients that came and went.
#[test]
fn clients_leave_nothing() {
    requires!(Root, Tun, "tgtd", "qemu-io");
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd.target(IQN).unit(1, Unit::new(8 << 20));
    let wiring = Wiring::tap("tso", Family::V4);
    let vcp = Vcp::run(&lab, Side::Target, wiring.arguments(&lun, &lab.nbd()));
    let clients = Clients::new(lab.dir());
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/{}/{what}", vcp.pid()))
            .expect("running")
            .count()
    };
    clients.qemu_io(&vcp.uri(), &["write 0 64k"]);
    let settled = |limit: [usize; 2]| {
        let few = || (count("fd") <= limit[0] && count("task") <= limit[1]).then_some(());
        poll(Duration::from_secs(5), few)
    };
    std::thread::sleep(Duration::from_millis(200));
    let before = [count("fd"), count("task")];
    for _ in 0..20 {
        clients.qemu_io(&vcp.uri(), &["read 0 64k"]);
    }
    let growth = || {
        format!(
            "{before:?} before, {:?} after",
            [count("fd"), count("task")]
        )
    };
    assert!(
        settled(before).is_some(),
        "descriptors and threads: {}",
        growth()
    );
    vcp.shut_down();
}

/// The demo: nothing but the binary, as root and as somebody without privileges.
#[test]
fn demo() {
    let scratch = Scratch::new();
    let as_is = vcp::once_here(&scratch, &["demo"]);
    assert_no_panic(&as_is);
    assert!(as_is.stdout.contains("PASS"), "{as_is:?}");
    assert_eq!(as_is.code(), 0, "{as_is:?}");
    if need::is_root() {
        let mut command = vcp::unprivileged(scratch.path(), None);
        command.arg("demo");
        let outcome = run(command, scratch.path(), Scale::from_env().limit());
        assert_no_panic(&outcome);
        assert!(outcome.stdout.contains("PASS"), "{outcome:?}");
        assert_eq!(outcome.code(), 0, "{outcome:?}");
    }
}
