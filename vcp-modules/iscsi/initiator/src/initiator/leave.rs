//! Logging out, because the caller stops or the target asks for it. Commands under way
//! may end before the logout (RFC 7143 §11.14).

use alloc::format;

use vcp_iscsi_proto::pdu::{LogoutCode, LogoutResponse};

use super::session::{Fault, FaultKind};
use super::{Initiator, MS, Phase};
use crate::action::{Action, Level};
use crate::control::{Control, Place};
use crate::timer::Timer;

/// How long to wait for commands under way, in nanoseconds.
const GRACE: u64 = 2000 * MS;

/// The state of a logout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leave {
    /// What follows the logout.
    then: Then,
    /// The tag of the logout, once it is on its way.
    logout: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Stop,
    Reconnect,
}

impl Initiator {
    pub(super) fn is_stopping(&self) -> bool {
        self.leave.is_some_and(|leave| leave.then == Then::Stop)
    }

    /// Whether no new commands are to be begun because the target waits for our logout.
    pub(super) fn is_draining(&self) -> bool {
        self.leave
            .is_some_and(|leave| leave.then == Then::Reconnect)
    }

    /// Whether a logout is on its way; nothing may be sent after it.
    pub(super) fn is_logged_out(&self) -> bool {
        self.leave.is_some_and(|leave| leave.logout.is_some())
    }

    pub(super) fn begin_stop(&mut self, now: u64) {
        if matches!(self.phase, Phase::Stopped) || self.is_stopping() {
            return;
        }
        match self.phase {
            Phase::Ready | Phase::Surveying => {
                let logout = self.leave.and_then(|leave| leave.logout);
                self.leave = Some(Leave {
                    then: Then::Stop,
                    logout,
                });
                self.timers.set(Timer::Grace, now + GRACE);
                self.continue_leave(now);
            }
            _ => {
                self.hang_up(true);
                self.timers.stop_all();
                self.phase = Phase::Stopped;
                self.actions.push_back(Action::Stopped);
            }
        }
    }

    /// Logs out within a time, as the target asks; the session comes back afterwards.
    pub(super) fn begin_relogin(&mut self, now: u64, within: u64) {
        if self.leave.is_some() {
            return;
        }
        self.log(Level::Info, format!("{} asks for a logout", self.place()));
        self.leave = Some(Leave {
            then: Then::Reconnect,
            logout: None,
        });
        self.timers.set(Timer::Grace, now + GRACE.min(within / 2));
        self.continue_leave(now);
    }

    /// Sends the logout once nothing is left to wait for.
    pub(super) fn continue_leave(&mut self, now: u64) {
        let Some(leave) = self.leave else { return };
        let done = match leave.then {
            Then::Stop => !matches!(self.phase, Phase::Ready) || self.tasks.is_empty(),
            Then::Reconnect => self.tasks.active() == 0,
        };
        if leave.logout.is_none() && done {
            self.send_logout(now);
        }
    }

    pub(super) fn send_logout(&mut self, now: u64) {
        let Some(leave) = &mut self.leave else { return };
        if leave.logout.is_some() {
            return;
        }
        let itt = self.tasks.next_tag(Place::Logout as u16);
        leave.logout = Some(itt);
        if let Some(connection) = &mut self.connection {
            connection.push(Control::Logout { itt });
        }
        for timer in [
            Timer::Grace,
            Timer::Idle,
            Timer::Ping,
            Timer::Watch,
            Timer::Survey,
            Timer::Capacity,
            Timer::Login,
        ] {
            self.timers.stop(timer);
        }
        self.timers.set(Timer::Logout, now + self.short_timeout());
    }

    /// Handles a Logout Response (RFC 7143 §11.15).
    pub(super) fn logout_response(&mut self, response: &LogoutResponse) -> Result<(), Fault> {
        if self.leave.and_then(|leave| leave.logout) != Some(response.itt) {
            return Err("a Logout Response to no request".into());
        }
        if response.code != LogoutCode::Closed {
            self.log(
                Level::Warn,
                format!("{}: logout: {}", self.place(), response.code),
            );
        }
        self.hang_up(false);
        Err(Fault {
            reason: "logged out as the target asked".into(),
            kind: FaultKind::Asked(u64::from(response.time2wait) * 1000 * MS),
        })
    }
}
