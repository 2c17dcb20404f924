//! Faults of a processor, over frames and over streams of the host's.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use vcp_core::{Event, Fault, Network, Peers};
use vcp_queue::Status;

use crate::cases;
use crate::frames::{self, PROCESSOR};
use crate::scenario::{Scenario, settings};

/// A VCP whose streams may go to a listener of the test, and that listener.
fn scenario(fault: &str, name: &str) -> (Scenario, TcpListener) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let peer = listener.local_addr().unwrap().to_string();
    let mut settings = settings(&PROCESSOR, &[("fault", fault), ("peer", &peer)]);
    name.clone_into(&mut settings.name);
    settings.network = Some(Network::Streams {
        peers: Peers::only(Ipv4Addr::LOCALHOST.into()),
    });
    (Scenario::start(settings), listener)
}

fn strike(expected: fn(&Fault) -> bool) -> impl Fn(&str) {
    move |fault| {
        let (mut scenario, _listener) = scenario(fault, "test");
        scenario.expect_ready();
        scenario.strike();
        let found = scenario.expect_fault(1);
        assert!(expected(&found), "{found:?}");
        scenario.expect_ready();
        scenario.expect_answers();
        scenario.end();
    }
}

fn refused(why: &'static str) -> impl Fn(&str) {
    move |fault| {
        let (mut scenario, _listener) = scenario(fault, "test");
        scenario.expect_ready();
        scenario.strike();
        scenario.expect_answers();
        assert_eq!(scenario.event(), Event::Found(format!("closed: {why}")));
        scenario.end();
    }
}

fn unheard(fault: &str) {
    let (mut scenario, _listener) = scenario(fault, "test");
    scenario.expect_ready();
    scenario.strike();
    scenario.expect_answers();
    scenario.end();
}

fn protocol(fault: &Fault, text: &str) -> bool {
    matches!(fault, Fault::Protocol(why) if why.contains(text))
}

/// Each stream is closed with a megabyte unsent that its peer does not read.
fn unsent_is_bounded(fault: &str) {
    let (mut scenario, listener) = scenario(fault, "test");
    rustix::net::sockopt::set_socket_recv_buffer_size(&listener, 4096).unwrap();
    scenario.expect_ready();
    let peers = std::thread::spawn(move || {
        let mut held = Vec::new();
        listener.set_nonblocking(true).unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            match listener.accept() {
                Ok((peer, _)) => held.push(peer),
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        held.len()
    });
    scenario.strike();
    scenario.expect_answers();
    let why = "closed: too many connections that are still being closed";
    assert_eq!(scenario.event(), Event::Found(why.to_owned()));
    assert_eq!(peers.join().unwrap(), 128);
    scenario.end();
}

/// The streams of a VCP that gave up are closed, and not polled for any more.
fn dead_streams_are_closed(fault: &str) {
    let (mut scenario, listener) = scenario(fault, "deadstream");
    scenario.expect_ready();
    scenario.strike();
    scenario.expect_answers();
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(scenario.expect_failed(), "over");
    // The peer sees a reset, or the end, and not silence.
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut bytes = Vec::new();
    if let Err(error) = peer.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    let _ = peer.write_all(b"anyone?");
    let before = cpu_ticks("vcp-deadstream");
    std::thread::sleep(Duration::from_millis(500));
    assert!(cpu_ticks("vcp-deadstream") - before < 10);
    scenario.strike();
    scenario.expect_refusals(6, Status::IoError);
    scenario.end();
}

/// Ticks of 10 ms that a thread of this process has used.
pub(crate) fn cpu_ticks(name: &str) -> u64 {
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let Ok(stat) = std::fs::read_to_string(task.unwrap().path().join("stat")) else {
            continue;
        };
        let (head, fields) = stat.rsplit_once(") ").unwrap();
        if head.ends_with(name) {
            let fields: Vec<&str> = fields.split(' ').collect();
            return fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        }
    }
    panic!("no thread {name}")
}

fn on_frames(offload: bool, expected: fn(&Fault) -> bool) -> impl Fn(&str) {
    move |fault| frames::strike(fault, offload, expected)
}

fn no_start(why: &'static str) -> impl Fn(&str) {
    move |fault| frames::start(fault, why)
}

fn outside(fault: &Fault) -> bool {
    matches!(fault, Fault::Span { what: "frame", .. })
}

cases! { vcp_test_guests::faults::processor::FAULTS,
    receive_none => no_start("receive area of 0 bytes, which is less than 131072");
    receive_small => no_start("receive area of 131071 bytes, which is less than 131072");
    frame_outside => on_frames(true, outside);
    frame_near_end => on_frames(true, outside);
    frame_empty => on_frames(true, |f| protocol(f, "frame of 0 bytes"));
    frame_short => on_frames(true, |f| protocol(f, "frame of 13 bytes"));
    frame_over_mtu => on_frames(true, |f| protocol(f, "frame of 1515 bytes on a link with an MTU of 1500"));
    frame_huge => on_frames(true, |f| protocol(f, "frame of 70000 bytes"));
    frames_many => on_frames(true, |f| protocol(f, "500000 frames in one batch"));
    checksum_unasked => on_frames(false, |f| protocol(f, "its checksum left to the link"));
    checksum_outside => on_frames(true, |f| protocol(f, "its checksum left to the link at 131070"));
    segment_unasked => on_frames(false, |f| protocol(f, "its checksum left to the link"));
    segment_alone => on_frames(true, |f| protocol(f, "to be cut into segments"));
    segment_odd => frames::carried;
    streams_on_frames => on_frames(true, |f| protocol(f, "the host terminates none"));
    frames_on_streams => strike(|f| protocol(f, "no link"));
    connect_not_granted => refused("connecting to 192.0.2.1 is not granted; net.allow = [\"192.0.2.1\"] grants it");
    connect_no_address => refused("not an IP address");
    connect_twice => strike(|f| protocol(f, "stream 7 can't be opened now"));
    connect_many => strike(|f| protocol(f, "stream 64 can't be opened now"));
    connect_batch => strike(|f| protocol(f, "100000 connects in one batch"));
    send_early => strike(|f| protocol(f, "more sent than its credit"));
    send_beyond_credit => strike(|f| protocol(f, "more sent than its credit"));
    send_outside => strike(|f| matches!(f, Fault::Span { what: "stream data", .. }));
    send_unknown => unheard;
    close_unknown => unheard;
    close_batch => strike(|f| protocol(f, "100000 closes in one batch"));
    close_unsent => unsent_is_bounded;
    failed_with_stream => dead_streams_are_closed;
}
