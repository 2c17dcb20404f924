//! Unsolicited messages of a portal in a discovery session (RFC 7143 §11.9, §11.17,
//! §11.19). None of them ends the discovery by itself: those about commands are ignored,
//! and a portal that asks for a logout gets it, and is asked again.

use alloc::format;
use alloc::string::{String, ToString};

use vcp_iscsi_proto::bhs::{Opcode, RESERVED_TAG};
use vcp_iscsi_proto::pdu::{AsyncEvent, NopIn, Reject, RejectReason};

use super::{Discovery, DiscoveryAction, Phase};
use crate::control::{Control, Place};

const SECOND: u64 = 1_000_000_000;
/// The most answers to pings that may wait to be sent.
const MAX_WAITING: usize = 64;

impl Discovery {
    /// Handles a NOP-In: a ping, or only new numbers.
    pub(super) fn nop_in(&mut self, nop: &NopIn) -> Result<(), String> {
        if nop.itt != RESERVED_TAG {
            return Err("a NOP-In that answers no NOP-Out".into());
        }
        // Nothing may be sent after a logout.
        if nop.ttt == RESERVED_TAG || !matches!(self.phase, Phase::Asking) {
            return Ok(());
        }
        let waiting = self.connection.as_ref().map_or(0, |c| c.controls());
        if waiting >= MAX_WAITING {
            return Err("more pings than anyone can answer".into());
        }
        self.push(Control::Pong {
            lun: nop.lun,
            ttt: nop.ttt,
        });
        Ok(())
    }

    /// Handles an Asynchronous Message. There are no commands that an event could be
    /// about, and nothing to negotiate while the answer is being given.
    pub(super) fn async_message(&mut self, now: u64, event: AsyncEvent) {
        let answered = matches!(self.phase, Phase::Leaving | Phase::Over);
        match event {
            AsyncEvent::LogoutRequest { within } => {
                if matches!(self.phase, Phase::Asking) && self.turn.is_none() {
                    // The answer may be on its way, and the logout takes time too.
                    let grace = u64::from(within) * SECOND / 2;
                    self.turn = Some(now.saturating_add(grace));
                }
            }
            AsyncEvent::DropConnection { .. } | AsyncEvent::DropSession { .. } if answered => {
                self.hang_up(true);
                self.over();
            }
            AsyncEvent::DropConnection { time2wait, .. }
            | AsyncEvent::DropSession { time2wait, .. } => self.come_back(now, time2wait),
            AsyncEvent::Scsi
            | AsyncEvent::Negotiate { .. }
            | AsyncEvent::TasksTerminated
            | AsyncEvent::Other { .. } => {}
        }
    }

    /// Handles a Reject. It matters only if it rejects the question, and even then not if
    /// the portal just asks for a logout first.
    pub(super) fn rejected(&mut self, reject: &Reject, data: &[u8]) -> Result<(), String> {
        let header = Reject::rejected(data).map_err(|e| e.to_string())?;
        let opcode = Opcode::parse(header[0]).map_err(|e| e.to_string())?;
        match (opcode, &self.phase) {
            (Opcode::NopOut, _) | (_, Phase::Returning) => Ok(()),
            (Opcode::TextRequest, Phase::Asking)
                if reject.reason == RejectReason::WaitingForLogout =>
            {
                self.leave_unanswered();
                Ok(())
            }
            _ => Err(format!("{opcode:?} rejected: {}", reject.reason)),
        }
    }

    /// Whether the portal asks for a logout, and has not answered.
    pub(super) fn is_to_leave(&self) -> bool {
        match self.phase {
            Phase::Asking => self.turn.is_some(),
            Phase::Returning => true,
            _ => false,
        }
    }

    /// Leaves or comes back, as the time for it has come.
    pub(super) fn take_turn(&mut self) {
        match self.phase {
            Phase::Asking => self.leave_unanswered(),
            Phase::Waiting => {
                self.phase = Phase::Connecting;
                let address = self.address;
                self.actions.push_back(DiscoveryAction::Connect { address });
            }
            _ => {}
        }
    }

    fn leave_unanswered(&mut self) {
        self.phase = Phase::Returning;
        self.push(Control::Logout {
            itt: u32::from(Place::Logout as u16),
        });
    }

    /// Connects again after being sent away without an answer: after this many seconds,
    /// once, and if there is time for it.
    pub(super) fn come_back(&mut self, now: u64, time2wait: u16) {
        // The logout was answered, or there was none.
        let orderly = matches!(self.phase, Phase::Returning);
        self.hang_up(!orderly);
        if core::mem::replace(&mut self.sent_away, true) {
            return self.fail("discovery", "it sends us away and does not answer");
        }
        let back = now.saturating_add(u64::from(time2wait) * SECOND);
        if self.deadline.is_some_and(|deadline| deadline <= back) {
            let reason = format!(
                "it sends us away for {time2wait} s, which is longer than it has time to answer"
            );
            return self.fail("discovery", &reason);
        }
        let _half_an_answer = self.text.take();
        self.phase = Phase::Waiting;
        self.turn = Some(back);
    }
}
