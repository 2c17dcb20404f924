//! Listening ports. smoltcp has no backlog, and one socket takes one connection; so each
//! port keeps one listening socket, replaced at once when a SYN takes it.

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;

use crate::connection::{Connection, Owner, Table};

pub(crate) struct Listener {
    pub(crate) port: u16,
    /// `None` while all connections are in use; SYNs are then answered with RST.
    pub(crate) socket: Option<SocketHandle>,
}

impl Listener {
    /// Moves a socket that a SYN took into the table, and opens the next if there is room
    /// for one more connection.
    pub(crate) fn replenish(
        &mut self,
        table: &mut Table,
        sockets: &mut SocketSet<'static>,
        open: impl FnOnce() -> tcp::Socket<'static>,
    ) {
        if let Some(socket) = self.socket {
            let state = sockets.get::<tcp::Socket>(socket).state();
            if state == tcp::State::Listen {
                return;
            }
            table.insert(Connection::new(
                socket,
                Owner::Listener(self.port),
                self.port,
                state,
            ));
            self.socket = None;
        }
        if !table.is_full() {
            let mut socket = open();
            socket
                .listen(self.port)
                .expect("the socket is new and the port is not 0");
            self.socket = Some(sockets.add(socket));
        }
    }
}
