//! No write of a dead generation lands after one of the next: session
//! reinstatement ends the old session's tasks (RFC 7143 §6.3.5). Shown with a
//! target whose writes land late, and with one that knows no reinstatement, where
//! it goes wrong.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vcp_target::Target;
use vcp_target::config::{TargetConfig, TargetNode};
use vcp_target::disk::SparseMemory;
use vcp_target::lun::{Faults, LogicalUnit, Node, UnitOptions};
use vcp_target::serve::{TcpServer, serve_tcp};
use vcp_tests::host::Host;
use vcp_tests::lab::{Lab, Side};
use vcp_tests::process::{Outcome, Running, command, poll};
use vcp_tests::requires;
use vcp_tests::wiring::{Family, Wiring};

const IQN: &str = "iqn.2026-11.test:fence";
/// How late writes land: longer than a restart and two writes take on a machine
/// that is busy with other tests.
const DELAY: Duration = Duration::from_secs(5);
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
        let disk = Box::new(SparseMemory::new(8 << 20));
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
