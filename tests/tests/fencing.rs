//! No write of a dead generation lands after one of the next: session
//! reinstatement ends the old session's tasks (RFC 7143 §6.3.5). Shown with a
//! target whose writes land late, and with one that knows no reinstatement, where
//! it goes wrong. And what a flush covers is there before it, the second time too.

use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use vcp_target::Target;
use vcp_target::config::{TargetConfig, TargetNode};
use vcp_target::disk::{Disk, DiskError, Extent, SparseMemory};
use vcp_target::lun::{Faults, LogicalUnit, Node, UnitOptions};
use vcp_target::serve::{TcpServer, serve_tcp};
use vcp_tests::host::Host;
use vcp_tests::lab::{Lab, Side};
use vcp_tests::process::{Outcome, Running, command, poll};
use vcp_tests::requires;
use vcp_tests::tgtd::{Tgtd, Unit};
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:fence";
/// How late writes land: longer than a restart and two writes take on a machine
/// that is busy with other tests.
const DELAY: Duration = Duration::from_secs(5);
const SIZE: u64 = 8 << 20;
const BLOCK: usize = 4096;
const OLD: u8 = 0xa1;
const NEW: u8 = 0xb2;

/// Writes the old bytes, then the new ones to the same place.
const CLIENT: &str = "\
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.pwrite(b'\\xa1' * 4096, 0)
h.pwrite(b'\\xb2' * 4096, 0)
h.shutdown()
";

/// The embedded target in a lab's target namespace.
struct Late {
    unit: Arc<LogicalUnit>,
    target: Arc<Target>,
    _server: TcpServer,
}

impl Late {
    fn start(lab: &Lab, reinstate: bool) -> Self {
        Self::on(lab, Box::new(SparseMemory::new(SIZE)), reinstate)
    }

    fn on(lab: &Lab, disk: Box<dyn Disk>, reinstate: bool) -> Self {
        let unit = LogicalUnit::new(disk, UnitOptions::default()).expect("a sound unit");
        let unit = Arc::new(unit);
        let mut units = Node::default();
        units.insert(0, Arc::clone(&unit));
        let mut config = TargetConfig::default();
        config.nodes.push(TargetNode::new(IQN, units));
        config.policy.reinstate = reinstate;
        let target = Target::new(config);
        let listener = lab.inside(Side::Target, || TcpListener::bind("0.0.0.0:3260"));
        let listener = listener.expect("nobody else listens there");
        let server = serve_tcp(listener, Arc::clone(&target)).expect("serving a target");
        Self {
            unit,
            target,
            _server: server,
        }
    }

    fn land_after(&self, landing_delay: Duration) {
        self.unit.set_faults(Faults {
            landing_delay,
            ..Faults::default()
        });
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        self.unit
            .disk()
            .read_at(0, &mut block)
            .expect("inside the disk");
        block
    }
}

/// The VCP dies while the target sits on a write; its successor replays that
/// write, and the client writes something else to the same place. What is there
/// when the first write's time has come?
fn after_the_delay(reinstate: bool) -> [u8; BLOCK] {
    let wiring = Wiring::tap("tso", Family::V4);
    let lab = wiring.lab();
    let late = Late::start(&lab, reinstate);
    let url = format!("iscsi://{}/{IQN}/0", wiring.portal);
    let host = Host::start(&lab, &wiring, &url, "");
    late.land_after(DELAY);
    let mut client = command("/usr/bin/python3");
    client.args(["-c", CLIENT, &host.uri()]);
    let client = Running::start(client, lab.dir(), "client");
    host.until("with the VCP", |seen| seen["waiting"] == 1);
    // And from there to the target, whose answer it waits for.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(late.block(), [0; BLOCK], "the write was not held back");
    let since = Instant::now();
    late.land_after(Duration::ZERO);
    host.inject("trap");
    let Outcome { status, stderr, .. } = client.outcome(DELAY);
    assert!(status.success(), "{stderr}");
    assert_eq!(late.block(), [NEW; BLOCK]);
    assert!(since.elapsed() < DELAY, "too slow to show anything");
    assert_eq!(host.faults(), 1);
    let landed = || (late.block() != [NEW; BLOCK]).then_some(());
    poll(DELAY + Duration::from_secs(1), landed);
    let violations = late.target.violations();
    assert!(violations.is_empty(), "{violations:?}");
    host.shut_down();
    late.block()
}

#[test]
fn no_write_of_the_dead_lands_over_one_of_the_living() {
    requires!(Root, Tun, "nbdsh");
    assert_eq!(after_the_delay(true), [NEW; BLOCK]);
}

/// The control: this is what the test sees without a fence.
#[test]
fn without_a_fence_it_does() {
    requires!(Root, Tun, "nbdsh");
    assert_eq!(after_the_delay(false), [OLD; BLOCK]);
}

/// `tgtd` too ends the dead generation's session when the next one logs in: its
/// connection is closed, and nothing piles up.
#[test]
fn a_login_takes_the_place_of_the_dead_session() {
    requires!(Root, Tun, "tgtd");
    let wiring = Wiring::tap("tso", Family::V4);
    let lab = wiring.lab();
    let tgtd = Tgtd::start(&lab);
    let target = tgtd.target(IQN);
    let lun = target.unit(1, Unit::new(SIZE));
    let host = Host::start(&lab, &wiring, &lun.url(wiring.portal), "");
    for crash in 1..=5 {
        host.inject("trap");
        host.until("ready again", |seen| {
            seen["state"] == "ready" && seen["faults"] == crash
        });
    }
    assert_eq!(target.sessions(), 1, "the dead live on at the target");
    assert_eq!(target.connections(), 1);
    host.shut_down();
    assert_eq!(target.sessions(), 0);
}

/// A disk that notes what it is asked to do, and whose first flush takes until it
/// is let go.
struct Noting {
    memory: SparseMemory,
    notes: Arc<Mutex<Vec<&'static str>>>,
    first_flush: Mutex<Option<Receiver<()>>>,
}

impl Noting {
    fn new() -> (Self, Arc<Mutex<Vec<&'static str>>>, Sender<()>) {
        let (let_go, first_flush) = channel();
        let notes = Arc::default();
        let disk = Self {
            memory: SparseMemory::new(SIZE),
            notes: Arc::clone(&notes),
            first_flush: Mutex::new(Some(first_flush)),
        };
        (disk, notes, let_go)
    }

    fn note(&self, what: &'static str) {
        self.notes.lock().expect("never held in a panic").push(what);
    }
}

impl Disk for Noting {
    fn size(&self) -> u64 {
        self.memory.size()
    }

    fn read_into(&self, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), DiskError> {
        self.memory.read_into(offset, length, out)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        self.note("write");
        self.memory.write_at(offset, data)
    }

    fn flush(&self) -> Result<(), DiskError> {
        self.note("flush");
        let first = self
            .first_flush
            .lock()
            .expect("never held in a panic")
            .take();
        if let Some(first) = first {
            // An error is the test's end, which lets go as well.
            let _ = first.recv();
        }
        self.memory.flush()
    }

    fn discard(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.memory.discard(offset, length)
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> Result<(), DiskError> {
        self.memory.write_zeroes(offset, length)
    }

    fn extent(&self, offset: u64) -> Result<Extent, DiskError> {
        self.memory.extent(offset)
    }
}

/// A write and a flush, the one not awaited before the other is asked for.
const FLUSHER: &str = "\
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
waiting = [h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray(b'\\xa1' * 4096)), 0)]
waiting.append(h.aio_flush())
while waiting:
    h.poll(-1)
    waiting = [cookie for cookie in waiting if not h.aio_command_completed(cookie)]
h.shutdown()
";

/// Both are with the target, which has done neither, when the VCP dies. The
/// successor's write lands late; its flush is not to come before it.
#[test]
fn a_replayed_flush_comes_after_the_write_it_covers() {
    requires!(Root, Tun, "nbdsh");
    let wiring = Wiring::tap("tso", Family::V4);
    let lab = wiring.lab();
    let (disk, notes, let_go) = Noting::new();
    let late = Late::on(&lab, Box::new(disk), true);
    // Dropped before the target, which waits for its connections.
    let let_go = let_go;
    let url = format!("iscsi://{}/{IQN}/0", wiring.portal);
    let host = Host::start(&lab, &wiring, &url, "");
    late.land_after(DELAY);
    let mut client = command("/usr/bin/python3");
    client.args(["-c", FLUSHER, &host.uri()]);
    let client = Running::start(client, lab.dir(), "client");
    host.until("with the VCP", |seen| seen["waiting"] == 2);
    let seen = || notes.lock().expect("never held in a panic").clone();
    let flushing = || (seen() == ["flush"]).then_some(());
    let flushing = poll(DELAY / 2, flushing);
    assert!(flushing.is_some(), "{:?}", seen());
    late.land_after(Duration::from_millis(500));
    host.inject("trap");
    let Outcome { status, stderr, .. } = client.outcome(DELAY * 2);
    assert!(status.success(), "{stderr}");
    assert_eq!(seen(), ["flush", "write", "flush"]);
    drop(let_go);
    host.shut_down();
}
