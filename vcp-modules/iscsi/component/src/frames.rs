//! The connection over the VCP's own TCP/IP stack.

use alloc::format;
use alloc::string::{String, ToString};
use core::net::{IpAddr, SocketAddr};

use vcp_netstack::{Checksum, Config, ConnectionState, Handle, Stack, State};
use vcp_sdk::Arena;
use vcp_sdk::net::frames::{self, Link};
use vcp_sdk::processor::{Effects, Events};
use vcp_sdk::types::Span;

use crate::transport::Change;

/// The most connections at a time: the one in use, and old ones being closed.
const CONNECTIONS: usize = 4;

pub(crate) struct Frames {
    pub(crate) stack: Stack,
    connection: Option<Connection>,
    /// Why the requested connection could not even be begun.
    refused: Option<String>,
    /// The address of the arena in memory; natively 0.
    arena: u32,
    /// Whether the arena holds frames from before the first call.
    early: bool,
    /// The number of this call's frames that the stack has received.
    heard: usize,
}

struct Connection {
    handle: Handle,
    open: bool,
}

impl Frames {
    pub(crate) fn new(link: &Link, seed: u64, now: u64) -> Result<Self, String> {
        let mac = <[u8; 6]>::try_from(&link.mac[..])
            .map_err(|_| format!("net: an Ethernet address of {} bytes", link.mac.len()))?;
        let mut config = Config::new(mac, link.mtu as usize, seed);
        for address in &link.addresses {
            config.addresses.push(parse_cidr(address)?);
        }
        for gateway in &link.gateways {
            let bad = |_| format!("net.gateway: {gateway:?} is not an IP address");
            config.gateways.push(gateway.parse().map_err(bad)?);
        }
        config.checksum_offload = link.checksum_offload;
        config.segmentation_offload = link.segmentation_offload;
        config.max_connections = CONNECTIONS;
        let stack = Stack::new(config, now).map_err(|error| format!("net: {error}"))?;
        let arena = address_of(stack.outgoing().0);
        Ok(Self {
            stack,
            connection: None,
            refused: None,
            arena,
            early: false,
            heard: 0,
        })
    }

    pub(crate) fn begin(&mut self) {
        self.heard = 0;
        if !core::mem::take(&mut self.early) {
            self.stack.clear_outgoing();
        }
    }

    /// Passes the next frame of this call to the stack; `None` if there is none. If the
    /// frame has the connection's next data, `take` is shown that in place, as the result
    /// says.
    fn hear(&mut self, events: &Events, receive: &Arena, take: impl FnOnce(&[u8])) -> Option<bool> {
        let frame = events.frames.get(self.heard)?;
        self.heard += 1;
        let checksum = match frame.checksum {
            frames::Checksum::Unverified => Checksum::Unverified,
            frames::Checksum::Verified => Checksum::Verified,
            frames::Checksum::Partial => Checksum::Partial,
        };
        let Some(bytes) = receive.get(frame.data) else {
            return Some(false);
        };
        let (stack, now) = (&mut self.stack, events.now);
        match &self.connection {
            Some(Connection { handle, open: true }) => {
                Some(stack.receive_direct(now, bytes, checksum, *handle, take))
            }
            _ => {
                stack.receive(now, bytes, checksum);
                Some(false)
            }
        }
    }

    pub(crate) fn hold(&self) -> Result<ConnectionState, String> {
        let connection = self.connection.as_ref().ok_or("there is no connection")?;
        let state = self.stack.export(connection.handle);
        state.map_err(|error| error.to_string())
    }

    pub(crate) fn resume(&mut self, now: u64, state: &ConnectionState) -> Result<(), String> {
        let handle = self.stack.import(now, state);
        let handle = handle.map_err(|error| error.to_string())?;
        self.connection = Some(Connection { handle, open: true });
        // The peer is answered before its frames are handled.
        self.stack.poll(now);
        self.early = true;
        Ok(())
    }

    pub(crate) fn connect(&mut self, now: u64, address: SocketAddr) {
        match self.stack.connect(address, now) {
            Ok(handle) => {
                self.connection = Some(Connection {
                    handle,
                    open: false,
                });
            }
            Err(error) => self.refused = Some(error.to_string()),
        }
    }

    pub(crate) fn close(&mut self, now: u64, abort: bool) {
        self.refused = None;
        if let Some(connection) = self.connection.take() {
            if abort {
                self.stack.abort(connection.handle, now);
            } else {
                self.stack.release(connection.handle, now);
            }
        }
    }

    pub(crate) fn change(&mut self, now: u64) -> Option<Change> {
        if let Some(why) = self.refused.take() {
            return Some(Change::Disconnected(why));
        }
        let connection = self.connection.as_mut()?;
        let why = match self.stack.state(connection.handle) {
            State::Connecting => return None,
            State::Open if connection.open => return None,
            State::Open => {
                connection.open = true;
                return Some(Change::Connected);
            }
            // The data that it sent before is read first.
            _ if self.stack.readable(connection.handle) > 0 && connection.open => return None,
            State::PeerClosed | State::Closing => "connection closed by peer".to_string(),
            State::Closed(end) => end.to_string(),
        };
        let handle = connection.handle;
        self.connection = None;
        self.stack.release(handle, now);
        Some(Change::Disconnected(why))
    }

    /// A frame's data is passed on before the next frame is handled, while it is in the
    /// CPU's cache.
    pub(crate) fn receive(
        &mut self,
        events: &Events,
        receive: &Arena,
        take: impl FnOnce(&[u8]),
    ) -> bool {
        let mut take = Some(take);
        let mut show = |bytes: &[u8]| {
            if let Some(take) = take.take() {
                take(bytes);
            }
        };
        while !self.is_readable() {
            match self.hear(events, receive, &mut show) {
                None => return false,
                Some(true) => return true,
                Some(false) => {}
            }
        }
        let Some(connection) = &self.connection else {
            return false;
        };
        let taken = self.stack.recv(connection.handle, |bytes| {
            show(bytes);
            bytes.len()
        });
        taken > 0
    }

    fn is_readable(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| self.stack.readable(connection.handle) > 0)
    }

    pub(crate) fn send(&mut self, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        match &self.connection {
            Some(connection) => self.stack.send(connection.handle, fill),
            None => 0,
        }
    }

    pub(crate) fn poll(&mut self, now: u64) {
        self.stack.poll(now);
    }

    pub(crate) fn finish(&mut self, now: u64, effects: &mut Effects) -> Option<u64> {
        let arena = self.arena;
        let (_, outgoing) = self.stack.outgoing();
        effects.frames = outgoing
            .iter()
            .map(|frame| frames::Outgoing {
                data: Span {
                    address: arena + frame.offset as u32,
                    length: frame.length as u32,
                },
                checksum_start: frame.checksum_start,
                checksum_offset: frame.checksum_offset,
                segment_size: frame.segment_size,
            })
            .collect();
        self.stack.next_deadline(now)
    }
}

#[cfg(target_arch = "wasm32")]
fn address_of(bytes: &[u8]) -> u32 {
    bytes.as_ptr().addr() as u32
}

#[cfg(not(target_arch = "wasm32"))]
fn address_of(_: &[u8]) -> u32 {
    0
}

fn parse_cidr(text: &str) -> Result<(IpAddr, u8), String> {
    let parse = || {
        let (address, prefix) = text.split_once('/')?;
        Some((address.parse().ok()?, prefix.parse().ok()?))
    };
    parse().ok_or_else(|| format!("net.address: {text:?} is not of the form ADDRESS/PREFIX"))
}
