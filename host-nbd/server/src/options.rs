//! What a server allows, and whom.

use std::time::Duration;

/// A server's limits, and who may reach its unix socket. All of it can be changed
/// while the server runs: [`crate::Server::change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Connections in their transmission phase at a time. Who asks for an export
    /// beyond that is refused with `NBD_REP_ERR_POLICY`.
    pub max_connections: usize,
    /// Connections that negotiate at a time. One more takes the place of one that
    /// makes the server wait, or is closed if there is none.
    pub max_negotiations: usize,
    /// Time for a client to negotiate, waiting for exports included.
    pub negotiation_limit: Duration,
    /// Time for an export to become ready when a client asks for it.
    pub ready_limit: Duration,
    /// How long a TCP peer may acknowledge nothing before it counts as gone; `None`
    /// for ever. Holds for connections that are accepted from then on.
    pub keep_alive: Option<Duration>,
    /// Who may connect to a unix socket.
    pub access: Access,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 128,
            max_negotiations: 128,
            negotiation_limit: Duration::from_secs(30),
            ready_limit: Duration::from_secs(20),
            keep_alive: Some(Duration::from_secs(120)),
            access: Access::default(),
        }
    }
}

/// Who may connect to a unix socket, as its file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Mode of the file, permission bits only. Who may write may connect.
    pub mode: u32,
    /// Group of the file, as a number; `None`: that of the process, or of a directory
    /// that hands its own down.
    pub group: Option<u32>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            mode: 0o600,
            group: None,
        }
    }
}
