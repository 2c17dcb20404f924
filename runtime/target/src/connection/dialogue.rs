//! The contents of a login: identity and purpose of the initiator, its authentication,
//! and the operational keys. Handles text, and knows no PDUs.

use std::collections::HashSet;
use std::sync::Arc;

use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::LoginRequest;

use super::negotiation::{self, Answer, Negotiation, Parameters};
use super::text::{self, Pair};
use super::wire::Wire;
use crate::chap::{ChapError, Exchange};
use crate::config::TargetNode;
use crate::target::PORTAL_GROUP;

/// Why a login fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {reason}")]
pub(super) struct Failure {
    pub(super) status: LoginStatus,
    reason: String,
    /// The rule that the initiator broke.
    pub(super) violation: Option<String>,
    /// The TargetAddress of a redirection.
    pub(super) address: Option<String>,
}

impl Failure {
    pub(super) fn new(status: LoginStatus, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            violation: None,
            address: None,
        }
    }

    pub(super) fn violation(text: impl Into<String>) -> Self {
        let text = text.into();
        let violation = Some(text.clone());
        Self {
            violation,
            ..Self::new(LoginStatus::InitiatorError, text)
        }
    }
}

/// The progress of authentication.
#[derive(Debug, Default)]
enum Security {
    /// It has not been mentioned yet.
    #[default]
    Open,
    Chap(Exchange),
    Passed,
}

/// A login's conversation.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    /// The keys that the initiator has sent.
    seen: HashSet<String>,
    introduced: bool,
    discovery: bool,
    node: Option<Arc<TargetNode>>,
    security: Security,
    negotiation: Option<Negotiation>,
    /// Keys that wait to be sent.
    replies: Vec<Pair>,
    declared: bool,
    greeted: bool,
}

/// Whether a key belongs to the security stage.
fn is_security(key: &str) -> bool {
    key == "AuthMethod" || key.starts_with("CHAP_")
}

impl Dialogue {
    /// Handles the keys of one request.
    pub(super) fn take(
        &mut self,
        wire: &mut Wire,
        request: &LoginRequest,
        pairs: Vec<Pair>,
    ) -> Result<(), Failure> {
        for (key, _) in &pairs {
            if !self.seen.insert(key.clone()) {
                return Err(Failure::violation(format!(
                    "{key} is negotiated twice (RFC 7143 §6.2)"
                )));
            }
        }
        if !self.introduced {
            self.introduce(wire, request, &pairs)?;
        }
        if request.stage == Stage::Operational && !self.may_skip_security(wire) {
            let reason = "the target wants authentication";
            return Err(Failure::new(LoginStatus::AuthenticationFailure, reason));
        }
        let (security, operational): (Vec<Pair>, Vec<Pair>) =
            pairs.into_iter().partition(|(key, _)| is_security(key));
        if !security.is_empty() {
            self.authenticate(wire, request, &security)?;
        }
        self.negotiate(wire, request, operational)
    }

    fn may_skip_security(&self, wire: &Wire) -> bool {
        matches!(self.security, Security::Passed) || !self.wants_chap(wire)
    }

    fn wants_chap(&self, wire: &Wire) -> bool {
        wire.target
            .config()
            .chap
            .as_ref()
            .is_some_and(|chap| !self.discovery || chap.discovery)
    }

    /// Handles the first request, which says who the initiator is and what it wants (RFC
    /// 7143 §6.3).
    fn introduce(
        &mut self,
        wire: &mut Wire,
        request: &LoginRequest,
        pairs: &[Pair],
    ) -> Result<(), Failure> {
        let value = |name: &str| {
            pairs
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.as_str())
        };
        let missing = |key: &str| Failure {
            violation: Some(format!(
                "the first Login Request has no {key} (RFC 7143 §6.3)"
            )),
            ..Failure::new(LoginStatus::MissingParameter, key)
        };
        let initiator = value("InitiatorName").ok_or_else(|| missing("InitiatorName"))?;
        check_name(initiator)?;
        wire.initiator = initiator.to_owned();
        self.discovery = match value("SessionType") {
            Some("Discovery") => true,
            Some("Normal") | None => false,
            Some(_) => {
                return Err(Failure::new(
                    LoginStatus::SessionTypeNotSupported,
                    "SessionType",
                ));
            }
        };
        match value("TargetName") {
            Some(name) => self.node = Some(self.find(wire, name)?),
            None if self.discovery => {}
            None => return Err(missing("TargetName")),
        }
        if self.discovery {
            self.node = None;
        }
        if request.tsih != 0 {
            // A session has one connection, and none of it is kept for recovery.
            let status = if wire
                .target
                .has_session(request.tsih, initiator, request.isid)
            {
                LoginStatus::TooManyConnections
            } else {
                LoginStatus::SessionDoesNotExist
            };
            return Err(Failure::new(status, "TSIH"));
        }
        self.introduced = true;
        Ok(())
    }

    fn find(&self, wire: &Wire, name: &str) -> Result<Arc<TargetNode>, Failure> {
        check_name(name)?;
        let node = wire.target.node(name);
        let node = node.ok_or_else(|| Failure::new(LoginStatus::NotFound, name))?;
        let Some(redirect) = &node.redirect else {
            return Ok(node);
        };
        let status = if redirect.permanent {
            LoginStatus::TargetMovedPermanently
        } else {
            LoginStatus::TargetMovedTemporarily
        };
        let address = Some(redirect.address.clone());
        Err(Failure {
            address,
            ..Failure::new(status, redirect.address.as_str())
        })
    }

    fn authenticate(
        &mut self,
        wire: &Wire,
        request: &LoginRequest,
        keys: &[Pair],
    ) -> Result<(), Failure> {
        if request.stage != Stage::Security {
            let text = format!("{} outside SecurityNegotiation (RFC 7143 §12)", keys[0].0);
            return Err(Failure::violation(text));
        }
        if let Some((_, offer)) = keys.iter().find(|(key, _)| key == "AuthMethod") {
            return self.choose_method(wire, offer);
        }
        let Security::Chap(exchange) = &mut self.security else {
            return Err(Failure::violation(
                "CHAP keys before AuthMethod=CHAP (RFC 7143 §12.1)",
            ));
        };
        let reply = exchange.step(keys).map_err(|error| match error {
            ChapError::Wrong | ChapError::Algorithm => {
                Failure::new(LoginStatus::AuthenticationFailure, error.to_string())
            }
            ChapError::Malformed(text) => Failure {
                status: LoginStatus::AuthenticationFailure,
                ..Failure::violation(format!("{text} (RFC 7143 §12.1.3)"))
            },
        })?;
        // Exchanged keys may come again in the next step, as its answer.
        self.replies.extend(
            reply
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value)),
        );
        if exchange.is_done() {
            self.security = Security::Passed;
        }
        Ok(())
    }

    fn choose_method(&mut self, wire: &Wire, offer: &str) -> Result<(), Failure> {
        let offers = |method: &str| offer.split(',').any(|m| m == method);
        let chap = wire
            .target
            .config()
            .chap
            .as_ref()
            .filter(|_| self.wants_chap(wire));
        let (method, security) = match chap {
            Some(chap) if offers("CHAP") => ("CHAP", Security::Chap(Exchange::new(chap.clone()))),
            None if offers("None") => ("None", Security::Passed),
            _ => {
                let reason = format!("no method of {offer} will do");
                return Err(Failure::new(LoginStatus::AuthenticationFailure, reason));
            }
        };
        self.security = security;
        self.replies.push(("AuthMethod".into(), method.into()));
        Ok(())
    }

    fn negotiate(
        &mut self,
        wire: &Wire,
        request: &LoginRequest,
        mut keys: Vec<Pair>,
    ) -> Result<(), Failure> {
        let (policy, discovery) = (&wire.target.config().policy, self.discovery);
        let negotiation = self
            .negotiation
            .get_or_insert_with(|| Negotiation::new(policy.clone(), discovery));
        if policy.reverse_keys {
            keys.reverse();
        }
        let waited = self.replies.is_empty();
        for (key, value) in keys {
            if request.stage == Stage::Security && negotiation::is_operational(&key) {
                let text = format!("{key} in SecurityNegotiation (RFC 7143 §13)");
                return Err(Failure::violation(text));
            }
            match negotiation.answer(&key, &value) {
                Answer::Value(value) => self.replies.push((key, value)),
                Answer::None => {}
                Answer::Reject(text) => {
                    wire.violate(text);
                    self.replies.push((key, "Reject".into()));
                }
            }
        }
        match negotiation.unanswered() {
            Some(key) if waited => Err(Failure::violation(format!(
                "{key} was not answered (RFC 7143 §6.2)"
            ))),
            _ => Ok(()),
        }
    }

    /// The text of the next response, as far as the policy allows.
    pub(super) fn say(&mut self, wire: &Wire, request: &LoginRequest) -> Result<Vec<u8>, Failure> {
        let policy = &wire.target.config().policy;
        let mut said = Vec::new();
        if !self.greeted && !self.discovery {
            said.push(("TargetPortalGroupTag".to_owned(), PORTAL_GROUP.to_string()));
            let alias = self.node.as_ref().map_or("", |node| &node.alias);
            if !alias.is_empty() {
                said.push(("TargetAlias".to_owned(), alias.to_owned()));
            }
        }
        self.greeted = true;
        if request.stage == Stage::Operational && !self.declared {
            self.declared = true;
            let size = policy.max_recv_data_segment.to_string();
            self.replies.push(("MaxRecvDataSegmentLength".into(), size));
            for (key, value) in policy
                .extra_keys
                .iter()
                .filter_map(|pair| pair.split_once('='))
            {
                self.replies.push((key.to_owned(), value.to_owned()));
                if let Some(negotiation) = &mut self.negotiation {
                    negotiation.offered(key);
                }
            }
        }
        if request.transit == Some(Stage::FullFeature)
            && request.stage == Stage::Operational
            && let Some(negotiation) = &mut self.negotiation
        {
            self.replies.extend(negotiation.offers());
        }
        let most = policy.keys_per_round.unwrap_or(usize::MAX).max(1);
        said.extend(self.replies.drain(..most.min(self.replies.len())));
        Ok(text::emit(
            said.iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        ))
    }

    /// Whether the target can leave the stage that a request wants to leave.
    pub(super) fn is_ready(&self, wire: &Wire, request: &LoginRequest) -> Result<bool, Failure> {
        if request.stage == Stage::Security {
            if request.transit.is_some()
                && matches!(self.security, Security::Open)
                && self.wants_chap(wire)
            {
                let reason = "the target wants authentication";
                return Err(Failure::new(LoginStatus::AuthenticationFailure, reason));
            }
            return Ok(self.replies.is_empty() && !matches!(self.security, Security::Chap(_)));
        }
        let unanswered = self
            .negotiation
            .as_ref()
            .is_some_and(|n| n.unanswered().is_some());
        Ok(self.replies.is_empty() && !unanswered)
    }

    /// Ends the login: returns the node, if any, and the agreed parameters.
    pub(super) fn finish(
        &self,
        wire: &Wire,
    ) -> Result<(Option<Arc<TargetNode>>, Parameters), Failure> {
        let negotiation = self.negotiation.as_ref();
        if negotiation.is_some_and(Negotiation::lacks_digest) {
            return Err(Failure::new(
                LoginStatus::InitiatorError,
                "the target insists on digests",
            ));
        }
        let mut parameters = negotiation.map(Negotiation::finish).unwrap_or_default();
        if self.declared {
            parameters.max_receive = wire.target.config().policy.max_recv_data_segment;
        }
        Ok((self.node.clone(), parameters))
    }
}

/// Checks iSCSI names (RFC 7143 §4.2.7): their type, length and characters.
fn check_name(name: &str) -> Result<(), Failure> {
    let kind = ["iqn.", "eui.", "naa."]
        .iter()
        .any(|kind| name.starts_with(kind));
    let sound = |c: char| c.is_alphanumeric() || "-.:".contains(c);
    if kind && name.len() <= 223 && name.chars().all(|c| sound(c) && !c.is_uppercase()) {
        return Ok(());
    }
    Err(Failure::violation(format!(
        "{name:?} is no iSCSI name (RFC 7143 §4.2.7)"
    )))
}
