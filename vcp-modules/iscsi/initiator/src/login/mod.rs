//! The login phase (RFC 7143 §6.3): its stages, their text, and its end. It handles text
//! and stages; sequence numbers and the byte stream are the connection's.

mod operational;
mod security;
#[cfg(test)]
mod tests;
mod text;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use vcp_iscsi_proto::login::{LoginClass, LoginStatus, Stage};
use vcp_iscsi_proto::pdu::LoginResponse;
use vcp_iscsi_proto::text::{Accumulator, Key, Pair, pairs};

use crate::config::Config;
use operational::Operational;
use security::Security;

pub(crate) use operational::Params;
pub(crate) use security::{Challenge, SecurityError};
pub(crate) use text::{Outgoing, shown};

/// The longest data segment that every target takes during login (RFC 7143 §13.12).
const SEGMENT: usize = 8192;
/// The longest text of one response, over all its PDUs.
const MAX_TEXT: usize = 64 << 10;
/// The number of requests after which a login fails.
const MAX_REQUESTS: u32 = 64;

/// The contents of the next Login Request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) stage: Stage,
    pub(crate) transit: Option<Stage>,
    pub(crate) is_continued: bool,
    pub(crate) text: Vec<u8>,
}

/// The result of a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Send the next request.
    Continue,
    /// The login is done, with these parameters.
    Done(Params),
    /// The target has moved to another portal.
    Moved(SocketAddr),
}

/// Why a login failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LoginError {
    /// The target refused the login.
    Refused(LoginStatus),
    /// The target violates the protocol.
    Protocol(String),
    /// Authentication does not meet the configuration.
    Authentication(String),
}

/// One login on one connection.
#[derive(Debug)]
pub(crate) struct Login {
    stage: Stage,
    /// The stage that the last request asked to go on to.
    asked: Option<Stage>,
    security: Security,
    operational: Operational,
    outgoing: Outgoing,
    incoming: Accumulator,
    /// Whether the target has more to send before it is our turn.
    listening: bool,
    segment: usize,
    requests: u32,
    /// The TargetPortalGroupTag.
    portal_group: Option<u16>,
}

impl Login {
    /// Makes a login for a normal or a discovery session. `spent` is the challenge of the
    /// former login. Every login has a security stage, if only to negotiate no
    /// authentication: some targets reinstate a session (RFC 7143 §6.3.5) at the end of
    /// that stage, and leave the old one alive when there was none.
    pub(crate) fn new(
        config: &Config,
        discovery: bool,
        challenge: Challenge,
        spent: Option<[u8; 32]>,
    ) -> Self {
        let security = Security::new(config.chap.clone(), challenge, spent);
        let mut outgoing = Outgoing::default();
        let text = outgoing.pairs();
        text.put(Key::InitiatorName.name(), config.names.initiator_on_wire());
        match config.names.target_on_wire() {
            Some(target) if !discovery => {
                text.put(Key::TargetName.name(), target);
                text.put(Key::SessionType.name(), "Normal");
            }
            _ => text.put(Key::SessionType.name(), "Discovery"),
        }
        security.offer(text);
        Self {
            stage: Stage::Security,
            asked: None,
            security,
            operational: Operational::new(&config.offer, discovery),
            outgoing,
            incoming: Accumulator::new(MAX_TEXT),
            listening: false,
            segment: SEGMENT,
            requests: 0,
            portal_group: None,
        }
    }

    /// The next request.
    pub(crate) fn request(&mut self) -> Request {
        let (text, is_continued) = if self.listening {
            (Vec::new(), false)
        } else {
            self.outgoing.segment(self.segment)
        };
        self.asked = match self.stage {
            _ if is_continued || self.listening => None,
            Stage::Security => self.security.may_leave().then_some(Stage::Operational),
            Stage::Operational | Stage::FullFeature => Some(Stage::FullFeature),
        };
        self.requests += 1;
        Request {
            stage: self.stage,
            transit: self.asked,
            is_continued,
            text,
        }
    }

    /// Whether the target chose SHA-256 for CHAP.
    pub(crate) fn chose_sha256(&self) -> bool {
        self.security.chose_sha256()
    }

    /// The portal group that answers, if the target has told it (RFC 7143 §13.9).
    pub(crate) fn portal_group(&self) -> Option<u16> {
        self.portal_group
    }

    /// Handles a response, with its data segment.
    pub(crate) fn response(
        &mut self,
        response: &LoginResponse,
        data: &[u8],
    ) -> Result<Outcome, LoginError> {
        match response.status.kind() {
            LoginClass::Success => {}
            LoginClass::Redirection => return redirection(data),
            _ => return Err(LoginError::Refused(response.status)),
        }
        self.check(response)?;
        if self.outgoing.is_cut() {
            // Only part of our text has been sent, so the target has nothing to answer
            // yet.
            return if data.is_empty() && response.transit.is_none() && !response.is_continued {
                Ok(Outcome::Continue)
            } else {
                Err(protocol("an answer to text that was not complete"))
            };
        }
        self.incoming
            .push(data)
            .map_err(|e| protocol(&e.to_string()))?;
        self.listening = response.is_continued;
        if self.listening {
            return Ok(Outcome::Continue);
        }
        let text = self.incoming.take();
        let pairs = read(&text)?;
        self.receive(&pairs)?;
        match response.transit {
            None => Ok(Outcome::Continue),
            Some(next) => self.transit(next),
        }
    }

    fn check(&self, response: &LoginResponse) -> Result<(), LoginError> {
        if response.stage != self.stage {
            return Err(protocol(&format!(
                "an answer for {} in {}",
                response.stage, self.stage
            )));
        }
        if response.version_active != 0 {
            return Err(protocol("a protocol version that was not offered"));
        }
        if self.requests > MAX_REQUESTS {
            return Err(protocol("a login without end"));
        }
        match response.transit {
            Some(next) if self.asked != Some(next) => Err(protocol(&format!(
                "it goes on to {next} without being asked"
            ))),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, pairs: &[Pair<'_>]) -> Result<(), LoginError> {
        self.declared(pairs)?;
        let reply = self.outgoing.pairs();
        if self.stage == Stage::Security {
            return self
                .security
                .receive(pairs, reply)
                .map_err(|error| match error {
                    SecurityError::Protocol(line) => LoginError::Protocol(line),
                    SecurityError::Authentication(line) => LoginError::Authentication(line),
                });
        }
        for &pair in pairs {
            self.operational
                .receive(pair, reply)
                .map_err(LoginError::Protocol)?;
        }
        Ok(())
    }

    /// Handles what a target declares about itself in any stage. A repetition is
    /// accepted, a change is not (RFC 7143 §6.3).
    fn declared(&mut self, pairs: &[Pair<'_>]) -> Result<(), LoginError> {
        let key = Key::TargetPortalGroupTag;
        for pair in pairs.iter().filter(|pair| pair.key == key.name()) {
            let group = key.spec().number(pair.value);
            let group = group.map_err(|e| protocol(&format!("{key}: {e}")))? as u16;
            if self
                .portal_group
                .replace(group)
                .is_some_and(|known| known != group)
            {
                return Err(protocol(&format!("{key} declared twice")));
            }
        }
        Ok(())
    }

    fn transit(&mut self, next: Stage) -> Result<Outcome, LoginError> {
        if !self.outgoing.is_empty() {
            return Err(protocol(
                "it ends a stage in which it still has an answer to get",
            ));
        }
        if next == Stage::FullFeature {
            let params = self.operational.finish().map_err(LoginError::Protocol)?;
            return Ok(Outcome::Done(params));
        }
        self.security.finish().map_err(|error| match error {
            SecurityError::Protocol(line) => LoginError::Protocol(line),
            SecurityError::Authentication(line) => LoginError::Authentication(line),
        })?;
        self.stage = Stage::Operational;
        self.operational.offer(self.outgoing.pairs());
        Ok(Outcome::Continue)
    }

    /// Sets the length of the segments in which text is sent, to test its reassembly.
    #[cfg(test)]
    pub(crate) fn set_segment(&mut self, segment: usize) {
        self.segment = segment;
    }
}

fn read(text: &[u8]) -> Result<Vec<Pair<'_>>, LoginError> {
    pairs(text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| protocol(&e.to_string()))
}

/// Parses a redirection (RFC 7143 §11.13.5): `host[:port][,portal group tag]`. A name
/// would need a resolver, and there is none here.
fn redirection(data: &[u8]) -> Result<Outcome, LoginError> {
    let pairs = read(data)?;
    let address = pairs
        .iter()
        .find(|pair| pair.key == Key::TargetAddress.name())
        .ok_or_else(|| protocol("a redirection without TargetAddress"))?
        .value;
    parse_address(address).map(Outcome::Moved).ok_or_else(|| {
        protocol(&format!(
            "a redirection to {:?}, which is not a numeric address",
            shown(address)
        ))
    })
}

/// Parses a TargetAddress whose host is numeric.
pub(crate) fn parse_address(address: &str) -> Option<SocketAddr> {
    let host = address.split(',').next().unwrap_or(address);
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let with_port: Option<SocketAddr> = host.parse().ok();
    with_port
        .or_else(|| {
            let ip: IpAddr = bare.unwrap_or(host).parse().ok()?;
            Some(SocketAddr::new(ip, 3260))
        })
        .filter(|address| address.port() != 0)
}

fn protocol(line: &str) -> LoginError {
    LoginError::Protocol(line.into())
}
