//! The choice of the portal: the configured one, or where the target says it is.

use alloc::format;
use core::net::SocketAddr;

use vcp_iscsi_proto::login::LoginStatus;

use super::Initiator;
use super::fault::Fault;
use crate::action::Level;

/// The most redirections in a row.
const MAX_REDIRECTIONS: u32 = 4;
/// The number of attempts in a row at a portal to which the target has moved permanently,
/// before the configured one is tried as well.
const PATIENCE: u32 = 4;

impl Initiator {
    /// Follows a redirection (RFC 7143 §11.13.5).
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

    /// Checks that a portal is still in its portal group (RFC 7143 §6.3.1). In another
    /// group a login takes no session over, and requests of the old session could still
    /// arrive after those of the new one.
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

    /// The portal of the next attempt. A target that has moved permanently may move
    /// again, and then nobody at that portal can say so: after a while every other
    /// attempt goes to the configured one, which is the most likely to know.
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

    /// Notes that there is a session at the portal in use.
    pub(super) fn portal_serves(&mut self) {
        self.unreached = 0;
        if self.address == self.config.portal {
            self.portal = self.address;
        }
    }
}
