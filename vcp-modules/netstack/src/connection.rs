//! Connections as the stack's user sees them, and the table of connections.

use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::IpEndpoint;
use thiserror::Error;

use crate::observed::Observed;

/// Identifies a connection of one stack. A handle whose connection was released is
/// invalid: it reads as closed, and cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle {
    index: u32,
    generation: u32,
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for the peer to agree.
    Connecting,
    /// Both sides may send.
    Open,
    /// The peer will send no more; what it sent may still wait to be read.
    PeerClosed,
    /// We have closed it; the peer may still send, and must still acknowledge.
    Closing,
    /// The connection has ended. Bytes received before may still wait to be read.
    Closed(End),
}

/// Why a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides closed it.
    Finished,
    /// The peer refused it.
    Refused,
    /// The peer reset it.
    Reset,
    /// The peer, or a host on the way, did not answer in time.
    TimedOut,
    /// No host on the link answered for the peer's address or its gateway's.
    Unreachable,
    /// It was aborted or released here.
    Aborted,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Finished => "connection closed",
            End::Refused => "connection refused",
            End::Reset => "connection reset by peer",
            End::TimedOut => "connection timed out",
            End::Unreachable => "no host answers on the link (ARP or neighbor discovery failed)",
            End::Aborted => "connection aborted",
        })
    }
}

/// Why a connection could not be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The address is on no own subnet, and there is no gateway for its family.
    #[error("no route to {0}: it is on no subnet of the link and there is no gateway")]
    NoRoute(SocketAddr),
    /// The port is 0, or the address is not unicast.
    #[error("{0} is no address to connect to")]
    Unaddressable(SocketAddr),
    /// `max_connections` are in use.
    #[error("all {0} connections are in use")]
    Exhausted(usize),
}

/// Why a port cannot be listened on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ListenError {
    /// The port is 0.
    #[error("port 0 cannot be listened on")]
    NoPort,
    /// The port is already listened on.
    #[error("port {0} is already listened on")]
    InUse(u16),
}

/// The owner of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    User,
    /// A listener on this port; the connection waits to be accepted.
    Listener(u16),
    /// None: the connection is removed when its last segments are sent, or at this time.
    Nobody(u64),
}

pub(crate) struct Connection {
    pub(crate) socket: SocketHandle,
    pub(crate) owner: Owner,
    pub(crate) local_port: u16,
    /// The state at the last check.
    pub(crate) last: tcp::State,
    pub(crate) end: Option<End>,
    pub(crate) aborted: bool,
    /// Whether a SYN was sent on the link.
    pub(crate) syn_sent: bool,
    pub(crate) observed: Observed,
}

/// The connections of a stack, by handle.
pub(crate) struct Table {
    slots: Vec<(u32, Option<Connection>)>,
    limit: usize,
}

impl Table {
    pub(crate) fn new(limit: usize) -> Self {
        Table {
            slots: Vec::new(),
            limit,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.iter().count() >= self.limit
    }

    /// Adds a connection; the caller ensures the limit.
    pub(crate) fn insert(&mut self, connection: Connection) -> Handle {
        let free = self.slots.iter().position(|(_, slot)| slot.is_none());
        let index = free.unwrap_or_else(|| {
            self.slots.push((0, None));
            self.slots.len() - 1
        });
        let (generation, slot) = &mut self.slots[index];
        *slot = Some(connection);
        Handle {
            index: index as u32,
            generation: *generation,
        }
    }

    pub(crate) fn get(&self, handle: Handle) -> Option<&Connection> {
        let (generation, slot) = self.slots.get(handle.index as usize)?;
        slot.as_ref().filter(|_| *generation == handle.generation)
    }

    pub(crate) fn get_mut(&mut self, handle: Handle) -> Option<&mut Connection> {
        let (generation, slot) = self.slots.get_mut(handle.index as usize)?;
        slot.as_mut().filter(|_| *generation == handle.generation)
    }

    /// The connection between two endpoints, unless it has ended, and its state.
    pub(crate) fn find(
        &mut self,
        sockets: &SocketSet<'static>,
        local: IpEndpoint,
        remote: IpEndpoint,
    ) -> Option<(&mut Connection, tcp::State)> {
        self.iter_mut().find_map(|connection| {
            if connection.local_port != local.port {
                return None;
            }
            let socket = sockets.get::<tcp::Socket>(connection.socket);
            let ours =
                socket.remote_endpoint() == Some(remote) && socket.local_endpoint() == Some(local);
            let over = matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait);
            (ours && !over).then(|| (connection, socket.state()))
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Handle, &Connection)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(index, (generation, slot))| {
                let handle = Handle {
                    index: index as u32,
                    generation: *generation,
                };
                Some((handle, slot.as_ref()?))
            })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.slots.iter_mut().filter_map(|(_, slot)| slot.as_mut())
    }

    /// Removes a connection; its handle is invalid from then on.
    pub(crate) fn take(&mut self, handle: Handle) -> Option<Connection> {
        self.get(handle)?;
        let (generation, slot) = &mut self.slots[handle.index as usize];
        *generation = generation.wrapping_add(1);
        slot.take()
    }

    /// Removes the connections for which `gone` holds, with their sockets.
    pub(crate) fn remove_if(
        &mut self,
        sockets: &mut SocketSet<'static>,
        gone: impl Fn(&Connection, &tcp::Socket<'static>) -> bool,
    ) {
        for (generation, slot) in &mut self.slots {
            let Some(connection) = slot else { continue };
            if gone(connection, sockets.get(connection.socket)) {
                sockets.remove(connection.socket);
                *slot = None;
                *generation = generation.wrapping_add(1);
            }
        }
    }
}

impl Connection {
    pub(crate) fn new(
        socket: SocketHandle,
        owner: Owner,
        local_port: u16,
        state: tcp::State,
    ) -> Self {
        Connection {
            socket,
            owner,
            local_port,
            last: state,
            end: None,
            aborted: false,
            syn_sent: false,
            observed: Observed::default(),
        }
    }

    /// Notes the socket's state. `reset` says that a segment with RST may have changed
    /// it.
    pub(crate) fn observe(&mut self, state: tcp::State, reset: bool) {
        use tcp::State::{Closing, LastAck, SynReceived, SynSent, TimeWait};
        if state == tcp::State::Closed && self.end.is_none() {
            self.end = Some(match (self.last, reset) {
                _ if self.aborted => End::Aborted,
                (Closing | LastAck | TimeWait, _) => End::Finished,
                (SynSent | SynReceived, true) => End::Refused,
                (_, true) => End::Reset,
                (SynSent, false) if !self.syn_sent => End::Unreachable,
                (_, false) => End::TimedOut,
            });
        }
        self.last = state;
    }

    pub(crate) fn state(&self, state: tcp::State) -> State {
        use tcp::State as S;
        match state {
            S::Listen | S::SynSent | S::SynReceived => State::Connecting,
            S::Established => State::Open,
            S::CloseWait => State::PeerClosed,
            S::FinWait1 | S::FinWait2 | S::Closing | S::LastAck | S::TimeWait => State::Closing,
            S::Closed => State::Closed(self.end.unwrap_or(End::Aborted)),
        }
    }
}
