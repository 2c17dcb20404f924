//! Hand-over of an open connection from one stack to another, so that a program
//! can be replaced without its peers noticing.
//!
//! [`Stack::export`] describes a connection at rest, and [`Stack::import`] resumes it in
//! a fresh stack. The numbers come from `observed`, the new socket from `rehearsal`. A
//! description is not trusted, and checked here.
//! from `rehearsal`. What a description says is foreign and checked here.

use core::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use thiserror::Error;

use crate::connection::{Connection, Handle, Owner};
use crate::headers;
use crate::interface::window_scale;
use crate::observed::{LEAST_MSS, MAX_SCALE, Observed, Opening, Rest};
use crate::rehearsal::Rehearsal;
use crate::stack::Stack;

/// An open connection at rest: on neither side is anything under way, unread or
/// unacknowledged. It is valid only while both ends stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionState {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Sequence number of the next byte we send.
    pub send_next: u32,
    /// Sequence number of the next byte the peer sends.
    pub receive_next: u32,
    /// The window that the peer last announced, in bytes.
    pub send_window: u32,
    /// The window scales, if both sides agreed to scale windows.
    pub scales: Option<Scales>,
    /// The largest payload of a segment to the peer that the link carried.
    pub send_mss: u16,
    /// The largest payload of a segment that the peer was told to send.
    pub receive_mss: u16,
    /// Whether the peer accepts selective acknowledgements (RFC 2018).
    pub sack_permitted: bool,
    /// The Ethernet address of the peer, or of the gateway to it.
    pub neighbor: [u8; 6],
}

/// Window scales (RFC 7323 §2), each 0 to 14.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scales {
    /// The scale of the windows that the peer announces.
    pub send: u8,
    /// The scale of the windows that we announce.
    pub receive: u8,
}

/// Why a connection cannot be handed over. All reasons but [`ExportError::NotOpen`] pass
/// by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExportError {
    /// It is not open, or does not exist.
    #[error("the connection is not open both ways")]
    NotOpen,
    /// This many bytes are unsent or unacknowledged.
    #[error("{0} bytes are not acknowledged by the peer yet")]
    Unacknowledged(usize),
    /// This many bytes are unread.
    #[error("{0} received bytes are not read yet")]
    Unread(usize),
    /// Later segments were received, but not the next one.
    #[error("a segment is missing in what the peer sent")]
    Missing,
}

/// Why a stack cannot resume a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ImportError {
    /// The local address is not one of the stack's.
    #[error("the connection is that of {0}, which is no address of this stack")]
    Foreign(SocketAddr),
    /// The peer's address is invalid, or there is no route to it.
    #[error("the peer {0} cannot be reached from here")]
    Unreachable(SocketAddr),
    /// No connection can have this number.
    #[error("the state makes no sense: {0}")]
    Nonsense(&'static str),
    /// The receive buffer's size does not match the scale that was announced.
    #[error("windows are scaled by {agreed} on the connection, by {own} here")]
    WindowScale {
        /// The scale of the connection.
        agreed: u8,
        /// The scale of the receive buffer.
        own: u8,
    },
    /// The peer may send segments that the link does not carry.
    #[error("the peer was told to send segments of {told} bytes; the link carries {carried}")]
    SegmentSize {
        /// The segment size that the peer was told.
        told: u16,
        /// The segment size that the link's MTU allows.
        carried: usize,
    },
    /// There is such a connection already.
    #[error("the stack has a connection from {0} to that peer already")]
    InUse(SocketAddr),
    /// `max_connections` are in use.
    #[error("all {0} connections are in use")]
    Exhausted(usize),
    /// The socket refused the connection.
    #[error("the TCP stack did not take the connection over")]
    Refused,
}

impl Stack {
    /// Describes a connection so that another stack can resume it. It is not changed
    /// here: if the description is used, this stack must neither receive nor send from
    /// then on, or [`Stack::forget`] the connection.
    pub fn export(&self, handle: Handle) -> Result<ConnectionState, ExportError> {
        let connection = self.table.get(handle).ok_or(ExportError::NotOpen)?;
        let socket = self.socket(connection);
        let ends = (socket.local_endpoint(), socket.remote_endpoint());
        let (tcp::State::Established, (Some(local), Some(remote))) = (socket.state(), ends) else {
            return Err(ExportError::NotOpen);
        };
        if socket.send_queue() > 0 {
            return Err(ExportError::Unacknowledged(socket.send_queue()));
        }
        if socket.recv_queue() > 0 {
            return Err(ExportError::Unread(socket.recv_queue()));
        }
        let Rest {
            send_next,
            receive_next,
            opening,
        } = connection.observed.at_rest()?;
        let local = SocketAddr::new(local.addr.into(), local.port);
        Ok(ConnectionState {
            local,
            remote: SocketAddr::new(remote.addr.into(), remote.port),
            send_next,
            receive_next,
            send_window: opening.window,
            scales: opening.scale.map(|send| Scales {
                send,
                receive: window_scale(&self.config),
            }),
            send_mss: opening.mss,
            receive_mss: self.carried(local.ip()) as u16,
            sack_permitted: opening.sack_permitted,
            neighbor: opening.neighbor,
        })
    }

    /// Resumes a connection of another stack, which must be silent by now. One
    /// acknowledgement, which tells the peer our window, is sent by the next
    /// [`Stack::poll`], for which [`Stack::next_deadline`] then asks at once. On an error
    /// the stack is unchanged, and nothing is sent.
    pub fn import(&mut self, now: u64, state: &ConnectionState) -> Result<Handle, ImportError> {
        self.reap(now);
        state.check()?;
        self.check_place(state)?;
        let hop = self
            .config
            .next_hop(state.remote.ip())
            .ok_or(ImportError::Unreachable(state.remote))?;
        let socket = self.socket_to_open();
        let mut rehearsal = Rehearsal::new(&self.config, state, hop);
        if let (Some(sizes), headers::Contents::Tcp(tcp)) = (
            &mut self.transmit.sizes,
            headers::parse(&rehearsal.acceptance),
        ) {
            sizes.received(&mut rehearsal.acceptance, &tcp);
        }
        let (socket, greeting) = rehearsal.run(now, socket).ok_or(ImportError::Refused)?;
        let introduction = rehearsal.introduction;
        self.ingress(now, &introduction);
        self.ready.push(greeting);
        let mut connection = Connection::new(
            self.sockets.add(socket),
            Owner::User,
            state.local.port(),
            tcp::State::Established,
        );
        connection.syn_sent = true;
        connection.observed = Observed::resumed(state.rest());
        let (local, remote) = (state.local.into(), state.remote.into());
        let next = state.send_next;
        self.transmit.open_bypass(local, remote, next);
        Ok(self.table.insert(connection))
    }

    /// Checks that this stack, with its configuration, can have the connection.
    fn check_place(&mut self, state: &ConnectionState) -> Result<(), ImportError> {
        let own = |cidr: IpCidr| IpAddr::from(cidr.address());
        let ours = |ip: IpAddr| self.config.cidrs().any(|cidr| own(cidr) == ip);
        if !ours(state.local.ip()) {
            return Err(ImportError::Foreign(state.local));
        }
        if ours(state.remote.ip()) {
            return Err(ImportError::Unreachable(state.remote));
        }
        if state.neighbor == self.config.mac {
            return Err(ImportError::Nonsense("the neighbor's address is ours"));
        }
        let own = window_scale(&self.config);
        match state.scales {
            Some(scales) if scales.receive != own => {
                let agreed = scales.receive;
                return Err(ImportError::WindowScale { agreed, own });
            }
            _ => {}
        }
        let carried = self.carried(state.local.ip());
        if usize::from(state.receive_mss) > carried {
            let told = state.receive_mss;
            return Err(ImportError::SegmentSize { told, carried });
        }
        let ends = (state.local.into(), state.remote.into());
        if self.table.find(&self.sockets, ends.0, ends.1).is_some() {
            return Err(ImportError::InUse(state.local));
        }
        if self.table.is_full() {
            return Err(ImportError::Exhausted(self.config.max_connections));
        }
        Ok(())
    }

    /// The largest payload of an unsegmented frame without TCP options.
    fn carried(&self, ip: IpAddr) -> usize {
        self.config.mtu - if ip.is_ipv4() { 40 } else { 60 }
    }
}

impl ConnectionState {
    /// Checks that a connection can have these values.
    fn check(&self) -> Result<(), ImportError> {
        let unicast = IpAddress::from(self.remote.ip()).is_unicast();
        if !unicast || self.remote.port() == 0 {
            return Err(ImportError::Unreachable(self.remote));
        }
        if self.local.port() == 0 {
            return Err(ImportError::Foreign(self.local));
        }
        let largest = Scales {
            send: 0,
            receive: 0,
        };
        let scales = self.scales.unwrap_or(largest);
        let faults = [
            (
                self.local.is_ipv4() != self.remote.is_ipv4(),
                "the ends are of different families",
            ),
            (
                scales.send > MAX_SCALE || scales.receive > MAX_SCALE,
                "a window scale above 14",
            ),
            (
                u64::from(self.send_window) > 65_535 << scales.send.min(MAX_SCALE),
                "a window larger than its scale allows",
            ),
            (
                self.send_mss < LEAST_MSS || self.receive_mss < LEAST_MSS,
                "segments smaller than any host's",
            ),
            (
                !EthernetAddress(self.neighbor).is_unicast() || self.neighbor == [0; 6],
                "the neighbor has no unicast Ethernet address",
            ),
        ];
        match faults.into_iter().find(|(fault, _)| *fault) {
            Some((_, what)) => Err(ImportError::Nonsense(what)),
            None => Ok(()),
        }
    }

    fn rest(&self) -> Rest {
        Rest {
            send_next: self.send_next,
            receive_next: self.receive_next,
            opening: Opening {
                sequence: self.receive_next.wrapping_sub(1),
                window: self.send_window,
                scale: self.scales.map(|scales| scales.send),
                mss: self.send_mss,
                sack_permitted: self.sack_permitted,
                neighbor: self.neighbor,
            },
        }
    }
}
