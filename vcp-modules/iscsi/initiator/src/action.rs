//! The initiator's actions for its caller, in order.

use alloc::string::String;
use core::net::SocketAddr;

use crate::block::{Geometry, Status};

/// The importance of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// An operator must act.
    Error,
    /// Something is wrong and is being dealt with.
    Warn,
    /// A milestone.
    Info,
    /// Details for debugging.
    Debug,
}

/// An action for the caller to take. Taken with
/// [`Initiator::poll_action`](crate::Initiator::poll_action).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a TCP connection. There is never more than one: it is answered by
    /// `connected` or `disconnected`.
    Connect {
        /// The address of the target portal.
        address: SocketAddr,
    },
    /// Close the connection, or give up opening it. For the initiator it is gone with
    /// this; no `disconnected` is expected for it and none of its bytes may be delivered
    /// any more.
    Close {
        /// Whether to reset it at once (RST) instead of closing it after the sent bytes
        /// (FIN).
        abort: bool,
    },
    /// A request has ended. The data of a successful read is in the request's own span,
    /// which belongs to the caller again from here on.
    Complete {
        /// The request's tag.
        tag: u64,
        /// The request's status.
        status: Status,
    },
    /// The logical unit serves requests. A later `Ready` replaces the geometry.
    Ready(Geometry),
    /// Requests wait until the next `Ready`; the reason in one line. Comes once for each
    /// outage, and again when a reachable logical unit has another reason to let them
    /// wait; before the first `Ready` only if there was a predecessor.
    Suspended(String),
    /// The logical unit reports that its space is running out; one line.
    LowSpace(String),
    /// The initiator has failed for good, unless the configuration changes; one line that
    /// says what and where. Requests not completed by then are answered with
    /// [`Status::ShuttingDown`].
    Failed(String),
    /// The initiator has stopped. Requests not completed by then never will be.
    Stopped,
    /// A line for the log; never contains a secret.
    Log {
        /// The importance of the line.
        level: Level,
        /// The text, in one line.
        message: String,
    },
}
