//! A target served over a pipe link: the initiator has a network stack of its own at the
//! other end, as a VCP has.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vcp_iscsi_proto::{RESERVED_TAG, TargetPdu};
use vcp_link::{PipeEnd, pipe};
use vcp_netstack::{Checksum, Config, Congestion, Handle, Stack, State};
use vcp_queue::link::MAX_FRAME;
use vcp_queue::{Link, LinkProperties, Offload};
use vcp_target::Target;
use vcp_target::serve::{LinkOptions, LinkServer, serve_link};

use crate::client::{Client, Transport, pattern, target_of, unit};

/// A TCP connection over a link.
struct Wired {
    link: PipeEnd,
    stack: Stack,
    handle: Handle,
    start: Instant,
    frame: Vec<u8>,
}

impl Wired {
    fn connect(link: PipeEnd, local: &str, remote: &str) -> Self {
        let properties = link.properties();
        let mut config = Config::new(properties.mac, properties.mtu as usize, 7);
        config.addresses.push((
            local.parse().unwrap(),
            64.min(if local.contains(':') { 64 } else { 24 }),
        ));
        config.checksum_offload = properties.checksum_offload;
        config.segmentation_offload = properties.segmentation_offload;
        config.congestion = Congestion::None;
        let mut stack = Stack::new(config, 0).unwrap();
        let remote: SocketAddr = remote.parse().unwrap();
        let handle = stack.connect(remote, 0).unwrap();
        let frame = vec![0; MAX_FRAME];
        let mut wired = Self {
            link,
            stack,
            handle,
            start: Instant::now(),
            frame,
        };
        while wired.stack.state(handle) == State::Connecting {
            wired.step(true);
        }
        wired
    }

    fn step(&mut self, may_wait: bool) {
        let now = |start: Instant| start.elapsed().as_nanos() as u64;
        self.stack.poll(now(self.start));
        let (arena, frames) = self.stack.outgoing();
        for f in frames {
            let offload = Offload {
                checksum_start: f.checksum_start,
                checksum_offset: f.checksum_offset,
                segment_size: f.segment_size,
            };
            while !self
                .link
                .send(&arena[f.offset..f.offset + f.length], offload)
                .unwrap()
            {
                std::thread::yield_now();
            }
        }
        self.stack.clear_outgoing();
        if may_wait {
            let fd = self.link.fd();
            let limit = Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            };
            poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)).unwrap();
        }
        // An error is the end of the link; frames before it still count.
        while let Ok(Some(received)) = self.link.receive(&mut self.frame) {
            let checksum = match received.checksum {
                vcp_queue::Checksum::Unverified => Checksum::Unverified,
                vcp_queue::Checksum::Verified => Checksum::Verified,
                vcp_queue::Checksum::Partial => Checksum::Partial,
            };
            self.stack
                .receive(now(self.start), &self.frame[..received.length], checksum);
        }
    }
}

impl Transport for Wired {
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.stack.send(self.handle, |room| {
                let count = bytes.len().min(room.len());
                room[..count].copy_from_slice(&bytes[..count]);
                count
            });
            bytes = &bytes[count..];
            self.step(count == 0);
        }
    }

    fn receive(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut all = Vec::new();
        while all.is_empty() && Instant::now() < deadline {
            let open = matches!(self.stack.state(self.handle), State::Open);
            self.stack.recv(self.handle, |bytes| {
                all.extend_from_slice(bytes);
                bytes.len()
            });
            if !open {
                break;
            }
            self.step(all.is_empty());
        }
        all
    }
}

fn wire(offload: bool) -> (PipeEnd, PipeEnd) {
    let properties = LinkProperties {
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        checksum_offload: offload,
        segmentation_offload: offload,
    };
    pipe(properties, [2, 0, 0, 0, 0, 2]).unwrap()
}

fn serve(target: &Arc<Target>, end: PipeEnd, address: &str, prefix: u8) -> LinkServer {
    let options = LinkOptions::new(address.parse().unwrap(), prefix);
    serve_link(Box::new(end), &options, Arc::clone(target)).unwrap()
}

#[test]
fn data_crosses_with_and_without_offload() {
    for (offload, here, there, portal, prefix) in [
        (true, "192.0.2.1", "192.0.2.2", "192.0.2.2:3260", 24),
        (false, "192.0.2.1", "192.0.2.2", "192.0.2.2:3260", 24),
        (true, "fd00::1", "fd00::2", "[fd00::2]:3260", 64),
    ] {
        let (near, far) = wire(offload);
        let target = target_of(&unit(64 << 20), |_| ());
        let server = serve(&target, far, there, prefix);
        let mut client = Client::new(Wired::connect(near, here, portal));
        client.login(&[
            ("MaxRecvDataSegmentLength", "262144"),
            ("MaxBurstLength", "1048576"),
        ]);
        let data = pattern(20 << 20);
        for (lba, piece) in data.chunks(1 << 20).enumerate() {
            assert_eq!(client.write_all(lba as u32 * 2048, piece), 0);
        }
        for (lba, piece) in data.chunks(8 << 20).enumerate() {
            let (read, status) = client.read_all(lba as u32 * 16384, (piece.len() / 512) as u16);
            assert!(status == 0 && read == piece);
        }
        assert!(target.violations().is_empty(), "{:?}", target.violations());
        drop(server);
        assert!(target.sessions().is_empty());
        client.transport.step(true);
        assert!(matches!(
            client.transport.stack.state(client.transport.handle),
            State::Closed(_)
        ));
    }
}

#[test]
fn the_link_going_ends_the_server() {
    let (near, far) = wire(true);
    let target = target_of(&unit(1 << 20), |_| ());
    let server = serve(&target, far, "192.0.2.2", 24);
    let mut client = Client::new(Wired::connect(near, "192.0.2.1", "192.0.2.2:3260"));
    client.login(&[]);
    drop(client);
    let end = Instant::now() + Duration::from_secs(10);
    while !server.is_finished() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(target.sessions().is_empty());
}

#[test]
fn others_can_reach_a_session_on_a_link() {
    let (near, far) = wire(true);
    let target = target_of(&unit(1 << 20), |_| ());
    let _server = serve(&target, far, "192.0.2.2", 24);
    let mut client = Client::new(Wired::connect(near, "192.0.2.1", "192.0.2.2:3260"));
    client.login(&[]);
    target.ping();
    let Some((TargetPdu::NopIn(pdu), _)) = client.next() else {
        panic!()
    };
    assert_ne!(pdu.ttt, RESERVED_TAG);
    target.drop_connections();
    assert_eq!(client.next(), None);
}
