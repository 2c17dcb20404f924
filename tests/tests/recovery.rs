//! The disk stays while the VCP dies, its target dies, or its link is silent:
//! requests wait, none fails, and what was written is there. Against `tgtd`.
//!
//! `VCP_E2E_FULL=1` makes the loads as long as a figure wants them.

use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use vcp_tests::client::Clients;
use vcp_tests::host::{Host, Resources};
use vcp_tests::lab::{Lab, Side};
use vcp_tests::load::Load;
use vcp_tests::process::{Running, command, poll};
use vcp_tests::requires;
use vcp_tests::scale::is_full;
use vcp_tests::tgtd::{Lun, Target, Tgtd, Unit};
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:recovery";
const UNIT: u64 = 256 << 20;

/// A lab with a target in it, and what becomes of the two.
struct Bed {
    lab: Lab,
    wiring: Wiring,
    lun: Lun,
}

impl Bed {
    fn new(wiring: Wiring) -> (Self, Tgtd) {
        let lab = wiring.lab();
        let tgtd = Tgtd::start(&lab);
        let lun = tgtd.target(IQN).unit(1, Unit::new(UNIT));
        (Self { lab, wiring, lun }, tgtd)
    }

    fn host(&self, lines: &str) -> Host {
        let url = self.lun.url(self.wiring.portal);
        Host::start(&self.lab, &self.wiring, &url, lines)
    }

    fn load(&self, host: &Host, time: Duration) -> Load {
        Load::start(self.lab.dir(), &host.uri(), time)
    }

    /// Another daemon with the same target and the same unit.
    fn revive(&self) -> Tgtd {
        let tgtd = Tgtd::start(&self.lab);
        tgtd.target(IQN).keep(&self.lun);
        tgtd
    }

    fn clients(&self) -> Clients {
        Clients::new(self.lab.dir())
    }
}

fn tap() -> Wiring {
    Wiring::tap("tso", Family::V4)
}

/// The target's process is killed and another started, again and again.
#[test]
fn the_target_dies_and_comes_back_under_load() {
    requires!(Root, Tun, "tgtd", "fio");
    let (bed, mut tgtd) = Bed::new(tap());
    let host = bed.host("");
    let (deaths, pause) = if is_full() { (20, 2) } else { (3, 1) };
    let pause = Duration::from_secs(pause);
    let mut load = bed.load(&host, pause * 2 * (deaths + 1));
    for _ in 0..deaths {
        std::thread::sleep(pause);
        tgtd.kill();
        std::thread::sleep(pause / 2);
        tgtd = bed.revive();
        host.until("ready again", |seen| seen["state"] == "ready");
        assert!(load.is_running(), "the load has ended early");
    }
    load.finish();
    assert_eq!(host.faults(), 0, "waiting for a target is no fault");
    let logs = host.vcp().logs();
    for line in ["waiting: ", "serves again after "] {
        assert_eq!(
            logs.matches(line).count(),
            deaths as usize,
            "{line}\n{logs}"
        );
    }
    host.shut_down();
}

/// Nothing comes through for ten seconds, and no end of the wire is told.
#[test]
fn the_link_is_silent_under_load() {
    requires!(Root, "tgtd", "fio");
    let (bed, _tgtd) = Bed::new(Wiring::packet("tso", Family::V4));
    let host = bed.host("");
    let mut load = bed.load(&host, Duration::from_secs(20));
    std::thread::sleep(Duration::from_secs(2));
    bed.lab.ip(Side::Target, &["link", "set", "wire0", "down"]);
    std::thread::sleep(Duration::from_secs(10));
    bed.lab.ip(Side::Target, &["link", "set", "wire0", "up"]);
    assert!(load.is_running(), "the load has ended early");
    load.finish();
    assert_eq!(host.faults(), 0, "waiting for a link is no fault");
    host.shut_down();
}

/// Reads every 20 ms until one fails, and from there until one succeeds; when
/// either happened, in seconds since 1970, and how the first failed.
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
print(time.time(), error, flush=True)
while read() is not None:
    time.sleep(0.02)
print(time.time(), flush=True)
";

/// With a replacement timeout of 2 s: EIO after 2 s, and service when the target
/// is back.
#[test]
fn requests_fail_when_the_replacement_timeout_has_run_out() {
    requires!(Root, Tun, "tgtd", "nbdsh", "qemu-io");
    let (bed, tgtd) = Bed::new(tap());
    let host = bed.host("replacement-timeout = 2");
    let mut reader = command("/usr/bin/python3");
    reader.args(["-c", READER, &host.uri()]);
    let reader = Running::start(reader, bed.lab.dir(), "reader");
    std::thread::sleep(Duration::from_millis(500));
    let killed = since_1970();
    tgtd.kill();
    let said = || reader.stdout();
    let failed = poll(Duration::from_secs(10), || first_word(&said(), 0));
    let (failed, errno) = failed.expect("a read failed in time");
    let after = failed - killed;
    assert_eq!(errno.as_deref(), Some("EIO"), "{}", said());
    assert!((1.5..=2.5).contains(&after), "failed after {after:.3} s");
    let seen = host.inspect();
    assert_eq!(seen["refusing"], true, "{seen:#}");
    std::thread::sleep(Duration::from_secs(1));
    let _tgtd = bed.revive();
    let back = since_1970();
    let outcome = reader.outcome(Duration::from_secs(20));
    let text = outcome.expect_success("the reader");
    let (served, _) = first_word(&text, 1).expect("it says when it was served");
    println!(
        "EIO after {after:.3} s, served {:.3} s after",
        served - back
    );
    assert!(served - back < 6.0, "served {:.3} s after", served - back);
    bed.clients()
        .qemu_io(&host.uri(), &["write -P 7 0 64k", "read -P 7 0 64k"]);
    host.shut_down();
}

/// The time and the word after it in a line of the reader's.
fn first_word(text: &str, line: usize) -> Option<(f64, Option<String>)> {
    let complete = &text[..=text.rfind('\n')?];
    let mut words = complete.lines().nth(line)?.split_whitespace();
    let time = words.next()?.parse().ok()?;
    Some((time, words.next().map(str::to_owned)))
}

fn since_1970() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("the clock is set").as_secs_f64()
}

/// Ending does not wait for a target that is gone, or silent, with requests
/// waiting for it.
#[test]
fn ends_in_time_without_its_target() {
    requires!(Root, Tun, "tgtd", "fio");
    for silent in [false, true] {
        let (bed, tgtd) = Bed::new(tap());
        let host = bed.host("");
        let load = bed.load(&host, Duration::from_secs(60));
        std::thread::sleep(Duration::from_secs(1));
        let kept = if silent {
            tgtd.pause();
            Some(tgtd)
        } else {
            tgtd.kill();
            None
        };
        std::thread::sleep(Duration::from_millis(300));
        let outcome = host.stop();
        assert_eq!(outcome.code(), 0, "{outcome:?}");
        let took = outcome.elapsed;
        println!("silent: {silent}: ended after {took:?}");
        assert!(took < Duration::from_secs(5), "took {took:?}");
        drop((load, kept));
    }
}

/// The faults that `vcp inject` has, in turn.
const FAULTS: [&str; 7] = [
    "trap",
    "hang",
    "spin",
    "oom",
    "stack",
    "bad-descriptor",
    "stall",
];

/// Watchdogs that find a hung instance well before the next fault is due.
const SHORT: &str = "\
restart = { min-run = \"0ms\" }
watchdog = { call = \"20ms\", fuel = 20000000, progress = \"100ms\" }";

/// Killed every 200 ms by each fault in turn, under load: no request fails,
/// nothing written is lost, nothing grows.
#[test]
fn crashes_without_end() {
    requires!(Root, Tun, "tgtd", "fio");
    let time = Duration::from_secs(if is_full() { 300 } else { 20 });
    let (bed, tgtd) = Bed::new(tap());
    let host = bed.host(SHORT);
    let target = bed.again(&tgtd);
    let mut load = bed.load(&host, time);
    let began = Instant::now();
    let mut injected = 0;
    let mut samples = Vec::new();
    while load.is_running() && began.elapsed() < time {
        let due = began + Duration::from_millis(200) * (injected + 1);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        host.inject_if_there(FAULTS[injected as usize % FAULTS.len()]);
        injected += 1;
        samples.push(host.resources());
    }
    let job = load.finish();
    let faults = host.faults();
    host.until("ready again", |seen| seen["state"] == "ready");
    let fifth = samples.len() / 5;
    let early = typical(&samples[fifth..2 * fifth]);
    let late = typical(&samples[4 * fifth..]);
    println!(
        "{injected} injected, {faults} crashes, {} reads, {} writes; {early:?} then {late:?}",
        job["read"]["total_ios"], job["write"]["total_ios"]
    );
    // Some strike one that is dying already, or that has nothing to do.
    let least = u64::from(injected) * 2 / 3;
    assert!(faults >= least, "{faults} crashes of {injected} injected");
    assert!(!is_full() || faults >= 1000, "{faults} crashes");
    assert_no_growth(early, late);
    assert_eq!(target.sessions(), 1, "sessions are left at the target");
    assert_eq!(
        target.connections(),
        1,
        "connections are left at the target"
    );
    host.shut_down();
    assert_eq!(target.sessions(), 0, "the session was not logged out");
}

/// The median of each: what an instance has touched of its memory differs from
/// one moment to the next.
fn typical(samples: &[Resources]) -> Resources {
    let median = |of: fn(&Resources) -> u64| {
        let mut all: Vec<_> = samples.iter().map(of).collect();
        all.sort_unstable();
        all[all.len() / 2]
    };
    Resources {
        resident: median(|sample| sample.resident),
        descriptors: median(|sample| sample.descriptors),
        threads: median(|sample| sample.threads),
    }
}

/// A buffer more or less, and the threads of a runtime that come and go, are no
/// growth; one of each for every crash would be.
fn assert_no_growth(early: Resources, late: Resources) {
    let told = format!("{early:?} then {late:?}");
    assert!(late.resident <= early.resident + (16 << 20), "{told}");
    assert!(late.descriptors <= early.descriptors + 4, "{told}");
    assert!(late.threads <= early.threads + 4, "{told}");
}

impl Bed {
    /// The target that is there already.
    fn again<'a>(&self, tgtd: &'a Tgtd) -> Target<'a> {
        tgtd.known(1, IQN)
    }
}

/// A host that is told to end in the middle of it all does.
#[test]
fn ends_while_it_crashes() {
    requires!(Root, Tun, "tgtd", "fio");
    let (bed, _tgtd) = Bed::new(tap());
    let host = bed.host(SHORT);
    let load = bed.load(&host, Duration::from_secs(60));
    std::thread::sleep(Duration::from_secs(1));
    host.inject("stall");
    host.vcp().signal(Signal::TERM);
    let outcome = host.stop();
    assert_eq!(outcome.code(), 0, "{outcome:?}");
    assert!(outcome.elapsed < Duration::from_secs(5), "{outcome:?}");
    drop(load);
}
