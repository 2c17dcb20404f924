//! Opening links: what works without privileges, what is refused and how the
//! refusal reads, what is set up, and what a capture holds. Needs root, to make
//! namespaces and to have something to give up.

#[expect(dead_code, reason = "this test needs no traffic of its own")]
mod lab;

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use lab::{Namespace, Station, addresses, needs, skip};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use vcp_link::{LinkKind, LinkSpec, Offloading, open};
use vcp_netstack::State;

fn tap(name: &str) -> LinkSpec {
    LinkSpec::new(LinkKind::Tap(name.into()))
}

fn packet(name: &str) -> LinkSpec {
    LinkSpec::new(LinkKind::Packet(name.into()))
}

fn refusal(spec: &LinkSpec) -> String {
    open(spec).err().expect("it opened").to_string()
}

/// Gives up every privilege, for this thread only.
fn drop_privileges() {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    set_capabilities(None, sets).unwrap();
}

/// Opens a link that was open until just now: a program that another test is starting
/// may still hold a copy of its descriptor for a moment.
fn reopened(spec: &LinkSpec) -> Station {
    let end = Instant::now() + Duration::from_secs(2);
    loop {
        match Station::open(spec) {
            Ok(station) => return station,
            Err(error) if error.to_string().contains("another program") && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_tap_prepared_by_an_administrator_opens_without_privileges() {
    if !needs("a_tap_prepared_by_an_administrator_opens_without_privileges") {
        return;
    }
    let namespace = Namespace::new();
    namespace.ip("tuntap add dev vcp0 mode tap user 0");
    namespace.ip("address add 10.78.0.1/24 dev vcp0");
    namespace.ip("link set dev vcp0 up");
    namespace.enter(|| {
        drop_privileges();
        for offload in [
            Offloading::Segmentation,
            Offloading::None,
            Offloading::Checksum,
        ] {
            // An address that is there already needs no privilege either.
            let host_addresses = vec![(addresses(false)[0], 24)];
            let spec = LinkSpec {
                offload,
                host_addresses,
                ..tap("vcp0")
            };
            let mut station = reopened(&spec);
            let listener = TcpListener::bind((addresses(false)[0], 0)).unwrap();
            let handle = station.connect(listener.local_addr().unwrap());
            let (mut peer, _) = listener.accept().unwrap();
            peer.write_all(&[7; 20_000]).unwrap();
            while station.stack.readable(handle) < 20_000 {
                station.turn(Duration::from_secs(1));
            }
            station.stack.close(handle);
            station.flush();
            assert_eq!(peer.read(&mut [0; 10]).unwrap(), 0);
            assert_ne!(station.stack.state(handle), State::Open);
        }
    });
}

#[test]
fn want_of_privileges_reads_well() {
    if !needs("want_of_privileges_reads_well") {
        return;
    }
    let namespace = Namespace::new();
    namespace.veth();
    namespace.ip("tuntap add dev other0 mode tap user 12345");
    namespace.ip("tuntap add dev mine0 mode tap user 0");
    namespace.enter(|| {
        drop_privileges();
        let create = "`ip tuntap add dev vcp0 mode tap user $USER`";
        for offload in [Offloading::Segmentation, Offloading::None] {
            let text = refusal(&LinkSpec {
                offload,
                ..tap("vcp0")
            });
            assert!(
                text.starts_with("tap vcp0: creating the interface: "),
                "{text}"
            );
            assert!(
                text.contains("not permitted; run as root") && text.contains(create),
                "{text}"
            );
            let text = refusal(&LinkSpec {
                offload,
                ..tap("other0")
            });
            assert!(
                text.contains("other0: attaching to the interface: ")
                    && text.contains("another user"),
                "{text}"
            );
        }
        let text = refusal(&tap("mine0"));
        assert!(
            text.starts_with("tap mine0: bringing it up: ")
                && text.ends_with("`ip link set dev mine0 up`"),
            "{text}"
        );
        let text = refusal(&LinkSpec {
            mtu: Some(9000),
            ..tap("mine0")
        });
        assert!(
            text.starts_with("tap mine0: setting its mtu to 9000: "),
            "{text}"
        );
        let text = refusal(&packet("near"));
        assert!(
            text.ends_with("not permitted; run as root or give CAP_NET_RAW"),
            "{text}"
        );
    });
}

#[test]
fn what_is_no_fit_interface_reads_well() {
    if !needs("what_is_no_fit_interface_reads_well") {
        return;
    }
    let namespace = Namespace::new();
    namespace.veth();
    namespace.ip("link add down0 type veth peer name down1");
    namespace.enter(|| {
        let _held = open(&tap("vcp0")).unwrap();
        let small = LinkSpec {
            mtu: Some(9000),
            ..packet("near")
        };
        let cases = [
            (tap("vcp0"), "tap vcp0: another program is using it"),
            (
                LinkSpec {
                    offload: Offloading::None,
                    ..tap("vcp0")
                },
                "tap vcp0: another program is using it",
            ),
            (
                tap("near"),
                "tap near: the interface exists and is no TAP, or one of several queues",
            ),
            (packet("none0"), "packet none0: there is no such interface"),
            (packet("lo"), "packet lo: it is no Ethernet interface"),
            (
                packet("down0"),
                "packet down0: it is down; `ip link set dev down0 up` brings it up",
            ),
            (
                small,
                "packet near: mtu 9000 is more than the interface's 1500",
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(refusal(&spec), expected);
        }
        let nowhere = LinkSpec {
            pcap: Some("/nonexistent/a.pcapng".into()),
            ..tap("vcp1")
        };
        let expected = "tap vcp1: capture file /nonexistent/a.pcapng: no such file or directory";
        assert_eq!(refusal(&nowhere), expected);
    });
}

#[test]
fn sets_the_host_end_up_and_takes_it_away() {
    if !needs("sets_the_host_end_up_and_takes_it_away") {
        return;
    }
    let namespace = Namespace::new();
    namespace.enter(|| {
        let spec = LinkSpec {
            mtu: Some(9000),
            mac: Some([2, 1, 2, 3, 4, 5]),
            host_addresses: vec![(addresses(false)[0], 24), (addresses(true)[0], 64)],
            ..tap("vcp0")
        };
        let link = open(&spec).unwrap();
        assert_eq!(
            (link.properties().mtu, link.properties().mac),
            (9000, [2, 1, 2, 3, 4, 5])
        );
        for ipv6 in [false, true] {
            UdpSocket::bind((addresses(ipv6)[0], 0)).expect("the address is not there");
        }
        assert!(namespace.exec(&["sh", "-c", "ip link show dev vcp0 up | grep -q 'mtu 9000'"]));
        drop(link);
        assert!(
            !namespace.exec(&["ip", "link", "show", "dev", "vcp0"]),
            "it stayed behind"
        );
    });
}

#[test]
fn tshark_reads_a_capture() {
    const NAME: &str = "tshark_reads_a_capture";
    if !needs(NAME) {
        return;
    }
    if !lab::run(&["tshark", "--version"]) {
        return skip(NAME, "tshark");
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("link.pcapng");
    let namespace = Namespace::new();
    namespace.enter(|| {
        let host_addresses = vec![(addresses(false)[0], 24)];
        let spec = LinkSpec {
            host_addresses,
            pcap: Some(path.clone()),
            ..tap("vcp0")
        };
        let mut station = Station::open(&spec).unwrap();
        let listener = TcpListener::bind((addresses(false)[0], 0)).unwrap();
        let handle = station.connect(listener.local_addr().unwrap());
        let (mut peer, _) = listener.accept().unwrap();
        station.stack.send(handle, |room| room.len().min(300_000));
        std::thread::spawn(move || while peer.read(&mut [0; 65_536]).unwrap_or(0) > 0 {});
        while station.stack.unacknowledged(handle) > 0 {
            station.turn(Duration::from_secs(1));
        }
    });
    let fields = "-Tfields -eframe.time_epoch -eframe.len -eframe.cap_len -eframe.packet_flags_direction \
                  -etcp.flags.syn -eframe.interface_name";
    let output = Command::new("tshark")
        .arg("-nr")
        .arg(&path)
        .args(fields.split_whitespace())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert!(
        rows.iter()
            .all(|row| row[1] == row[2] && row[5] == "tap vcp0"),
        "{text}"
    );
    let directions = |wanted: &str| {
        rows.iter()
            .filter(|row| row[3] == wanted || row[3].ends_with(wanted))
            .count()
    };
    assert!(directions("1") > 0 && directions("2") > 0, "{text}");
    assert_eq!(
        rows.iter()
            .filter(|row| row[4] == "1" || row[4] == "True")
            .count(),
        2,
        "{text}"
    );
    assert!(
        rows.iter()
            .any(|row| row[1].parse::<usize>().unwrap() > 20_000),
        "no super-frame: {text}"
    );
    let nanoseconds = rows.iter().any(|row| !row[0].ends_with("000"));
    assert!(nanoseconds, "times are rounded: {text}");
}

#[test]
fn only_frames_for_the_vcp_and_for_groups_arrive() {
    if !needs("only_frames_for_the_vcp_and_for_groups_arrive") {
        return;
    }
    let namespace = Namespace::new();
    namespace.veth();
    namespace.enter(|| {
        let (mine, peer) = ([2, 0, 0, 0, 0, 7], [2, 0, 0, 0, 0, 8]);
        for offload in [Offloading::Segmentation, Offloading::None] {
            let mut near = open(&LinkSpec {
                offload,
                mac: Some(mine),
                ..packet("near")
            })
            .unwrap();
            let mut far = open(&LinkSpec {
                mac: Some(peer),
                ..packet("far")
            })
            .unwrap();
            let destinations = [
                mine,
                [2, 0, 0, 0, 0, 9],
                [0xff; 6],
                peer,
                [0x33, 0x33, 0, 0, 0, 1],
                mine,
            ];
            for (number, destination) in destinations.iter().enumerate() {
                let mut frame = [number as u8; 60];
                frame[..6].copy_from_slice(destination);
                frame[6..12].copy_from_slice(&peer);
                // An experimental protocol, so that the kernel's own frames are told apart.
                frame[12..14].copy_from_slice(&[0x88, 0xb5]);
                assert!(far.send(&frame, Default::default()).unwrap());
            }
            let mut buffer = vec![0; vcp_queue::link::MAX_FRAME];
            let mut arrived = Vec::new();
            while let Some(frame) = near.receive(&mut buffer).unwrap() {
                if buffer[12..14] == [0x88, 0xb5] {
                    assert_eq!(frame.length, 60);
                    arrived.push(buffer[14]);
                }
            }
            assert_eq!(arrived, [0, 2, 4, 5]);
        }
    });
}
