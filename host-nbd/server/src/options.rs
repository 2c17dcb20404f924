//! A server's limits and access rights.

use std::time::Duration;

/// A server's limits, and who may reach its unix socket. All of it can be changed
/// while the server runs: [`crate::Server::change`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// The most connections in their transmission phase. A client that asks for an export
    /// beyond that is refused with `NBD_REP_ERR_POLICY`.
    pub max_connections: usize,
    /// The most connections in negotiation. One more takes the place of one that makes
    /// the server wait, or is closed if there is none.
    pub max_negotiations: usize,
    /// The time for a client to negotiate, waiting for exports included.
    pub negotiation_limit: Duration,
    /// The time for an export to become ready when a client asks for it.
    pub ready_limit: Duration,
    /// How long a TCP peer may acknowledge nothing before it counts as gone; `None`: for
    /// ever. Applies to connections accepted from then on.
    pub keep_alive: Option<Duration>,
    /// Access to a unix socket.
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

/// Access to a unix socket, by the mode and group of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The file's mode, permission bits only. Whoever may write may connect.
    pub mode: u32,
    /// The file's group, as a number; `None`: that of the process, or of a directory that
    /// passes on its own.
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
