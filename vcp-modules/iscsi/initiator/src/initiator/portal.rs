//! Which portal is asked: the configured one, or where the target says it is.

use alloc::format;
use core::net::SocketAddr;

use vcp_iscsi_proto::login::LoginStatus;

use super::Initiator;
use super::fault::Fault;
use crate::action::Level;

/// Portals that a login may be sent on to in a row.
const MAX_REDIRECTIONS: u32 = 4;
/// Attempts in a row at a portal that the target has moved to for good, before the
/// configured one is asked as well.
const PATIENCE: u32 = 4;

impl Initiator {
    /// Goes where the target says it is (RFC 7143 §11.13.5).
    pub(super) fn follow(
        &mut self,
        now: u64,
        address: SocketAddr,
        status: LoginStatus,
    ) -> Result<(), Fault> {
        self.redirections += 1;
        if self.redirections > MAX_REDIRECTIONS {
            return Err(Fault::refusal("it is sent on from portal to portal".into()));
        }
        self.log(
            Level::Info,
            format!("{}: {status}, now at {address}", self.place()),
        );
        if status == LoginStatus::TargetMovedPermanently {
            self.portal = address;
        }
        self.connect_anew(now, address);
        Ok(())
    }

    /// Whether a portal is still of the portal group that it was of (RFC 7143 §6.3.1).
    /// In another group a login takes no session over, and what is under way in the
    /// old session could still arrive after what is sent in the new one.
    pub(super) fn check_portal_group(&mut self, group: Option<u16>) -> Result<(), Fault> {
        let Some(group) = group else { return Ok(()) };
        match self.portal_group {
            Some((address, known)) if address == self.address && known != group => {
                Err(Fault::refusal(format!(
                    "it is of portal group {group} now, and was of {known} before"
                )))
            }
            _ => {
                self.portal_group = Some((self.address, group));
                Ok(())
            }
        }
    }

    /// Where the next attempt goes. What has moved for good may be gone from there, too,
    /// and then nobody at that portal can say so: after a while it is every other time the
    /// configured one, which knows where the target is if anybody does.
    pub(super) fn next_portal(&mut self) -> SocketAddr {
        let configured = self.config.portal;
        let turn = self.unreached.checked_sub(PATIENCE);
        self.unreached = self.unreached.saturating_add(1);
        if self.portal == configured || turn.is_none_or(|turn| turn % 2 == 1) {
            return self.portal;
        }
        self.log(
            Level::Info,
            format!(
                "{}: no session there, asking {configured} again",
                self.place()
            ),
        );
        configured
    }

    /// There is a session at the portal in use.
    pub(super) fn portal_serves(&mut self) {
        self.unreached = 0;
        if self.address == self.config.portal {
            self.portal = self.address;
        }
    }
}
