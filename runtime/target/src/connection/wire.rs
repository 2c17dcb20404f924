//! The parts of a connection that every phase needs: the output, the shared target, the
//! clock, and a place to report violations.

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_proto::TargetPdu;

use super::input::Framing;
use super::output::Output;
use crate::control::Control;
use crate::target::Target;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// The initiator logged out.
    #[error("logged out")]
    LoggedOut,
    /// The login failed.
    #[error("login failed: {0}")]
    LoginFailed(String),
    /// The initiator broke the protocol in a way that cannot be answered.
    #[error("protocol violation: {0}")]
    Violation(String),
    /// Another login took the session's place.
    #[error("the session was reinstated by another login")]
    Reinstated,
    /// The connection was dropped on request.
    #[error("dropped on request")]
    Dropped,
    /// The initiator did not do this in time.
    #[error("timed out: {0}")]
    TimedOut(&'static str),
    /// The fault script ended it.
    #[error("dropped by the fault script")]
    Scripted,
}

/// The state that the phases share.
pub(super) struct Wire {
    pub(super) target: Arc<Target>,
    pub(super) control: Arc<Control>,
    pub(super) output: Output,
    pub(super) framing: Framing,
    pub(super) now: Duration,
    /// The portal that the initiator came to, `address:port`.
    pub(super) portal: String,
    /// The InitiatorName, once known; before that, the peer's address.
    pub(super) initiator: String,
}

impl Wire {
    /// Records that the initiator broke a rule.
    pub(super) fn violate(&self, text: impl Into<String>) {
        self.target.violate(&self.initiator, text.into());
    }

    /// Records that the initiator broke a rule, and returns the end of the connection.
    pub(super) fn violated(&self, text: impl Into<String>) -> End {
        let text = text.into();
        self.violate(text.clone());
        End::Violation(text)
    }

    pub(super) fn send(&mut self, pdu: impl Into<TargetPdu>, data: &[u8]) {
        self.output.push(&pdu.into(), data);
    }
}
