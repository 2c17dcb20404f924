//! Why a connection has to end, and what that says about the next one.

use alloc::format;
use alloc::string::String;

/// Why a connection has to end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// For the log and the notice: a line without the target's name.
    pub(super) reason: String,
    pub(super) kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// Of this connection; another may do better.
    Connection,
    /// The connection was closed or reset from outside.
    Closed,
    /// Something came for the command with this tag, which had ended.
    Stray(u32),
    /// Nothing is wrong with it, but one command is to be tried on another.
    Renewal,
    /// The target is not able now; it may be later.
    Busy,
    /// The target refuses us, or has not what is asked for. Before the first
    /// `Ready` of the first generation that is final; later the target may only be
    /// on its way up.
    Refusal,
    /// No connection will ever do better.
    Fatal,
    /// The target wants the connection gone, and the initiator away for so many
    /// nanoseconds.
    Asked(u64),
}

impl Fault {
    /// Something came for a command that is not under way.
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
