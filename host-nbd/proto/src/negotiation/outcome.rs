//! What negotiation comes to, step by step, and what its caller answers.

use super::MAX_OPTIONS;
#[cfg(doc)]
use super::Negotiation;
use crate::session::Session;

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing without more bytes from the client.
    Receive,
    /// An option was answered. Call again.
    Replied,
    /// The client wants a list of exports: call [`Negotiation::list`].
    List,
    /// The client wants the export of this name, where an empty name means the
    /// default: call [`Negotiation::export`].
    Export(String),
    /// Negotiation is over; after sending the output, transmission starts.
    /// [`Negotiation::into_rest`] returns what the client sent since.
    Transmission(Session),
    /// The client took its leave. Send the output and close.
    Aborted,
}

/// Why a connection must be closed without further ado.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Unknown client flags.
    #[error("client sets unknown handshake flags {0:#010x}")]
    ClientFlags(u32),
    /// Something else where an option should start.
    #[error("option starts with {0:#018x} instead of IHAVEOPT")]
    OptionMagic(u64),
    /// An option that a client which does not know fixed newstyle cannot send.
    #[error("option {0} from a client that did not negotiate fixed newstyle")]
    NotFixed(u32),
    /// An option too large even to be skipped.
    #[error("option {option} with {length} bytes of data")]
    TooLarge {
        /// Its number.
        option: u32,
        /// Bytes.
        length: u32,
    },
    /// No end of options.
    #[error("more than {MAX_OPTIONS} options")]
    TooMany,
    /// `EXPORT_NAME` cannot fail but by closing the connection.
    #[error("export {name:?} is not available: {reason}")]
    Export {
        /// As the client sent it, its first 64 characters.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Why an export cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// There is none of this name.
    #[error("no such export")]
    Unknown,
    /// It exists and cannot be served now, and why.
    #[error("{0}")]
    NotReady(String),
    /// The server is going away.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The server does not let this client have it now, and why.
    #[error("{0}")]
    Refused(String),
}

/// One export in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// As a client would ask for it.
    pub name: String,
    /// For humans; may be empty.
    pub description: String,
}
