//! What every phase of a connection needs: the output, the shared target, the
//! clock, and a place to complain.

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
    /// It was dropped on request.
    #[error("dropped on request")]
    Dropped,
    /// The initiator did not do in time what it had to.
    #[error("timed out: {0}")]
    TimedOut(&'static str),
    /// The fault script ended it.
    #[error("dropped by the fault script")]
    Scripted,
}

/// What the phases share.
pub(super) struct Wire {
    pub(super) target: Arc<Target>,
    pub(super) control: Arc<Control>,
    pub(super) output: Output,
    pub(super) framing: Framing,
    pub(super) now: Duration,
    /// The portal the initiator came to, `address:port`.
    pub(super) portal: String,
    /// InitiatorName, once known; before, the peer's address.
    pub(super) initiator: String,
}

impl Wire {
    /// Puts on record that the initiator broke a rule.
    pub(super) fn violate(&self, text: impl Into<String>) {
        self.target.violate(&self.initiator, text.into());
    }

    /// Puts it on record and ends the connection.
    pub(super) fn violated(&self, text: impl Into<String>) -> End {
        let text = text.into();
        self.violate(text.clone());
        End::Violation(text)
    }

    pub(super) fn send(&mut self, pdu: impl Into<TargetPdu>, data: &[u8]) {
        self.output.push(&pdu.into(), data);
    }
}
