//! Operations on a connection by its handle.

use core::net::SocketAddr;

use smoltcp::socket::tcp;

use crate::connection::{Connection, End, Handle, Owner, State};
use crate::stack::{RELEASE, Stack};

impl Stack {
    /// Closes the connection for sending, after all data passed to `send`.
    pub fn close(&mut self, handle: Handle) {
        let Some(connection) = self.table.get_mut(handle) else {
            return;
        };
        let socket = self.sockets.get_mut::<tcp::Socket>(connection.socket);
        connection.aborted |= socket.state() == tcp::State::SynSent;
        socket.close();
        connection.observe(socket.state(), false);
    }

    /// Resets the connection and releases the handle.
    pub fn abort(&mut self, handle: Handle, now: u64) {
        let Some(connection) = self.table.get_mut(handle) else {
            return;
        };
        connection.aborted = true;
        connection.owner = Owner::Nobody(now + RELEASE);
        self.sockets
            .get_mut::<tcp::Socket>(connection.socket)
            .abort();
    }

    /// Closes the connection if necessary, and releases the handle. Sent data is still
    /// delivered, as far as `timeout` allows.
    pub fn release(&mut self, handle: Handle, now: u64) {
        self.close(handle);
        if let Some(connection) = self.table.get_mut(handle) {
            connection.owner = Owner::Nobody(now + self.config.timeout);
        }
    }

    /// Drops the connection and the handle without informing the peer: for a connection
    /// that is resumed elsewhere (see [`Stack::export`]). Segments that still arrive here
    /// are answered with RST, so none should.
    pub fn forget(&mut self, handle: Handle) {
        if let Some(connection) = self.table.take(handle) {
            self.sockets.remove(connection.socket);
        }
    }

    /// The state of a connection.
    pub fn state(&self, handle: Handle) -> State {
        match self.table.get(handle) {
            Some(connection) => connection.state(self.socket(connection).state()),
            None => State::Closed(End::Aborted),
        }
    }

    /// The peer of a connection.
    pub fn peer(&self, handle: Handle) -> Option<SocketAddr> {
        let endpoint = self.socket(self.table.get(handle)?).remote_endpoint()?;
        Some(SocketAddr::new(endpoint.addr.into(), endpoint.port))
    }

    /// The number of bytes received and not yet taken.
    pub fn readable(&self, handle: Handle) -> usize {
        self.table
            .get(handle)
            .map_or(0, |connection| self.socket(connection).recv_queue())
    }

    /// The number of bytes that [`Stack::send`] would take; 0 if the connection can't
    /// send.
    pub fn writable(&self, handle: Handle) -> usize {
        let Some(connection) = self.table.get(handle) else {
            return 0;
        };
        let socket = self.socket(connection);
        if socket.may_send() {
            socket.send_capacity() - socket.send_queue()
        } else {
            0
        }
    }

    /// The number of bytes sent and not yet acknowledged by the peer.
    pub fn unacknowledged(&self, handle: Handle) -> usize {
        self.table
            .get(handle)
            .map_or(0, |connection| self.socket(connection).send_queue())
    }

    /// Shows `take` a run of received bytes, and drops as many from its start as `take`
    /// returns. Not called when there is none; the rest of a run that wraps around the
    /// buffer's end comes with the next call. Returns the number taken.
    pub fn recv(&mut self, handle: Handle, take: impl FnOnce(&[u8]) -> usize) -> usize {
        let Some(connection) = self.table.get_mut(handle) else {
            return 0;
        };
        let socket = self.sockets.get_mut::<tcp::Socket>(connection.socket);
        if !socket.can_recv() {
            return 0;
        }
        let taken = socket.recv(|bytes| {
            let taken = take(bytes).min(bytes.len());
            (taken, taken)
        });
        let taken = taken.unwrap_or(0);
        connection.observed.taken(taken);
        taken
    }

    /// Lets `fill` write at the start of a free run of the send buffer and return how
    /// much it wrote. Not called when there is no room. Returns the number written.
    pub fn send(&mut self, handle: Handle, fill: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let Some(connection) = self.table.get_mut(handle) else {
            return 0;
        };
        let socket = self.sockets.get_mut::<tcp::Socket>(connection.socket);
        if !socket.can_send() {
            return 0;
        }
        let written = socket.send(|bytes| {
            let written = fill(bytes).min(bytes.len());
            (written, written)
        });
        let written = written.unwrap_or(0);
        connection.observed.written(written);
        written
    }

    pub(crate) fn socket(&self, connection: &Connection) -> &tcp::Socket<'static> {
        self.sockets.get(connection.socket)
    }
}
