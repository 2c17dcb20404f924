//! Ports listened on. smoltcp has no backlog, one socket takes one connection; so
//! each port keeps one listening socket, replaced at once when a SYN takes it.

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::wire::IpEndpoint;

use crate::connection::{Connection, Owner, Table};

pub(crate) struct Listener {
    pub(crate) port: u16,
    /// `None` while all connections are in use; SYNs are then answered with RST.
    pub(crate) socket: Option<SocketHandle>,
}

impl Listener {
    /// Moves a socket that a SYN took into the table, and opens the next if there
    /// is room for one more connection.
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

/// Whether a SYN between these endpoints repeats one that a connection is
/// already answering. smoltcp gives a SYN to the first socket that would have
/// it, which may be a listener: two sockets would then answer one peer. Such a
/// SYN is dropped; the connection repeats its answer by itself.
pub(crate) fn repeats(
    table: &Table,
    sockets: &SocketSet<'static>,
    local: IpEndpoint,
    remote: IpEndpoint,
) -> bool {
    table.iter().any(|(_, connection)| {
        let socket = sockets.get::<tcp::Socket>(connection.socket);
        socket.local_endpoint() == Some(local)
            && socket.remote_endpoint() == Some(remote)
            && !matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait)
    })
}
