//! The course of a discovery session.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::bhs::RESERVED_TAG;
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::{LoginResponse, TargetPdu, TextResponse};
use vcp_iscsi_proto::text::{Accumulator, Key, Writer};

use super::answer::targets;
use super::{Discovery, DiscoveryAction, Phase};
use crate::connection::{Connection, Sink};
use crate::control::{Control, Place};
use crate::login::{Challenge, Login, LoginError, Outcome};
use crate::wire::rx::Event;

/// The longest text of one answer, over all its PDUs.
pub(super) const MAX_TEXT: usize = 1 << 20;
const MAX_REDIRECTIONS: u32 = 4;

impl Discovery {
    pub(super) fn connect(&mut self, now: u64) {
        self.phase = Phase::Connecting;
        self.deadline = Some(now + self.config.timing.login_timeout);
        let address = self.address;
        self.actions.push_back(DiscoveryAction::Connect { address });
    }

    pub(super) fn start_login(&mut self) {
        let cmd_sn = self.random.number();
        let challenge = Challenge {
            identifier: cmd_sn as u8,
            bytes: self.random.bytes(),
        };
        let login = Login::new(&self.config, true, challenge, None);
        self.connection = Some(Box::new(Connection::new(cmd_sn, self.max_recv(), 0)));
        self.phase = Phase::Login(Box::new(login));
        self.send_login();
    }

    fn max_recv(&self) -> u32 {
        self.config.offer.max_recv_data_segment_length.max(8192)
    }

    pub(super) fn push(&mut self, control: Control) {
        if let Some(connection) = &mut self.connection {
            connection.push(control);
        }
    }

    fn send_login(&mut self) {
        if let Phase::Login(login) = &mut self.phase {
            let control = Control::Login {
                itt: u32::from(Place::Login as u16),
                isid: self.config.isid,
                request: login.request(),
            };
            self.push(control);
        }
    }

    fn send_text(&mut self, ttt: u32, lun: Lun, text: Vec<u8>) {
        self.push(Control::Text {
            itt: u32::from(Place::Text as u16),
            ttt,
            lun,
            is_final: true,
            is_continued: false,
            numbered: true,
            text,
        });
    }

    pub(super) fn incoming(&mut self, now: u64, mut bytes: &[u8]) -> Result<(), String> {
        while let Some(connection) = &mut self.connection {
            match connection.rx.next(&mut bytes).map_err(|e| e.to_string())? {
                None => break,
                Some(Event::Header) => {
                    let pdu =
                        TargetPdu::parse(connection.rx.header()).map_err(|e| e.to_string())?;
                    connection.collected.clear();
                    connection.sink = Sink::Collect;
                    connection.pdu = Some(pdu);
                }
                Some(Event::Data(chunk)) => connection.collect(chunk)?,
                Some(Event::End) => self.pdu(now)?,
            }
        }
        Ok(())
    }

    fn pdu(&mut self, now: u64) -> Result<(), String> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let Some(pdu) = connection.pdu.take() else {
            return Ok(());
        };
        let data = core::mem::take(&mut connection.collected);
        let sn = pdu.sn();
        let counts = match &pdu {
            TargetPdu::NopIn(nop) => nop.itt != RESERVED_TAG,
            TargetPdu::LoginResponse(response) => {
                if !core::mem::replace(&mut connection.heard, true) {
                    connection.numbers.start_status(sn.stat_sn);
                }
                response.status == LoginStatus::Success
            }
            _ => true,
        };
        if counts && !(connection.numbers.window(&sn) && connection.numbers.status(&sn)) {
            return Err("sequence numbers out of order".into());
        }
        match (&pdu, &self.phase) {
            (TargetPdu::LoginResponse(response), Phase::Login(_)) => {
                self.login_response(now, response, &data)
            }
            (TargetPdu::Reject(reject), Phase::Login(_)) => {
                Err(format!("rejected during login: {}", reject.reason))
            }
            (_, Phase::Login(_)) => Err(format!("{:?} during login", pdu.opcode())),
            (TargetPdu::TextResponse(response), Phase::Asking) => self.text(response, &data),
            // The response was on its way when the logout was sent.
            (TargetPdu::TextResponse(_), Phase::Returning) => Ok(()),
            (TargetPdu::NopIn(nop), _) => self.nop_in(nop),
            (TargetPdu::AsyncMessage(message), _) => {
                self.async_message(now, message.event);
                Ok(())
            }
            (TargetPdu::LogoutResponse(response), Phase::Returning) => {
                self.come_back(now, response.time2wait);
                Ok(())
            }
            (TargetPdu::LogoutResponse(_), Phase::Leaving) => {
                self.hang_up(false);
                self.over();
                Ok(())
            }
            (TargetPdu::Reject(reject), _) => self.rejected(reject, &data),
            _ => Err(format!("{:?} out of place", pdu.opcode())),
        }
    }

    fn login_response(
        &mut self,
        now: u64,
        response: &LoginResponse,
        data: &[u8],
    ) -> Result<(), String> {
        let Phase::Login(login) = &mut self.phase else {
            return Ok(());
        };
        match login.response(response, data) {
            Ok(Outcome::Continue) => self.send_login(),
            Ok(Outcome::Moved(address)) => {
                self.redirections += 1;
                if self.redirections > MAX_REDIRECTIONS {
                    return Err("sent on from portal to portal".into());
                }
                self.hang_up(false);
                self.address = address;
                self.connect(now);
            }
            Ok(Outcome::Done(params)) => {
                let max_recv = self.max_recv();
                if let Some(connection) = &mut self.connection {
                    connection.configure(params, max_recv);
                }
                self.phase = Phase::Asking;
                let mut text = Writer::new();
                text.put(Key::SendTargets.name(), "All");
                self.send_text(RESERVED_TAG, Lun::default(), text.into_bytes());
            }
            Err(LoginError::Refused(LoginStatus::InitiatorError))
                if login.chose_sha256() && self.config.give_up_sha256() =>
            {
                self.hang_up(false);
                self.connect(now);
            }
            Err(LoginError::Refused(status)) => return self.refused(now, status),
            Err(LoginError::Authentication(line)) => return Err(format!("authentication: {line}")),
            Err(LoginError::Protocol(line)) => return Err(format!("login: {line}")),
        }
        Ok(())
    }

    /// Handles a refused login: perhaps the portal knows our name in its other form.
    fn refused(&mut self, now: u64, status: LoginStatus) -> Result<(), String> {
        if self.config.names.turn(status).is_some() {
            self.hang_up(false);
            self.connect(now);
            return Ok(());
        }
        let tried = self.config.names.give_up();
        let tried = tried.map(|tried| format!("; {tried}")).unwrap_or_default();
        Err(format!("login refused: {status}{tried}"))
    }

    /// Handles a Text Response: a part of the answer, or its end (RFC 7143 §11.11).
    fn text(&mut self, response: &TextResponse, data: &[u8]) -> Result<(), String> {
        if response.itt != u32::from(Place::Text as u16) {
            return Err("a Text Response to no request".into());
        }
        // The tag of a final response has no meaning (RFC 7143 §11.10.4).
        if !response.is_final && response.ttt == RESERVED_TAG {
            return Err("a Text Response that neither ends nor can be continued".into());
        }
        self.text.push(data).map_err(|e| e.to_string())?;
        if !response.is_final {
            self.send_text(response.ttt, response.lun, Vec::new());
            return Ok(());
        }
        let text = core::mem::replace(&mut self.text, Accumulator::new(0)).take();
        let found = targets(&text, self.address)?;
        self.actions.push_back(DiscoveryAction::Found(found));
        self.phase = Phase::Leaving;
        self.turn = None;
        self.push(Control::Logout {
            itt: u32::from(Place::Logout as u16),
        });
        Ok(())
    }

    pub(super) fn hang_up(&mut self, abort: bool) {
        let connecting = matches!(self.phase, Phase::Connecting);
        if self.connection.take().is_some() || connecting {
            self.actions.push_back(DiscoveryAction::Close { abort });
        }
    }

    pub(super) fn over(&mut self) {
        self.phase = Phase::Over;
        self.connection = None;
        self.deadline = None;
        self.turn = None;
    }

    /// Ends the session with a failure; after the answer it just ends.
    pub(super) fn fail(&mut self, what: &str, reason: &str) {
        if !matches!(self.phase, Phase::Leaving | Phase::Over) {
            let line = format!("portal {}: {what}: {reason}", self.address);
            self.actions.push_back(DiscoveryAction::Failed(line));
        }
        self.over();
    }
}
