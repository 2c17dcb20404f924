//! What the initiator wants done, in the order it wants it.

use alloc::string::String;
use core::net::SocketAddr;

use crate::block::{Geometry, Status};

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// An operator must act.
    Error,
    /// Something is wrong and is being dealt with.
    Warn,
    /// A milestone.
    Info,
    /// For whoever looks for a fault.
    Debug,
}

/// One thing for the caller to do. Taken with
/// [`Initiator::poll_action`](crate::Initiator::poll_action).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a TCP connection. There is never more than one: it is answered by
    /// `connected` or `disconnected`.
    Connect {
        /// Of the target portal.
        address: SocketAddr,
    },
    /// Close the connection, or give up opening it. For the initiator it is gone
    /// with this; no `disconnected` is expected for it and none of its bytes may
    /// be delivered any more.
    Close {
        /// At once (RST) instead of after what was sent (FIN).
        abort: bool,
    },
    /// A request has ended. The data of a successful read is in the request's
    /// own span, which from here on is the caller's again.
    Complete {
        /// Of the request.
        tag: u64,
        /// How it ended.
        status: Status,
    },
    /// The logical unit serves requests. A later one replaces the geometry.
    Ready(Geometry),
    /// Requests wait until the next `Ready`; in one line why. Comes once for each
    /// outage, and again when a logical unit that is there has another reason to let
    /// them wait; before the first `Ready` only where there was a predecessor.
    Suspended(String),
    /// The logical unit says that the space behind it runs out; one line.
    LowSpace(String),
    /// Over, and not without a change of the configuration; one line that says
    /// what and where. Requests not completed by then are answered with
    /// [`Status::ShuttingDown`].
    Failed(String),
    /// Leave is taken. What was not completed by then never will be.
    Stopped,
    /// A line for the log; never contains a secret.
    Log {
        /// How much it matters.
        level: Level,
        /// One line.
        message: String,
    },
}
