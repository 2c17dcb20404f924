//! Connecting, logging in, losing the connection, and reconnecting.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::net::SocketAddr;

use vcp_iscsi_proto::login::{LoginClass, LoginStatus};
use vcp_iscsi_proto::pdu::LoginResponse;

pub(super) use super::fault::{Fault, FaultKind};
use super::{Initiator, MS, Phase};
use crate::action::{Action, Level};
use crate::block::{Request, Status};
use crate::connection::Connection;
use crate::control::{Control, Place};
use crate::login::{Challenge, Login, LoginError, Outcome};
use crate::timer::Timer;

/// The longest time for which a target may send us away, in nanoseconds: the largest
/// DefaultTime2Wait.
const LONGEST_ABSENCE: u64 = 3_600_000 * MS;
/// The time in nanoseconds from which such an absence is worth reporting.
const LONG_ABSENCE: u64 = 5000 * MS;

/// The most results of attempts that are remembered as reported in one outage.
const MOST_TOLD: usize = 8;
/// The longest delay between sessions that end over one known request, in nanoseconds,
/// for the sake of the other requests.
const SHORT_DELAY: u64 = 1000 * MS;

impl Initiator {
    pub(super) fn connect(&mut self, now: u64) {
        self.phase = Phase::Connecting;
        self.timers
            .set(Timer::Login, now + self.config.timing.login_timeout);
        self.actions.push_back(Action::Connect {
            address: self.address,
        });
    }

    pub(super) fn start_login(&mut self, now: u64) {
        let cmd_sn = self.random.number();
        let challenge = Challenge {
            identifier: cmd_sn as u8,
            bytes: self.random.bytes(),
        };
        let spent = self.spent.replace(challenge.bytes);
        let login = Login::new(&self.config, false, challenge, spent);
        let depth = usize::from(self.config.queue_depth);
        let max_data = self.max_recv().max(8192);
        self.connection = Some(Box::new(Connection::new(cmd_sn, max_data, depth)));
        self.phase = Phase::Login(Box::new(login));
        self.last_heard = now;
        self.send_login();
    }

    pub(super) fn max_recv(&self) -> u32 {
        self.config.offer.max_recv_data_segment_length
    }

    fn send_login(&mut self) {
        if let (Phase::Login(login), Some(connection)) = (&mut self.phase, &mut self.connection) {
            connection.push(Control::Login {
                itt: u32::from(Place::Login as u16),
                isid: self.config.isid,
                request: login.request(),
            });
        }
    }

    pub(super) fn login_response(
        &mut self,
        now: u64,
        response: &LoginResponse,
        data: &[u8],
    ) -> Result<(), Fault> {
        let Phase::Login(login) = &mut self.phase else {
            return Err("a Login Response after the login".into());
        };
        let success = response.status == LoginStatus::Success;
        if response.itt != u32::from(Place::Login as u16)
            || success && response.isid != self.config.isid
        {
            return Err("a Login Response for someone else".into());
        }
        match login.response(response, data) {
            Ok(Outcome::Continue) => self.send_login(),
            Ok(Outcome::Moved(address)) => return self.follow(now, address, response.status),
            Ok(Outcome::Done(_)) if response.tsih == 0 => {
                return Err("a session without a TSIH".into());
            }
            Ok(Outcome::Done(params)) => {
                let group = login.portal_group();
                self.check_portal_group(group)?;
                self.names_taken();
                let max_recv = self.max_recv();
                self.time2wait = u64::from(params.time2wait) * 1000 * MS;
                if let Some(connection) = &mut self.connection {
                    connection.configure(params, max_recv);
                }
                self.start_session(now);
            }
            Err(LoginError::Refused(LoginStatus::InitiatorError))
                if login.chose_sha256() && self.config.give_up_sha256() =>
            {
                self.log(
                    Level::Info,
                    format!("{}: takes no CHAP with SHA-256, trying MD5", self.place()),
                );
                self.connect_anew(now, self.address);
            }
            Err(LoginError::Refused(status)) => return self.login_refused(now, status),
            Err(error) => return Err(login_fault(error)),
        }
        Ok(())
    }

    /// Replaces this connection by another, in the middle of a login.
    pub(super) fn connect_anew(&mut self, now: u64, address: SocketAddr) {
        self.hang_up(false);
        self.timers.stop_all();
        self.address = address;
        self.connect(now);
    }

    fn start_session(&mut self, now: u64) {
        self.redirections = 0;
        self.portal_serves();
        let timing = &self.config.timing;
        self.timers.set(Timer::Idle, now + timing.nop_interval);
        self.started_unit = false;
        self.phase = Phase::Surveying;
        self.begin_survey();
    }

    /// Begins to serve requests, as everything about the logical unit is known.
    pub(super) fn ready(&mut self) {
        self.timers.stop(Timer::Login);
        self.throttle.reset();
        self.ready_at = Some(self.last_heard);
        self.answered = false;
        self.phase = Phase::Ready;
        self.suspended = false;
        self.told_refusal = None;
        self.told_attempts.clear();
        if let Some(device) = &self.device {
            let geometry = device.geometry(&self.config);
            self.actions.push_back(Action::Ready(geometry));
        }
        self.expect_window(self.last_heard);
        self.stay_wary(self.last_heard);
    }

    /// Handles a TCP connection that was closed, reset or refused.
    pub(super) fn closed_by_peer(&mut self, now: u64, reason: &str) {
        self.connection = None;
        let what = match self.phase {
            Phase::Connecting => format!("cannot connect: {reason}"),
            Phase::Login(_) => format!("connection lost during login: {reason}"),
            _ => format!("connection lost: {reason}"),
        };
        if matches!(self.phase, Phase::Connecting) {
            self.phase = Phase::Waiting;
        }
        let fault = Fault {
            reason: what,
            kind: FaultKind::Closed,
        };
        self.end(now, fault);
    }

    /// Gives up the connection.
    pub(super) fn lose(&mut self, now: u64, fault: Fault) {
        self.hang_up(true);
        self.end(now, fault);
    }

    /// Closes the connection, or gives up opening it.
    pub(super) fn hang_up(&mut self, abort: bool) {
        let connecting = matches!(self.phase, Phase::Connecting);
        if self.connection.take().is_some() || connecting {
            self.actions.push_back(Action::Close { abort });
        }
    }

    /// Decides what follows a connection: another one, or the end.
    fn end(&mut self, now: u64, fault: Fault) {
        if self.is_over() {
            return;
        }
        // The target says, or said at the login, when we may come back.
        let wait = match fault.kind {
            FaultKind::Asked(wait) => wait.min(LONGEST_ABSENCE),
            _ => core::mem::take(&mut self.time2wait),
        };
        let culprit = self.session_ended(now, &fault);
        self.forget_connection();
        if self.is_stopping() {
            self.phase = Phase::Stopped;
            self.actions.push_back(Action::Stopped);
            return;
        }
        self.leave = None;
        let line = format!("{}: {}", self.place(), fault.reason);
        // A target that has served will serve again; a predecessor's counts too.
        let serves = self.device.is_some() || self.config.predecessor;
        let again = match fault.kind {
            FaultKind::Fatal => false,
            FaultKind::Busy | FaultKind::Asked(_) => serves || now < self.give_up,
            FaultKind::Refusal
            | FaultKind::Connection
            | FaultKind::Closed
            | FaultKind::Stray(_)
            | FaultKind::Renewal => serves,
        };
        if let Some(request) = culprit {
            self.convict(&request);
        }
        match again {
            true => self.come_back(now, fault.kind, line, wait),
            false => self.fail(line),
        }
    }

    /// Tries another connection after a while, and reports what requests wait for.
    fn come_back(&mut self, now: u64, kind: FaultKind, line: String, wait: u64) {
        let line = match wait {
            0..=LONG_ABSENCE => line,
            _ => format!("{line}; it is left alone for {} s", wait / (1000 * MS)),
        };
        // The reason why requests wait may have changed since the outage began.
        let refusal = matches!(kind, FaultKind::Refusal | FaultKind::Busy);
        let news = refusal && self.told_refusal.as_ref() != Some(&line);
        let serves = self.device.is_some() || self.config.predecessor;
        if serves && (!core::mem::replace(&mut self.suspended, true) || news) {
            self.told_refusal = refusal.then(|| line.clone());
            self.remember_told(&line);
            self.actions.push_back(Action::Suspended(line));
        } else if self.told_attempts.contains(&line) {
            self.log(Level::Debug, line);
        } else {
            self.remember_told(&line);
            self.log(Level::Warn, line);
        }
        self.phase = Phase::Waiting;
        self.address = self.next_portal();
        self.redirections = 0;
        let delay = match self.hurry {
            true => self.reconnect.delay().min(SHORT_DELAY),
            false => self.reconnect.delay(),
        };
        let until = now.saturating_add(delay.max(wait));
        self.timers.set(Timer::Reconnect, until);
    }

    /// Remembers reported messages; a target that always finds new words is reported each
    /// time.
    fn remember_told(&mut self, line: &str) {
        if self.told_attempts.len() < MOST_TOLD {
            self.told_attempts.push(line.into());
        }
    }

    fn forget_connection(&mut self) {
        self.connection = None;
        self.timers.stop_all();
        self.survey = None;
        self.abort = None;
        self.text = None;
        self.ping = None;
        self.tasks.rewind();
    }

    /// Fails for good. All submitted requests are answered.
    fn fail(&mut self, line: String) {
        self.phase = Phase::Failed;
        let requests: alloc::vec::Vec<Request> = self
            .tasks
            .drain()
            .filter_map(|task| task.request().copied())
            .collect();
        for request in &requests {
            self.refuse(request, Status::ShuttingDown);
        }
        self.actions.push_back(Action::Failed(line));
    }

    /// The target and its address, for messages.
    pub(super) fn place(&self) -> String {
        format!("target {} at {}", self.config.target(), self.address)
    }

    /// The time limit for the answer to a logout or an abort.
    pub(super) fn short_timeout(&self) -> u64 {
        (2000 * MS).min(self.config.timing.command_timeout)
    }
}

pub(super) fn login_fault(error: LoginError) -> Fault {
    match error {
        LoginError::Protocol(line) => format!("login: {line}").into(),
        LoginError::Authentication(line) => Fault::refusal(format!("authentication: {line}")),
        LoginError::Refused(status) => {
            let reason = match status {
                LoginStatus::AuthenticationFailure => {
                    "login refused: authentication failure; check user and password".into()
                }
                LoginStatus::NotFound => "login refused: there is no such target here".into(),
                _ => format!("login refused: {status}"),
            };
            let kind = match status.kind() {
                LoginClass::TargetError => FaultKind::Busy,
                _ => FaultKind::Refusal,
            };
            Fault { reason, kind }
        }
    }
}
