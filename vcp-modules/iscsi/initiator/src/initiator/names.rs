//! Logins that are refused for a name: they are repeated with the name in its other form.

use alloc::format;

use vcp_iscsi_proto::login::LoginStatus;

use super::Initiator;
use super::session::{Fault, login_fault};
use crate::action::Level;
use crate::login::LoginError;

impl Initiator {
    /// Handles a refused login. If the target may not know a name in the form that was
    /// sent, another form is tried on another connection; otherwise it is a fault.
    pub(super) fn login_refused(&mut self, now: u64, status: LoginStatus) -> Result<(), Fault> {
        if let Some(next) = self.config.names.turn(status) {
            let line = format!("{}: login refused: {status}; trying {next}", self.place());
            self.log(Level::Info, line);
            self.connect_anew(now, self.address);
            return Ok(());
        }
        let mut fault = login_fault(LoginError::Refused(status));
        if let Some(tried) = self.config.names.give_up() {
            fault.reason += &format!("; {tried}");
        }
        Err(fault)
    }

    /// Notes that the login succeeded: the names stay in their form.
    pub(super) fn names_taken(&mut self) {
        if let Some(names) = self.config.names.taken() {
            let line = format!("{}: it takes {names}, which spares a login", self.place());
            self.log(Level::Warn, line);
        }
    }
}
