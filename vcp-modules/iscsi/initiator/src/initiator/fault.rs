//! The reason for the end of a connection, and what it means for the next one.

use alloc::format;
use alloc::string::String;

/// The reason for the end of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The text for the log and the notice: a line without the target's name.
    pub(super) reason: String,
    pub(super) kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The fault concerns this connection; another may do better.
    Connection,
    /// The connection was closed or reset from outside.
    Closed,
    /// Data or a status came for the command with this tag, which had ended.
    Stray(u32),
    /// The connection is all right, but a command is to be tried on another.
    Renewal,
    /// The target is not able now; it may be later.
    Busy,
    /// The target refuses us, or lacks what is asked for. Before the first `Ready` of the
    /// first generation that is final; later the target may only be starting up.
    Refusal,
    /// No connection will ever do better.
    Fatal,
    /// The target asks for the end of the connection, and the initiator to stay away for
    /// this many nanoseconds.
    Asked(u64),
}

impl Fault {
    /// The fault of data or a status for a command that is not under way.
    pub(super) fn stray(what: &str, itt: u32) -> Self {
        Self {
            reason: format!("{what} for a command that is not under way"),
            kind: FaultKind::Stray(itt),
        }
    }

    pub(super) fn refusal(reason: String) -> Self {
        Self {
            reason,
            kind: FaultKind::Refusal,
        }
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self {
            reason,
            kind: FaultKind::Connection,
        }
    }
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self {
            reason: reason.into(),
            kind: FaultKind::Connection,
        }
    }
}
