//! Interfaces that are removed and made again: when a link says that it is gone, and
//! how it is opened once more. Needs root, to make namespaces.

#[expect(dead_code, reason = "this test needs no traffic of its own")]
mod lab;

use std::io;
use std::time::{Duration, Instant};

use lab::{Namespace, needs};
use vcp_link::{LinkKind, LinkSpec, Offloading, Opener};
use vcp_queue::link::MAX_FRAME;
use vcp_queue::{Link, Offload};

/// One turn of a link's user: it receives all frames that are there, and sends a broadcast.
fn turn(link: &mut dyn Link) -> io::Result<()> {
    let mut buffer = vec![0; MAX_FRAME];
    while link.receive(&mut buffer)?.is_some() {}
    let mut frame = [0; 60];
    frame[..6].fill(0xff);
    frame[6..12].copy_from_slice(&link.properties().mac);
    link.send(&frame, Offload::default()).map(drop)
}

/// Opens the link again as soon as it is free: a process that another test is just starting
/// may hold what was closed here.
fn patiently(opener: &Opener) -> Box<dyn Link> {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match opener.reopen() {
            Ok(link) => return link,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The error of a link whose interface has been removed.
fn gone(link: &mut dyn Link) -> io::Error {
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        match turn(link) {
            Err(error) => return error,
            Ok(()) => assert!(Instant::now() < end, "it never said so"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a link still carries frames; `false` once it says that it is gone.
fn lives(link: &mut dyn Link) -> bool {
    let end = Instant::now() + Duration::from_millis(300);
    while Instant::now() < end {
        if turn(link).is_err() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

fn refusal(opener: &Opener) -> String {
    opener.reopen().err().expect("it opened").to_string()
}

const OFFLOADS: [Offloading; 2] = [Offloading::Segmentation, Offloading::None];

#[test]
fn a_packet_socket_waits_for_its_interface() {
    if !needs("a_packet_socket_waits_for_its_interface") {
        return;
    }
    for offload in OFFLOADS {
        let namespace = Namespace::new();
        namespace.veth();
        namespace.enter(|| {
            let spec = LinkSpec {
                offload,
                ..LinkSpec::new(LinkKind::Packet("near".into()))
            };
            let (mut link, opener) = Opener::open(&spec).unwrap();
            let mac = link.properties().mac;
            namespace.ip("link del near");
            gone(&mut *link);
            drop(link);
            assert_eq!(refusal(&opener), "packet near: there is no such interface");
            namespace.ip("link add near type veth peer name far");
            let down = "packet near: it is down; `ip link set dev near up` brings it up";
            assert_eq!(refusal(&opener), down);
            namespace.ip("link set near mtu 1400 up");
            let mut again = opener.reopen().unwrap();
            assert_eq!(again.properties().mac, mac);
            assert_eq!(again.properties().mtu, 1400);
            assert!(lives(&mut *again));
        });
    }
}

#[test]
fn a_tap_of_our_own_is_made_again() {
    if !needs("a_tap_of_our_own_is_made_again") {
        return;
    }
    for offload in OFFLOADS {
        let namespace = Namespace::new();
        namespace.enter(|| {
            let spec = LinkSpec {
                offload,
                host_addresses: vec![(lab::addresses(false)[0], 24)],
                ..LinkSpec::new(LinkKind::Tap("vcp0".into()))
            };
            let (mut link, opener) = Opener::open(&spec).unwrap();
            let mac = link.properties().mac;
            namespace.ip("link del vcp0");
            gone(&mut *link);
            drop(link);
            let mut again = opener.reopen().unwrap();
            assert_eq!(again.properties().mac, mac);
            assert!(lives(&mut *again));
            assert!(namespace.exec(&["sh", "-c", "ip -4 address show dev vcp0 | grep -q 10.78"]));
        });
    }
}

/// There is more to an interface that another program made: a bridge, addresses.
#[test]
fn a_tap_of_somebody_elses_is_waited_for() {
    if !needs("a_tap_of_somebody_elses_is_waited_for") {
        return;
    }
    let namespace = Namespace::new();
    namespace.ip("tuntap add dev vcp0 mode tap");
    namespace.enter(|| {
        let spec = LinkSpec::new(LinkKind::Tap("vcp0".into()));
        let (mut link, opener) = Opener::open(&spec).unwrap();
        namespace.ip("link del vcp0");
        gone(&mut *link);
        drop(link);
        for _ in 0..3 {
            assert_eq!(refusal(&opener), "tap vcp0: there is no such interface");
        }
        namespace.ip("tuntap add dev vcp0 mode tap");
        assert!(lives(&mut *opener.reopen().unwrap()));
    });
}

/// A link that is down is not gone.
#[test]
fn down_and_up_again_is_the_same_link() {
    if !needs("down_and_up_again_is_the_same_link") {
        return;
    }
    for offload in OFFLOADS {
        let namespace = Namespace::new();
        namespace.veth();
        namespace.enter(|| {
            let kinds = [
                (LinkKind::Packet("near".into()), "near"),
                (LinkKind::Tap("vcp0".into()), "vcp0"),
            ];
            for (kind, name) in kinds {
                let spec = LinkSpec {
                    offload,
                    ..LinkSpec::new(kind)
                };
                let (mut link, _) = Opener::open(&spec).unwrap();
                for state in ["down", "up", "down", "up"] {
                    namespace.ip(&format!("link set dev {name} {state}"));
                    assert!(lives(&mut *link), "{name} {state}");
                }
                // An interface that is removed while it is down is gone.
                namespace.ip(&format!("link set dev {name} down"));
                assert!(lives(&mut *link), "{name} down");
                namespace.ip(&format!("link del dev {name}"));
                gone(&mut *link);
            }
        });
    }
}

/// The frames captured before are still there, and the rest comes after them.
#[test]
fn a_capture_goes_on_in_the_same_file() {
    if !needs("a_capture_goes_on_in_the_same_file") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("link.pcapng");
    let namespace = Namespace::new();
    namespace.enter(|| {
        let spec = LinkSpec {
            pcap: Some(path.clone()),
            ..LinkSpec::new(LinkKind::Tap("vcp0".into()))
        };
        let (mut link, opener) = Opener::open(&spec).unwrap();
        turn(&mut *link).unwrap();
        drop(link);
        let before = std::fs::read(&path).unwrap();
        let mut again = patiently(&opener);
        turn(&mut *again).unwrap();
        drop(again);
        let after = std::fs::read(&path).unwrap();
        assert!(after.starts_with(&before));
        // A section begins where the one before ends.
        assert_eq!(after[before.len()..][..4], before[..4]);
        assert!(after.len() >= 2 * before.len());
    });
}
