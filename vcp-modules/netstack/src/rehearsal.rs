//! A socket that is in the middle of a connection it never opened.
//!
//! smoltcp's sockets can be set up in one way only, by a handshake. So the new
//! socket has one, on an interface of its own that leads nowhere, with a peer
//! played from here: a SYN-ACK, and a segment with the peer's true window. The
//! numbers the peer starts from are ours to choose. Those the socket starts from
//! are not: smoltcp draws them from its generator. But the interface is ours, its
//! generator's seed too, and the generator's step can be undone; so the seed is
//! chosen from which the wanted number is drawn. The socket then has the very
//! numbers of the connection, and no segment ever needs translating.
//!
//! Nothing rests on that generator staying as it is: a socket that drew another
//! number refuses the SYN-ACK, and the rehearsal fails.

use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, Checksum, ChecksumCapabilities, Device, DeviceCapabilities};
use smoltcp::socket::{Socket, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

use crate::config::Config;
use crate::handover::ConnectionState;
use crate::headers::{self, ACK, Contents};
use crate::interface::{duration, instant, open_interface, open_socket};
use crate::resolution::{answer, ip_frame};
use crate::transmit::capabilities;

/// The number of values that smoltcp may draw before the one that matters, the likeliest
/// first: one as it is built here, more or none with other features. Each comes with a
/// choice of seeds: with one seed in 65,536 smoltcp rejects the first value that it
/// draws, and draws another.
const DRAWS_BEFORE: [(u32, u64); 5] = [(1, 0), (1, 1), (0, 0), (2, 0), (3, 0)];

/// The played peer's frames.
pub(crate) struct Rehearsal<'a> {
    config: &'a Config,
    state: &'a ConnectionState,
    /// The ARP reply or neighbor advertisement with the next hop's address.
    pub(crate) introduction: Vec<u8>,
    /// The SYN-ACK.
    pub(crate) acceptance: Vec<u8>,
    /// An empty segment with the window.
    window: Vec<u8>,
}

impl<'a> Rehearsal<'a> {
    /// `state` was checked; `hop` is on the link.
    pub(crate) fn new(config: &'a Config, state: &'a ConnectionState, hop: IpAddr) -> Self {
        let scale = state.scales.map(|scales| scales.send);
        let mut segment = TcpRepr {
            src_port: state.remote.port(),
            dst_port: state.local.port(),
            control: TcpControl::Syn,
            seq_number: sequence(state.receive_next.wrapping_sub(1)),
            ack_number: Some(sequence(state.send_next)),
            window_len: u16::try_from(state.send_window).unwrap_or(u16::MAX),
            window_scale: scale,
            max_seg_size: Some(state.send_mss),
            sack_permitted: state.sack_permitted,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let frame = |segment: &TcpRepr<'_>| tcp_frame(config, state, segment);
        let acceptance = frame(&segment);
        segment.control = TcpControl::None;
        segment.seq_number = sequence(state.receive_next);
        let window = state.send_window >> scale.unwrap_or(0);
        segment.window_len = u16::try_from(window).unwrap_or(u16::MAX);
        (segment.window_scale, segment.max_seg_size) = (None, None);
        segment.sack_permitted = false;
        Rehearsal {
            introduction: answer(config.mac, state.local.ip(), state.neighbor, hop),
            acceptance,
            window: frame(&segment),
            config,
            state,
        }
    }

    /// Returns the socket, and the acknowledgement that tells the real peer its window.
    pub(crate) fn run(
        &self,
        now: u64,
        socket: tcp::Socket<'static>,
    ) -> Option<(Socket<'static>, Vec<u8>)> {
        let mut first = Some(socket);
        DRAWS_BEFORE.into_iter().find_map(|(draws, choice)| {
            let wanted = self.state.send_next.wrapping_sub(1);
            let mut stage = Stage::new(self.config, seed(wanted, draws, choice), now);
            let socket = first.take().unwrap_or_else(|| open_socket(self.config));
            self.play(&mut stage, now, socket)
        })
    }

    fn play(
        &self,
        stage: &mut Stage,
        now: u64,
        mut socket: tcp::Socket<'static>,
    ) -> Option<(Socket<'static>, Vec<u8>)> {
        let (remote, local) = (self.state.remote, self.state.local);
        socket
            .connect(stage.interface.context(), remote, local)
            .ok()?;
        socket.set_timeout(Some(duration(self.config.timeout)));
        let handle = stage.sockets.add(socket);
        stage.hear(now, &self.introduction);
        stage.hear(now, &self.acceptance);
        if stage.state(handle) != tcp::State::Established {
            return None;
        }
        let greeting = stage.speak(now);
        // This comes only now: smoltcp's receive window opens with the first segment it
        // sends.
        stage.hear(now, &self.window);
        let whole = stage.device.sent.is_empty() && self.greets(&greeting);
        (whole && stage.state(handle) == tcp::State::Established)
            .then(|| (stage.sockets.remove(handle), greeting))
    }

    /// Whether a frame is an acknowledgement that continues the connection.
    fn greets(&self, frame: &[u8]) -> bool {
        let Contents::Tcp(tcp) = headers::parse(frame) else {
            return false;
        };
        let (from, to) = tcp.endpoints(frame);
        (from, to) == (self.state.local.into(), self.state.remote.into())
            && (tcp.flags, tcp.payload()) == (ACK, 0)
            && tcp.sequence(frame) == self.state.send_next
            && tcp.acknowledgement(frame) == self.state.receive_next
    }
}

/// A seed from which smoltcp's generator, after `draws` other numbers, draws
/// `wanted` (`rand_u32` in smoltcp 0.14: one step of x·M + A, of which the upper
/// three bits say which 32 of the rest are the number). There are 2²⁹ of them; this is
/// the one of that number, `choice`.
fn seed(wanted: u32, draws: u32, choice: u64) -> u64 {
    const M: u64 = 0xbb2e_fcec_3c39_611d;
    const A: u64 = 0x7590_ef39;
    // Newton's iteration doubles the number of right bits; an odd M is its own inverse
    // modulo 8.
    const INVERSE: u64 = {
        let (mut inverse, mut round) = (M, 0);
        while round < 5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(M.wrapping_mul(inverse)));
            round += 1;
        }
        inverse
    };
    // Upper bits of 0 select the 32 bits from bit 29.
    let drawn = u64::from(wanted) << 29 | choice;
    (0..=draws).fold(drawn, |state, _| {
        state.wrapping_sub(A).wrapping_mul(INVERSE)
    })
}

fn sequence(number: u32) -> TcpSeqNumber {
    TcpSeqNumber(number as i32)
}

/// An interface that leads nowhere.
struct Stage {
    interface: Interface,
    sockets: SocketSet<'static>,
    device: Nowhere,
}

impl Stage {
    fn new(config: &Config, seed: u64, now: u64) -> Self {
        let mut device = Nowhere {
            capabilities: capabilities(config),
            received: None,
            sent: Vec::new(),
        };
        Stage {
            interface: open_interface(config, seed, &mut device, now),
            sockets: SocketSet::new(Vec::new()),
            device,
        }
    }

    fn state(&self, socket: SocketHandle) -> tcp::State {
        self.sockets.get::<tcp::Socket>(socket).state()
    }

    fn hear(&mut self, now: u64, frame: &[u8]) {
        self.device.received = Some(frame.to_vec());
        self.interface
            .poll_ingress_single(instant(now), &mut self.device, &mut self.sockets);
    }

    /// All that the socket sends, joined; a right answer is one frame.
    fn speak(&mut self, now: u64) -> Vec<u8> {
        self.interface
            .poll_egress(instant(now), &mut self.device, &mut self.sockets);
        core::mem::take(&mut self.device.sent)
    }
}

/// A device that keeps the sent frames.
struct Nowhere {
    capabilities: DeviceCapabilities,
    received: Option<Vec<u8>>,
    sent: Vec<u8>,
}

impl Device for Nowhere {
    type RxToken<'b> = Heard;
    type TxToken<'b> = Said<'b>;

    fn receive(&mut self, _now: Instant) -> Option<(Heard, Said<'_>)> {
        let frame = self.received.take()?;
        Some((Heard(frame), Said(&mut self.sent)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Said<'_>> {
        Some(Said(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.capabilities.clone()
    }
}

struct Heard(Vec<u8>);

impl phy::RxToken for Heard {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

struct Said<'a>(&'a mut Vec<u8>);

impl phy::TxToken for Said<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let start = self.0.len();
        self.0.resize(start + length, 0);
        f(&mut self.0[start..])
    }
}

fn tcp_frame(config: &Config, state: &ConnectionState, segment: &TcpRepr<'_>) -> Vec<u8> {
    let (from, to) = (state.remote.ip().into(), state.local.ip().into());
    let ip = IpRepr::new(from, to, IpProtocol::Tcp, segment.buffer_len(), 64);
    let mut frame = ip_frame(state.neighbor, config.mac, &ip);
    let payload = &mut frame.payload_mut()[ip.header_len()..];
    // Nothing on the stage verifies it.
    let mut checksums = ChecksumCapabilities::default();
    checksums.tcp = Checksum::None;
    segment.emit(
        &mut TcpPacket::new_unchecked(payload),
        &from,
        &to,
        &checksums,
    );
    frame.into_inner()
}
