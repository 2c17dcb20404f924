//! Outcomes of negotiation steps, and the caller's answers.

use super::MAX_OPTIONS;
#[cfg(doc)]
use super::Negotiation;
use crate::session::Session;

/// What the caller does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Feed more bytes from the client.
    Receive,
    /// An option was answered: call again.
    Replied,
    /// The client wants a list of exports: call [`Negotiation::list`].
    List,
    /// The client wants the export of this name, where an empty name means the
    /// default: call [`Negotiation::export`].
    Export(String),
    /// Negotiation is over: send the output, then transmission starts.
    /// [`Negotiation::into_rest`] returns what the client has already sent.
    Transmission(Session),
    /// The client said good-bye. Send the output and close.
    Aborted,
}

/// Why a connection must be closed without further ado.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Unknown client flags.
    #[error("client sets unknown handshake flags {0:#010x}")]
    ClientFlags(u32),
    /// Something other than an option where one should start.
    #[error("option starts with {0:#018x} instead of IHAVEOPT")]
    OptionMagic(u64),
    /// An option that a client which does not know fixed newstyle cannot send.
    #[error("option {0} from a client that did not negotiate fixed newstyle")]
    NotFixed(u32),
    /// An option too large even to be skipped.
    #[error("option {option} with {length} bytes of data")]
    TooLarge {
        /// The option's number.
        option: u32,
        /// The length in bytes.
        length: u32,
    },
    /// The client sent too many options.
    #[error("more than {MAX_OPTIONS} options")]
    TooMany,
    /// `EXPORT_NAME` cannot fail but by closing the connection.
    #[error("export {name:?} is not available: {reason}")]
    Export {
        /// The name as the client sent it, up to its first 64 characters.
        name: String,
        /// The reason.
        reason: String,
    },
}

/// Why an export cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// There is no export of this name.
    #[error("no such export")]
    Unknown,
    /// The export cannot be served now, for this reason.
    #[error("{0}")]
    NotReady(String),
    /// The server is going away.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The server refuses it to this client now, for this reason.
    #[error("{0}")]
    Refused(String),
}

/// One export in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// The name by which a client would ask for it.
    pub name: String,
    /// For humans; may be empty.
    pub description: String,
}
