//! Security negotiation (RFC 7143 §12.1): none, or CHAP in one or both directions.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vcp_iscsi_proto::chap::{self, Algorithm};
use vcp_iscsi_proto::text::{Key, Pair, Writer, value};

use super::operational::not_understood;
use super::text::shown;
use crate::config::Chap;

/// Our own challenge to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) identifier: u8,
    pub(crate) bytes: [u8; 32],
}

/// Why authentication failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecurityError {
    /// The target violates the protocol.
    Protocol(String),
    /// The target does not authenticate itself, or not correctly.
    Authentication(String),
}

/// The progress of the negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// AuthMethod was offered.
    Method,
    /// CHAP_A was offered.
    Algorithms,
    /// CHAP_R was sent.
    Response,
    /// Nothing is left to send.
    Done,
}

/// The security stage of one login.
#[derive(Debug)]
pub(crate) struct Security {
    chap: Option<Chap>,
    /// Our challenge to the target; sent with mutual CHAP only.
    challenge: Challenge,
    /// A challenge of an earlier login. A target that sends it back wants us to compute
    /// an answer that it can't.
    spent: Option<[u8; 32]>,
    state: State,
    algorithm: Option<Algorithm>,
}

/// The keys in one response of the target.
#[derive(Debug, Default)]
struct Said<'a> {
    method: Option<&'a str>,
    algorithm: Option<&'a str>,
    identifier: Option<&'a str>,
    challenge: Option<&'a str>,
    name: Option<&'a str>,
    response: Option<&'a str>,
}

impl Security {
    pub(super) fn new(chap: Option<Chap>, challenge: Challenge, spent: Option<[u8; 32]>) -> Self {
        Self {
            chap,
            challenge,
            spent,
            state: State::Method,
            algorithm: None,
        }
    }

    /// Whether the target chose SHA-256.
    pub(super) fn chose_sha256(&self) -> bool {
        self.algorithm == Some(Algorithm::Sha256)
    }

    pub(super) fn offer(&self, text: &mut Writer) {
        text.put(
            "AuthMethod",
            if self.chap.is_some() { "CHAP" } else { "None" },
        );
    }

    /// Whether we may ask to leave the stage.
    pub(super) fn may_leave(&self) -> bool {
        match self.chap {
            None => true,
            Some(_) => matches!(self.state, State::Response | State::Done),
        }
    }

    /// Handles a response; our next keys go to `reply`.
    pub(super) fn receive(
        &mut self,
        pairs: &[Pair<'_>],
        reply: &mut Writer,
    ) -> Result<(), SecurityError> {
        let said = read(pairs, reply)?;
        let Some(chap) = self.chap.clone() else {
            return self.without(&said);
        };
        match self.state {
            State::Method => self.method(&said, &chap, reply),
            State::Algorithms => self.algorithm(&said, &chap, reply),
            State::Response => self.proof(&said, &chap),
            State::Done if said.is_empty() => Ok(()),
            State::Done => Err(protocol("CHAP keys after the end of CHAP")),
        }
    }

    /// Checks, when the target wants to leave the stage, that everything required has
    /// happened.
    pub(super) fn finish(&self) -> Result<(), SecurityError> {
        match (&self.chap, self.state) {
            (None, _) | (Some(_), State::Done) => Ok(()),
            (Some(chap), State::Response) if chap.target.is_none() => Ok(()),
            (Some(_), State::Response) => Err(SecurityError::Authentication(
                "it did not prove who it is, which target-password demands".into(),
            )),
            (Some(_), _) => Err(SecurityError::Authentication(
                "it skips the authentication that is configured".into(),
            )),
        }
    }

    fn without(&mut self, said: &Said<'_>) -> Result<(), SecurityError> {
        match said.method {
            None | Some("None") => {
                self.state = State::Done;
                Ok(())
            }
            Some("Reject") => Err(SecurityError::Authentication(
                "it wants authentication, and no user and password are configured".into(),
            )),
            Some(other) => Err(protocol(&format!(
                "AuthMethod={} was not offered",
                shown(other)
            ))),
        }
    }

    fn method(
        &mut self,
        said: &Said<'_>,
        chap: &Chap,
        reply: &mut Writer,
    ) -> Result<(), SecurityError> {
        match said.method {
            Some("CHAP") => {}
            // The target may have something else to send first.
            None if said.is_empty() => return Ok(()),
            Some("None" | "Reject" | "NotUnderstood" | "Irrelevant") | None => {
                return Err(SecurityError::Authentication(
                    "it refuses CHAP, which is configured".into(),
                ));
            }
            Some(other) => {
                return Err(protocol(&format!(
                    "AuthMethod={} was not offered",
                    shown(other)
                )));
            }
        }
        let numbers: Vec<String> = chap
            .algorithms
            .iter()
            .map(|algorithm| algorithm.number().to_string())
            .collect();
        reply.put("CHAP_A", numbers.join(","));
        self.state = State::Algorithms;
        Ok(())
    }

    fn algorithm(
        &mut self,
        said: &Said<'_>,
        chap: &Chap,
        reply: &mut Writer,
    ) -> Result<(), SecurityError> {
        let (Some(code), Some(identifier), Some(challenge)) =
            (said.algorithm, said.identifier, said.challenge)
        else {
            if said.algorithm == Some("Reject") {
                return Err(SecurityError::Authentication(
                    "it knows none of the CHAP algorithms that are configured".into(),
                ));
            }
            if said.is_empty() {
                return Ok(());
            }
            return Err(protocol("CHAP_A, CHAP_I and CHAP_C have to come together"));
        };
        let algorithm = value::number(code)
            .ok()
            .and_then(Algorithm::from_number)
            .filter(|algorithm| chap.algorithms.contains(algorithm))
            .ok_or_else(|| protocol(&format!("CHAP_A={} was not offered", shown(code))))?;
        let identifier = chap::parse_id(identifier).map_err(|_| protocol("a bad CHAP_I"))?;
        let challenge = self.check_challenge(challenge)?;
        let response = algorithm.respond(identifier, chap.password.bytes(), &challenge);
        reply.put("CHAP_N", &chap.user);
        reply.put("CHAP_R", response.to_text());
        if chap.target.is_some() {
            reply.put("CHAP_I", self.challenge.identifier);
            reply.put("CHAP_C", chap::challenge_text(&self.challenge.bytes));
        }
        self.algorithm = Some(algorithm);
        self.state = State::Response;
        Ok(())
    }

    fn check_challenge(&self, challenge: &str) -> Result<Vec<u8>, SecurityError> {
        let challenge = chap::parse_challenge(challenge).map_err(|_| protocol("a bad CHAP_C"))?;
        let ours = [Some(&self.challenge.bytes), self.spent.as_ref()];
        if ours
            .into_iter()
            .flatten()
            .any(|own| own[..] == challenge[..])
        {
            return Err(SecurityError::Authentication(
                "it sends our own challenge back".into(),
            ));
        }
        Ok(challenge)
    }

    /// Handles the answer to our CHAP_R: nothing, or the target's own proof.
    fn proof(&mut self, said: &Said<'_>, chap: &Chap) -> Result<(), SecurityError> {
        let Some(peer) = &chap.target else {
            return if said.is_empty() {
                self.state = State::Done;
                Ok(())
            } else {
                Err(protocol("CHAP keys that nobody asked for"))
            };
        };
        let (Some(name), Some(response)) = (said.name, said.response) else {
            return if said.is_empty() {
                Ok(()) // perhaps in its next response; `finish` insists on it
            } else {
                Err(protocol("CHAP_N and CHAP_R have to come together"))
            };
        };
        if peer.user.as_ref().is_some_and(|user| user != name) {
            return Err(SecurityError::Authentication(format!(
                "it calls itself {:?}, which is not target-user",
                shown(name)
            )));
        }
        let algorithm = self
            .algorithm
            .ok_or_else(|| protocol("CHAP_R before CHAP_A"))?;
        let expected = algorithm.respond(
            self.challenge.identifier,
            peer.password.bytes(),
            &self.challenge.bytes,
        );
        let response = algorithm
            .parse_response(response)
            .map_err(|_| protocol("a bad CHAP_R"))?;
        if !expected.matches(&response) {
            return Err(SecurityError::Authentication(
                "it does not know the secret configured as target-password".into(),
            ));
        }
        self.state = State::Done;
        Ok(())
    }
}

impl Said<'_> {
    fn is_empty(&self) -> bool {
        [
            self.method,
            self.algorithm,
            self.identifier,
            self.challenge,
            self.name,
            self.response,
        ]
        .iter()
        .all(Option::is_none)
    }
}

/// Sorts the keys of a response; each may occur once.
fn read<'a>(pairs: &[Pair<'a>], reply: &mut Writer) -> Result<Said<'a>, SecurityError> {
    let mut said = Said::default();
    for &pair in pairs {
        let slot = match Key::from_name(pair.key) {
            Some(Key::AuthMethod) => &mut said.method,
            Some(Key::ChapA) => &mut said.algorithm,
            Some(Key::ChapI) => &mut said.identifier,
            Some(Key::ChapC) => &mut said.challenge,
            Some(Key::ChapN) => &mut said.name,
            Some(Key::ChapR) => &mut said.response,
            Some(key) if key.spec().any_stage => continue,
            Some(key) => return Err(protocol(&format!("{key} in the security stage"))),
            None => {
                not_understood(pair, reply);
                continue;
            }
        };
        if slot.replace(pair.value).is_some() {
            return Err(protocol(&format!("{} twice in one response", pair.key)));
        }
    }
    Ok(said)
}

fn protocol(what: &str) -> SecurityError {
    SecurityError::Protocol(what.into())
}
