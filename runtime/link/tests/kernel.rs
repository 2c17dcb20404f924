//! The stack against the kernel's TCP, over TAPs and packet sockets, with every
//! offload and both families, in network namespaces made for it. Needs root.

mod lab;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use lab::{Namespace, Station, addresses, needs};
use vcp_link::{FaultRates, Faults, LinkKind, LinkSpec, Offloading, open};
use vcp_netstack::{End, State};

const OFFLOADS: [Offloading; 3] = [
    Offloading::None,
    Offloading::Checksum,
    Offloading::Segmentation,
];
/// Bytes each way. Prime, so that no size anything is cut into divides it.
const AMOUNT: usize = if cfg!(debug_assertions) {
    33_554_467
} else {
    536_870_923
};
/// The contents repeat after this many bytes.
const PERIOD: usize = 1_048_583;

fn tap() -> LinkSpec {
    let mut spec = LinkSpec::new(LinkKind::Tap("vcp0".into()));
    spec.host_addresses = vec![(addresses(false)[0], 24), (addresses(true)[0], 64)];
    spec
}

fn packet() -> LinkSpec {
    LinkSpec::new(LinkKind::Packet("near".into()))
}

/// Two periods of contents, so that any run of up to one period is contiguous.
fn contents() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let period: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 56) as u8
    })
    .take(PERIOD)
    .collect();
    [&period[..], &period].concat()
}

fn expect(contents: &[u8], at: usize, found: &[u8]) {
    for (index, chunk) in found.chunks(PERIOD).enumerate() {
        let at = (at + index * PERIOD) % PERIOD;
        assert!(
            contents[at..at + chunk.len()] == *chunk,
            "wrong bytes near {at}"
        );
    }
}

/// The kernel's side: reads `amount` bytes and checks them, then sends as many.
fn serve(listener: &TcpListener, contents: &[u8], amount: usize) {
    let (mut stream, _) = listener.accept().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < amount {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "closed after {at}");
        expect(contents, at, &buffer[..count]);
        at += count;
    }
    let mut at = 0;
    while at < amount {
        let count = (amount - at).min(1 << 18);
        stream
            .write_all(&contents[at % PERIOD..at % PERIOD + count])
            .unwrap();
        at += count;
    }
    assert_eq!(stream.read(&mut buffer).unwrap(), 0, "no FIN");
}

/// The cost of a transfer in one direction.
struct Cost {
    wall: Duration,
    /// The CPU time of this thread, with what the kernel does in its name.
    cpu: Duration,
}

impl Cost {
    fn since(begin: &Cost) -> Cost {
        let now = Cost::now();
        Cost {
            wall: now.wall - begin.wall,
            cpu: now.cpu - begin.cpu,
        }
    }

    fn now() -> Cost {
        let read = |clock| {
            let time = rustix::time::clock_gettime(clock);
            Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
        };
        Cost {
            wall: read(rustix::time::ClockId::Monotonic),
            cpu: read(rustix::time::ClockId::ThreadCPUTime),
        }
    }

    fn speeds(&self, amount: usize) -> String {
        let megabytes = amount as f64 / 1e6;
        let (wall, cpu) = (self.wall.as_secs_f64(), self.cpu.as_secs_f64());
        format!(
            "{:.0} MB/s ({:.0} MB per CPU second)",
            megabytes / wall,
            megabytes / cpu
        )
    }
}

/// The VCP's side; returns the costs of sending and of receiving.
fn converse(
    station: &mut Station,
    remote: SocketAddr,
    contents: &[u8],
    amount: usize,
) -> [Cost; 2] {
    let handle = station.connect(remote);
    let begin = Cost::now();
    let mut at = 0;
    while at < amount || station.stack.unacknowledged(handle) > 0 {
        while at < amount {
            let written = station.stack.send(handle, |room| {
                let count = room.len().min(amount - at).min(PERIOD);
                room[..count].copy_from_slice(&contents[at % PERIOD..at % PERIOD + count]);
                count
            });
            at += written;
            if written == 0 {
                break;
            }
        }
        station.flush();
        station.turn(Duration::from_secs(1));
        assert_eq!(
            station.stack.state(handle),
            State::Open,
            "after {at} bytes out"
        );
    }
    let out = Cost::since(&begin);
    let begin = Cost::now();
    let mut at = 0;
    while at < amount {
        station.turn(Duration::from_secs(1));
        while station.stack.recv(handle, |bytes| {
            expect(contents, at, bytes);
            at += bytes.len();
            bytes.len()
        }) > 0
        {}
        assert_eq!(
            station.stack.state(handle),
            State::Open,
            "after {at} bytes in"
        );
    }
    let taken = Cost::since(&begin);
    station.stack.close(handle);
    station.until(handle, State::Closing);
    station.flush();
    [out, taken]
}

/// Transfers in bulk both ways, with every offload and both families.
fn bulk(kind: &str, spec: LinkSpec) {
    let contents = contents();
    for offload in OFFLOADS {
        let namespace = Namespace::new();
        namespace.veth_if(kind == "packet");
        namespace.enter(|| {
            let spec = LinkSpec {
                offload,
                ..spec.clone()
            };
            let mut station = Station::open(&spec).unwrap();
            for ipv6 in [false, true] {
                let listener = TcpListener::bind((addresses(ipv6)[0], 0)).unwrap();
                let remote = listener.local_addr().unwrap();
                station.largest = [0; 2];
                let costs = std::thread::scope(|scope| {
                    let server = scope.spawn(|| serve(&listener, &contents, AMOUNT));
                    let costs = converse(&mut station, remote, &contents, AMOUNT);
                    while !server.is_finished() {
                        station.turn(Duration::from_millis(10));
                    }
                    server.join().unwrap();
                    costs
                });
                println!(
                    "{kind} {offload:?} {}: out {}, in {}, largest frames in {}, out {}",
                    if ipv6 { "IPv6" } else { "IPv4" },
                    costs[0].speeds(AMOUNT),
                    costs[1].speeds(AMOUNT),
                    station.largest[0],
                    station.largest[1],
                );
                check_sizes(offload, station.largest);
            }
            assert_eq!(station.stack.counters().bad_checksum, 0);
        });
    }
}

/// Checks that there are unsegmented frames exactly where they were asked for.
fn check_sizes(offload: Offloading, largest: [usize; 2]) {
    match offload {
        Offloading::Segmentation => {
            assert!(largest.iter().all(|&length| length > 30_000), "{largest:?}")
        }
        _ => assert!(largest.iter().all(|&length| length <= 1514), "{largest:?}"),
    }
}

#[test]
fn bulk_over_tap() {
    if needs("bulk_over_tap") {
        bulk("tap", tap());
    }
}

#[test]
fn bulk_over_packet() {
    if needs("bulk_over_packet") {
        bulk("packet", packet());
    }
}

#[test]
fn a_faulty_link_loses_no_byte() {
    if !needs("a_faulty_link_loses_no_byte") {
        return;
    }
    let contents = contents();
    let namespace = Namespace::new();
    namespace.enter(|| {
        let link = open(&LinkSpec {
            offload: Offloading::None,
            ..tap()
        })
        .unwrap();
        let rates = FaultRates {
            loss: 1,
            duplication: 5,
            reordering: 5,
            corruption: 1,
        };
        let mut station = Station::new(Box::new(Faults::new(link, rates, 11)));
        let listener = TcpListener::bind((addresses(false)[0], 0)).unwrap();
        let remote = listener.local_addr().unwrap();
        std::thread::scope(|scope| {
            let server = scope.spawn(|| serve(&listener, &contents, 2_000_003));
            converse(&mut station, remote, &contents, 2_000_003);
            while !server.is_finished() {
                station.turn(Duration::from_millis(10));
            }
            server.join().unwrap();
        });
    });
}

#[test]
fn connections_from_the_kernel_are_accepted_refused_and_reset() {
    if !needs("connections_from_the_kernel_are_accepted_refused_and_reset") {
        return;
    }
    let namespace = Namespace::new();
    namespace.enter(|| {
        let mut station = Station::open(&tap()).unwrap();
        station.stack.listen(3260).unwrap();
        for ipv6 in [false, true] {
            let address = addresses(ipv6)[1];
            let client = std::thread::spawn(move || {
                let refused = std::net::TcpStream::connect((address, 9)).unwrap_err();
                assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
                let mut stream = std::net::TcpStream::connect((address, 3260)).unwrap();
                stream.write_all(b"hello").unwrap();
                let mut answer = [0; 5];
                stream.read_exact(&mut answer).unwrap();
                assert_eq!(&answer, b"HELLO");
                stream.read(&mut answer).unwrap_err().kind()
            });
            let handle = loop {
                station.turn(Duration::from_millis(100));
                if let Some(handle) = station.stack.accept(3260) {
                    break handle;
                }
            };
            let mut greeting = Vec::new();
            while greeting.len() < 5 {
                station.turn(Duration::from_millis(100));
                station.stack.recv(handle, |bytes| {
                    greeting.extend_from_slice(bytes);
                    bytes.len()
                });
            }
            greeting.make_ascii_uppercase();
            station.stack.send(handle, |room| {
                room[..5].copy_from_slice(&greeting);
                5
            });
            while {
                station.turn(Duration::from_millis(100));
                station.stack.unacknowledged(handle) > 0
            } {}
            let now = station.now();
            station.stack.abort(handle, now);
            station.flush();
            assert_eq!(client.join().unwrap(), std::io::ErrorKind::ConnectionReset);
            assert_eq!(station.stack.state(handle), State::Closed(End::Aborted));
        }
    });
}

#[test]
fn a_deleted_interface_is_an_error_not_a_hang() {
    if !needs("a_deleted_interface_is_an_error_not_a_hang") {
        return;
    }
    for (spec, interface) in [(tap(), "vcp0"), (packet(), "near")] {
        let namespace = Namespace::new();
        namespace.veth_if(interface == "near");
        namespace.enter(|| {
            let mut link = open(&spec).unwrap();
            let mut buffer = vec![0; vcp_queue::link::MAX_FRAME];
            while link.receive(&mut buffer).unwrap().is_some() {}
            namespace.ip(&format!("link delete {interface}"));
            let limit = Instant::now() + Duration::from_secs(5);
            let frame = [2; 60];
            while link.receive(&mut buffer).is_ok() || link.send(&frame, Default::default()).is_ok()
            {
                assert!(Instant::now() < limit, "{interface}: nothing noticed");
            }
        });
    }
}
