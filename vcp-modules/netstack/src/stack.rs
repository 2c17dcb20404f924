//! The stack: frames and time in, frames and connections out.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use smoltcp::iface::{Interface, SocketSet};
use smoltcp::phy::PacketMeta;
use smoltcp::socket::tcp;
use smoltcp::wire::{IpAddress, IpEndpoint, IpListenEndpoint};

use crate::Checksum;
use crate::checksum;
use crate::config::{Config, ConfigError};
use crate::connection::{ConnectError, Connection, Handle, ListenError, Owner, Table};
use crate::headers::{self, Contents, RST, SYN, Tcp};
use crate::interface::{duration, instant, open_interface, open_socket};
use crate::listener::Listener;
use crate::observed::Opening;
use crate::resolution::question;
use crate::transmit::{Frame, Port, Transmit};

/// How long an aborted connection may wait for its RST to go out.
pub(crate) const RELEASE: u64 = 1_000_000_000;
/// The largest accepted frame with a SYN: all headers at their longest.
const MAX_SYN: usize = 192;

/// Counts of received and refused frames; they never decrease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames given to [`Stack::receive`].
    pub received: u64,
    /// The frames among these with a wrong TCP checksum.
    pub bad_checksum: u64,
    /// The frames among these that are malformed or of an unsupported protocol.
    pub refused: u64,
    /// Replies dropped because the arena was full.
    pub arena_full: u64,
}

/// A host with its own addresses on one link. All times are nanoseconds on one
/// clock that never goes back.
pub struct Stack {
    pub(crate) config: Config,
    interface: Interface,
    pub(crate) sockets: SocketSet<'static>,
    pub(crate) table: Table,
    listeners: Vec<Listener>,
    pub(crate) transmit: Transmit,
    /// Frames made by this crate, until the next poll.
    pub(crate) ready: Vec<Vec<u8>>,
    /// The next hop of the last connection that was begun.
    last_hop: Option<IpAddr>,
    counters: Counters,
    random: u64,
    /// The first socket, made in advance: clearing its buffers takes longer than finding
    /// the peer and connecting.
    spare: Option<tcp::Socket<'static>>,
}

impl Stack {
    /// Makes a stack. It sends nothing without a reason.
    pub fn new(config: Config, now: u64) -> Result<Self, ConfigError> {
        config.check()?;
        let mut transmit = Transmit::new(&config);
        let mut port = Port {
            transmit: &mut transmit,
            received: None,
        };
        let interface = open_interface(&config, config.seed, &mut port, now);
        Ok(Stack {
            table: Table::new(config.max_connections),
            random: config.seed ^ 0x9e37_79b9_7f4a_7c15,
            spare: Some(open_socket(&config)),
            config,
            interface,
            sockets: SocketSet::new(Vec::new()),
            listeners: Vec::new(),
            transmit,
            ready: Vec::new(),
            last_hop: None,
            counters: Counters::default(),
        })
    }

    /// Handles a received frame. Replies to it may be placed in the arena; everything
    /// else waits for [`Stack::poll`], once a batch.
    pub fn receive(&mut self, now: u64, frame: &[u8], checksum: Checksum) {
        if let Some(tcp) = self.admit(now, frame, checksum) {
            self.receive_tcp(now, frame, &tcp);
        }
    }

    /// Checks a frame. One that is not a TCP segment is handled here, and an invalid one
    /// is dropped.
    pub(crate) fn admit(&mut self, now: u64, frame: &[u8], checksum: Checksum) -> Option<Tcp> {
        self.counters.received += 1;
        let tcp = match headers::parse(frame) {
            Contents::Refused => {
                self.counters.refused += 1;
                return None;
            }
            Contents::Other => {
                self.ingress(now, frame);
                return None;
            }
            Contents::Tcp(tcp) => tcp,
        };
        let segment = &frame[tcp.segment.clone()];
        if checksum == Checksum::Unverified
            && !checksum::verify(&frame[tcp.addresses.clone()], segment)
        {
            self.counters.bad_checksum += 1;
            return None;
        }
        Some(tcp)
    }

    pub(crate) fn receive_tcp(&mut self, now: u64, frame: &[u8], tcp: &Tcp) {
        if tcp.flags & SYN != 0 {
            return self.receive_syn(now, frame, tcp);
        }
        let (remote, local) = tcp.endpoints(frame);
        if let Some((connection, _)) = self.table.find(&self.sockets, local, remote) {
            let buffer = self.config.receive_buffer;
            connection.observed.received(frame, tcp, buffer);
        }
        self.ingress_translated(now, frame, tcp);
        if tcp.flags & RST != 0 {
            self.observe(true);
            self.replenish();
        }
    }

    /// A SYN goes through a copy, in which the MSS may be clamped.
    fn receive_syn(&mut self, now: u64, frame: &[u8], tcp: &Tcp) {
        let mut copy = [0; MAX_SYN];
        let Some(copy) = copy.get_mut(..frame.len()) else {
            self.counters.refused += 1;
            return;
        };
        let (remote, local) = tcp.endpoints(frame);
        let before = self.table.find(&self.sockets, local, remote);
        let before = before.map(|(_, state)| state);
        // smoltcp gives a SYN to the first socket that accepts it, which may be a
        // listener: two sockets would then answer one peer. The connection that already
        // answers this one repeats its answer by itself.
        if tcp.opens() && before.is_some() {
            return;
        }
        copy.copy_from_slice(frame);
        if let Some(sizes) = &mut self.transmit.sizes {
            sizes.received(copy, tcp);
        }
        let opening = Opening::of(copy, tcp);
        self.ingress(now, copy);
        self.observe(tcp.flags & RST != 0);
        self.replenish();
        let after = self.table.find(&self.sockets, local, remote);
        if let (None | Some(tcp::State::SynSent), Some((connection, state))) = (before, after)
            && matches!(state, tcp::State::SynReceived | tcp::State::Established)
        {
            connection.observed.opened(opening);
        }
    }

    pub(crate) fn ingress(&mut self, now: u64, frame: &[u8]) {
        let mut port = Port {
            transmit: &mut self.transmit,
            received: Some(frame),
        };
        self.interface
            .poll_ingress_single(instant(now), &mut port, &mut self.sockets);
    }

    /// Lets every connection send what is due; the frames are appended to the arena until
    /// it is full.
    pub fn poll(&mut self, now: u64) {
        let time = instant(now);
        self.interface.poll_maintenance(time);
        self.send_ready();
        let mut port = Port {
            transmit: &mut self.transmit,
            received: None,
        };
        loop {
            let result = self
                .interface
                .poll_egress(time, &mut port, &mut self.sockets);
            if result == smoltcp::iface::PollResult::None {
                break;
            }
        }
        while let Some(syn) = self.transmit.syns.pop() {
            if let Some((connection, _)) = self.table.find(&self.sockets, syn.local, syn.remote) {
                connection.syn_sent = true;
                connection.observed.began(syn.sequence);
                let first = syn.sequence.wrapping_add(1);
                self.transmit.open_bypass(syn.local, syn.remote, first);
            }
        }
        self.acknowledge();
        self.observe(false);
        self.reap(now);
        self.prune();
        self.replenish();
    }

    fn send_ready(&mut self) {
        let transmit = &mut self.transmit;
        self.ready.retain(|frame| {
            let room = transmit.fits(frame.len());
            if room {
                transmit.emit(frame.len(), PacketMeta::default(), |bytes| {
                    bytes.copy_from_slice(frame);
                });
            }
            !room
        });
    }

    /// The arena, and its frames in the order in which they are to be sent. They stay in
    /// place until [`Stack::clear_outgoing`].
    pub fn outgoing(&self) -> (&[u8], &[Frame]) {
        self.transmit.outgoing()
    }

    /// Drops the frames in the arena, which have been sent or given up.
    pub fn clear_outgoing(&mut self) {
        self.transmit.clear();
    }

    /// When to call [`Stack::poll`] again if nothing arrives before; `now` or earlier
    /// means at once, for which the arena may have to be cleared first.
    pub fn next_deadline(&mut self, now: u64) -> Option<u64> {
        if !self.ready.is_empty() {
            return Some(now);
        }
        let at = self.interface.poll_at(instant(now), &self.sockets)?;
        Some(
            u64::try_from(at.total_micros())
                .unwrap_or(0)
                .saturating_mul(1000)
                .max(now),
        )
    }

    /// Begins a connection.
    pub fn connect(&mut self, remote: SocketAddr, now: u64) -> Result<Handle, ConnectError> {
        if !IpAddress::from(remote.ip()).is_unicast() || remote.port() == 0 {
            return Err(ConnectError::Unaddressable(remote));
        }
        let hop = self.config.next_hop(remote.ip());
        let hop = hop.ok_or(ConnectError::NoRoute(remote))?;
        self.reap(now);
        if self.table.is_full() {
            return Err(ConnectError::Exhausted(self.config.max_connections));
        }
        let port = self.local_port();
        let local = IpListenEndpoint {
            addr: self.config.source_for(remote.ip()).map(IpAddress::from),
            port,
        };
        let mut socket = self.socket_to_open();
        socket
            .connect(self.interface.context(), IpEndpoint::from(remote), local)
            .map_err(|_| ConnectError::NoRoute(remote))?;
        // smoltcp asks for the first host's address at once, but for another only a
        // second later.
        if let (Some(last), Some(end)) = (self.last_hop, socket.local_endpoint())
            && last != hop
        {
            let question = question(self.config.mac, end.addr.into(), hop);
            self.ready.push(question);
        }
        self.last_hop = Some(hop);
        let state = socket.state();
        let socket = self.sockets.add(socket);
        Ok(self
            .table
            .insert(Connection::new(socket, Owner::User, port, state)))
    }

    /// Listens on a port, on every address.
    pub fn listen(&mut self, port: u16) -> Result<(), ListenError> {
        if port == 0 {
            return Err(ListenError::NoPort);
        }
        if self.listeners.iter().any(|listener| listener.port == port) {
            return Err(ListenError::InUse(port));
        }
        self.listeners.push(Listener { port, socket: None });
        self.replenish();
        Ok(())
    }

    /// Returns a connection that a peer opened to `port`, if there is one.
    pub fn accept(&mut self, port: u16) -> Option<Handle> {
        use tcp::State::{CloseWait, Established};
        let ready = |connection: &Connection| {
            let state = self.sockets.get::<tcp::Socket>(connection.socket).state();
            connection.owner == Owner::Listener(port) && matches!(state, Established | CloseWait)
        };
        let (handle, _) = self
            .table
            .iter()
            .find(|(_, connection)| ready(connection))?;
        self.table.get_mut(handle)?.owner = Owner::User;
        Some(handle)
    }

    /// Resets every connection and stops listening, before the stack is dropped, so that
    /// no session stays behind at a peer. The RSTs are sent by the next [`Stack::poll`].
    pub fn abort_all(&mut self, now: u64) {
        self.ready.clear();
        for listener in self.listeners.drain(..) {
            listener.socket.map(|socket| self.sockets.remove(socket));
        }
        for connection in self.table.iter_mut() {
            connection.aborted = true;
            connection.owner = Owner::Nobody(now + RELEASE);
            self.sockets
                .get_mut::<tcp::Socket>(connection.socket)
                .abort();
        }
    }

    /// Counts of received and refused frames.
    pub fn counters(&self) -> Counters {
        Counters {
            arena_full: self.transmit.dropped,
            ..self.counters
        }
    }

    /// A local port that no connection uses (RFC 6335 §6, dynamic ports).
    fn local_port(&mut self) -> u16 {
        loop {
            self.random = self
                .random
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let port = 49_152 + (self.random >> 33) as u16 % 16_384;
            let listening = self.listeners.iter().any(|listener| listener.port == port);
            // At most 4096 connections share 16384 ports, so this ends soon.
            if !listening && self.table.iter().all(|(_, other)| other.local_port != port) {
                return port;
            }
        }
    }

    fn observe(&mut self, reset: bool) {
        for connection in self.table.iter_mut() {
            let socket = self.sockets.get_mut::<tcp::Socket>(connection.socket);
            let opening = matches!(
                connection.last,
                tcp::State::SynSent | tcp::State::SynReceived
            );
            connection.observe(socket.state(), reset);
            if opening && connection.last != tcp::State::SynSent {
                socket.set_timeout(Some(duration(self.config.timeout)));
            }
        }
    }

    /// Drops connections without an owner that have sent everything, and those that ended
    /// before they were accepted.
    pub(crate) fn reap(&mut self, now: u64) {
        self.table
            .remove_if(&mut self.sockets, |connection, socket| {
                let over = socket.state() == tcp::State::Closed;
                match connection.owner {
                    Owner::User => false,
                    Owner::Listener(_) => over || socket.state() == tcp::State::Listen,
                    Owner::Nobody(until) => {
                        over && socket.remote_endpoint().is_none() || now >= until
                    }
                }
            });
    }

    fn replenish(&mut self) {
        let (spare, config) = (&mut self.spare, &self.config);
        for listener in &mut self.listeners {
            listener.replenish(&mut self.table, &mut self.sockets, || {
                spare.take().unwrap_or_else(|| open_socket(config))
            });
        }
    }

    pub(crate) fn socket_to_open(&mut self) -> tcp::Socket<'static> {
        let spare = self.spare.take();
        spare.unwrap_or_else(|| open_socket(&self.config))
    }
}
