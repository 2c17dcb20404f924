//! Byte streams for a VCP whose TCP the host terminates (`vcp:net/streams`).

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netdevice::name_to_index;
use rustix::net::{self, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, sockopt};

use super::poller::{Interest, Poller};
use crate::bindings::streams::{CloseOp, ConnectOp, Event, Received, SendOp};
use crate::bindings::types::Span;
use crate::fault::Fault;
use crate::guest::Guest;
use crate::peers::Peers;

/// Tokens of streams have this bit, those of clients do not.
const TOKEN: u64 = 1 << 62;
/// Bytes a stream may have unsent: the credit it opens with.
const CREDIT: usize = 1 << 20;
/// Streams of one VCP at a time.
const MAX_STREAMS: usize = 64;
/// Sockets of one VCP, with those that it has closed but that still hold bytes
/// to send.
const MAX_SOCKETS: usize = 2 * MAX_STREAMS;

struct Slot {
    id: u32,
    socket: OwnedFd,
    connecting: bool,
    /// The VCP is done with it; what it sent still goes out.
    closing: bool,
    backlog: Vec<u8>,
    interest: Interest,
}

/// The streams of one instance.
pub(super) struct Streams {
    allowed: Peers,
    slots: BTreeMap<u64, Slot>,
    next: u64,
    events: Vec<Event>,
}

impl Streams {
    pub(super) fn new(allowed: Peers) -> Self {
        Self {
            allowed,
            slots: BTreeMap::new(),
            next: 0,
            events: Vec::new(),
        }
    }

    pub(super) fn owns(token: u64) -> bool {
        token & TOKEN != 0 && token < u64::MAX - 2
    }

    /// Resets all streams, as their instance is gone.
    pub(super) fn reset(&mut self, poller: &Poller) {
        for slot in self.slots.values() {
            abort(&slot.socket);
            poller.remove(slot.socket.as_fd());
        }
        self.slots.clear();
        self.events.clear();
    }

    /// Takes the events since the last call.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    pub(super) fn connect(&mut self, op: &ConnectOp, poller: &Poller) -> Result<(), Fault> {
        let open = self.slots.values().filter(|slot| !slot.closing);
        if open.clone().any(|slot| slot.id == op.stream) || open.count() >= MAX_STREAMS {
            return Err(Fault::Protocol(format!(
                "stream {} can't be opened now",
                op.stream
            )));
        }
        if let Err(why) = self.try_connect(op, poller) {
            self.events.push(Event::Closed((op.stream, why)));
        }
        Ok(())
    }

    fn try_connect(&mut self, op: &ConnectOp, poller: &Poller) -> Result<(), String> {
        let (ip, zone) = self.allowed.find(&op.address)?;
        if self.slots.len() >= MAX_SOCKETS {
            return Err("too many connections that are still being closed".to_owned());
        }
        let socket = start(ip, op.port, zone).map_err(|error| match (error, zone) {
            (Errno::NODEV, Some(zone)) => format!("there is no interface {zone}"),
            _ => describe(&error.into()),
        })?;
        self.next += 1;
        let token = TOKEN | self.next;
        let interest = Interest {
            read: false,
            write: true,
        };
        poller
            .add(socket.as_fd(), token, interest)
            .map_err(|error| describe(&error))?;
        let id = op.stream;
        let backlog = Vec::new();
        let slot = Slot {
            id,
            socket,
            connecting: true,
            closing: false,
            backlog,
            interest,
        };
        self.slots.insert(token, slot);
        Ok(())
    }

    fn find(&mut self, id: u32) -> Option<(u64, &mut Slot)> {
        let found = self
            .slots
            .iter_mut()
            .find(|(_, slot)| slot.id == id && !slot.closing);
        found.map(|(token, slot)| (*token, slot))
    }

    pub(super) fn send(
        &mut self,
        op: &SendOp,
        guest: &Guest,
        poller: &Poller,
    ) -> Result<(), Fault> {
        let bytes = guest.bytes("stream data", op.data)?;
        // The stream may have been closed, and the VCP not been told yet.
        let Some((token, slot)) = self.find(op.stream) else {
            return Ok(());
        };
        if slot.connecting || slot.backlog.len() + bytes.len() > CREDIT {
            return Err(Fault::Protocol(format!(
                "stream {}: more sent than its credit",
                op.stream
            )));
        }
        let mut sent = 0;
        if slot.backlog.is_empty() {
            match transmit(&slot.socket, bytes) {
                Ok(count) => sent = count,
                Err(error) => {
                    self.end(token, &describe(&error), poller);
                    return Ok(());
                }
            }
        }
        slot.backlog.extend_from_slice(&bytes[sent..]);
        if sent > 0 {
            self.events.push(Event::Sent((op.stream, sent as u32)));
        }
        self.update(token, poller);
        Ok(())
    }

    pub(super) fn close(&mut self, op: &CloseOp, poller: &Poller) {
        let Some((token, slot)) = self.find(op.stream) else {
            return;
        };
        slot.closing = true;
        if op.abort {
            abort(&slot.socket);
        }
        if op.abort || slot.backlog.is_empty() {
            self.remove(token, poller);
        } else {
            self.update(token, poller);
        }
    }

    /// Something happened on the stream of `token`.
    pub(super) fn ready(
        &mut self,
        token: u64,
        write: bool,
        guest: Option<&mut Guest>,
        at: &mut usize,
        received: &mut Vec<Received>,
        poller: &Poller,
    ) {
        let Some(slot) = self.slots.get_mut(&token) else {
            return;
        };
        let outcome = if slot.connecting {
            match sockopt::socket_error(&slot.socket) {
                Ok(Ok(())) => {
                    slot.connecting = false;
                    self.events.push(Event::Opened(slot.id));
                    Ok(())
                }
                Ok(Err(error)) | Err(error) => Err(error.into()),
            }
        } else {
            self.exchange(token, write, guest, at, received)
        };
        match outcome {
            Ok(()) => self.update(token, poller),
            Err(error) => self.end(token, &describe(&error), poller),
        }
    }

    fn exchange(
        &mut self,
        token: u64,
        write: bool,
        guest: Option<&mut Guest>,
        at: &mut usize,
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(&token) else {
            return Ok(());
        };
        if write && !slot.backlog.is_empty() {
            let sent = transmit(&slot.socket, &slot.backlog)?;
            slot.backlog.drain(..sent);
            if sent > 0 && !slot.closing {
                self.events.push(Event::Sent((slot.id, sent as u32)));
            }
        }
        let Some(guest) = guest.filter(|_| !slot.closing) else {
            return Ok(());
        };
        let area = guest.areas.receive;
        let Some(bytes) = guest.bytes_mut(area) else {
            return Ok(());
        };
        while *at < bytes.len() {
            let count = match net::recv(&slot.socket, &mut bytes[*at..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let data = Span {
                address: area.address + *at as u32,
                length: count as u32,
            };
            received.push(Received {
                stream: slot.id,
                data,
            });
            *at += count;
            // A short read has emptied the socket, as far as is known.
            if *at < bytes.len() {
                break;
            }
        }
        Ok(())
    }

    fn update(&mut self, token: u64, poller: &Poller) {
        let Some(slot) = self.slots.get_mut(&token) else {
            return;
        };
        if slot.closing && slot.backlog.is_empty() {
            return self.remove(token, poller);
        }
        let write = slot.connecting || !slot.backlog.is_empty();
        let interest = Interest {
            read: !slot.connecting && !slot.closing,
            write,
        };
        if interest != slot.interest {
            slot.interest = interest;
            if let Err(error) = poller.modify(slot.socket.as_fd(), token, interest) {
                self.end(token, &describe(&error), poller);
            }
        }
    }

    /// Ends a stream, and tells the VCP why.
    fn end(&mut self, token: u64, why: &str, poller: &Poller) {
        let Some(slot) = self.slots.get(&token) else {
            return;
        };
        if !slot.closing {
            self.events.push(Event::Closed((slot.id, why.to_owned())));
        }
        self.remove(token, poller);
    }

    fn remove(&mut self, token: u64, poller: &Poller) {
        if let Some(slot) = self.slots.remove(&token) {
            if slot.closing {
                // Closing the socket ends the stream, too; this only says so earlier.
                let _ = net::shutdown(&slot.socket, Shutdown::Write);
            }
            poller.remove(slot.socket.as_fd());
        }
    }
}

/// Begins a connection; to a link-local address on the interface `zone`, which is
/// looked up each time: one that was removed and is back has another number.
fn start(ip: IpAddr, port: u16, zone: Option<&str>) -> Result<OwnedFd, Errno> {
    let family = match ip {
        IpAddr::V4(_) => net::AddressFamily::INET,
        IpAddr::V6(_) => net::AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    let scope = match zone {
        Some(zone) => zone.parse().or_else(|_| name_to_index(&socket, zone))?,
        None => 0,
    };
    let address = match ip {
        IpAddr::V4(_) => SocketAddr::new(ip, port),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, scope).into(),
    };
    match net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

/// Makes closing the socket a reset.
fn abort(socket: &OwnedFd) {
    // It can't fail for a TCP socket.
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Sends what the socket takes now.
fn transmit(socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
    match net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
        Ok(count) => Ok(count),
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Describes an error in the words of the VCP's own stack.
fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "connection closed by peer".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        _ => error.to_string(),
    }
}
