//! Operational keys from the target's side (RFC 7143 §6.2, §13): answers, offers and
//! results.
//!
//! The rules are implemented here once more, not shared with the initiator: a common
//! mistake would go unseen.

use std::collections::HashMap;

use crate::chap::number;
use crate::config::{DigestPolicy, Policy};

/// The parameters of a connection; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) initial_r2t: bool,
    pub(super) immediate_data: bool,
    /// The longest data segment that the initiator takes.
    pub(super) max_send: u32,
    /// The longest data segment that the target takes.
    pub(super) max_receive: u32,
    pub(super) max_burst: u32,
    pub(super) first_burst: u32,
    pub(super) max_outstanding_r2t: u32,
    pub(super) data_pdu_in_order: bool,
    pub(super) data_sequence_in_order: bool,
    pub(super) header_digest: bool,
    pub(super) data_digest: bool,
}

impl Default for Parameters {
    /// The defaults of keys that are not negotiated (RFC 7143 §13).
    fn default() -> Self {
        Self {
            initial_r2t: true,
            immediate_data: true,
            max_send: 8192,
            max_receive: 8192,
            max_burst: 262_144,
            first_burst: 65_536,
            max_outstanding_r2t: 1,
            data_pdu_in_order: true,
            data_sequence_in_order: true,
            header_digest: false,
            data_digest: false,
        }
    }
}

/// The answer to a key of the initiator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Send this value back.
    Value(String),
    /// Send nothing: the key is a declaration, or the answer to an offer of the target.
    None,
    /// The value breaks the key's rules; send `Reject` back.
    Reject(String),
}

/// The result functions of the keys (RFC 7143 §6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    And,
    Or,
    Minimum(u64, u64),
    Maximum(u64, u64),
    Declared(u64, u64),
    Digest,
}

const SEGMENT: (u64, u64) = (512, (1 << 24) - 1);

fn rule(key: &str) -> Option<Rule> {
    Some(match key {
        "HeaderDigest" | "DataDigest" => Rule::Digest,
        "InitialR2T" | "DataPDUInOrder" | "DataSequenceInOrder" => Rule::Or,
        "ImmediateData" => Rule::And,
        "MaxRecvDataSegmentLength" => Rule::Declared(SEGMENT.0, SEGMENT.1),
        "MaxBurstLength" | "FirstBurstLength" => Rule::Minimum(SEGMENT.0, SEGMENT.1),
        "MaxConnections" | "MaxOutstandingR2T" => Rule::Minimum(1, 65535),
        "DefaultTime2Wait" => Rule::Maximum(0, 3600),
        "DefaultTime2Retain" => Rule::Minimum(0, 3600),
        "ErrorRecoveryLevel" => Rule::Minimum(0, 2),
        "iSCSIProtocolLevel" => Rule::Minimum(0, 31),
        _ => return None,
    })
}

/// Whether a key is allowed in LoginOperationalNegotiation only.
pub(super) fn is_operational(key: &str) -> bool {
    rule(key).is_some_and(|rule| !matches!(rule, Rule::Declared(..)))
}

/// Keys without a meaning in a discovery session (RFC 7143 §13).
const IRRELEVANT: [&str; 8] = [
    "MaxConnections",
    "InitialR2T",
    "ImmediateData",
    "MaxBurstLength",
    "FirstBurstLength",
    "MaxOutstandingR2T",
    "DataPDUInOrder",
    "DataSequenceInOrder",
];

/// One login's operational negotiation.
#[derive(Debug)]
pub(super) struct Negotiation {
    policy: Policy,
    discovery: bool,
    parameters: Parameters,
    /// Keys with a result, and offers of the target without an answer.
    settled: HashMap<String, bool>,
}

impl Negotiation {
    pub(super) fn new(policy: Policy, discovery: bool) -> Self {
        let parameters = Parameters::default();
        Self {
            policy,
            discovery,
            parameters,
            settled: HashMap::new(),
        }
    }

    pub(super) fn answer(&mut self, key: &str, value: &str) -> Answer {
        let offered = self.settled.insert(key.to_owned(), true) == Some(false);
        if self.discovery && IRRELEVANT.contains(&key) {
            return Answer::Value("Irrelevant".into());
        }
        let Some(rule) = rule(key) else {
            return unknown(key, value, offered);
        };
        match self.result(rule, key, value) {
            Ok(result) => {
                self.store(key, &result);
                match rule {
                    _ if offered => self.check_answer(key, value, &result),
                    Rule::Declared(..) => Answer::None,
                    _ => Answer::Value(result),
                }
            }
            Err(reason) => Answer::Reject(format!("{key}={value}: {reason} (RFC 7143 §13)")),
        }
    }

    /// Checks the initiator's answer to an offer, which must be the result itself.
    fn check_answer(&self, key: &str, value: &str, result: &str) -> Answer {
        if value == result || number(value).is_some_and(|v| v.to_string() == result) {
            return Answer::None;
        }
        Answer::Reject(format!(
            "{key}={value} answers an offer whose result is {result}"
        ))
    }

    fn result(&self, rule: Rule, key: &str, value: &str) -> Result<String, &'static str> {
        let in_range = |low, high| match number(value) {
            Some(value) if (low..=high).contains(&value) => Ok(value),
            Some(_) => Err("out of range"),
            None => Err("not a number"),
        };
        match rule {
            Rule::And | Rule::Or => {
                let theirs = match value {
                    "Yes" => true,
                    "No" => false,
                    _ => return Err("neither Yes nor No"),
                };
                let ours = self.boolean(key);
                let result = if rule == Rule::And {
                    theirs && ours
                } else {
                    theirs || ours
                };
                Ok(if result { "Yes" } else { "No" }.into())
            }
            Rule::Minimum(low, high) => Ok(in_range(low, high)?.min(self.numeric(key)).to_string()),
            Rule::Maximum(low, high) => Ok(in_range(low, high)?.max(self.numeric(key)).to_string()),
            Rule::Declared(low, high) => Ok(in_range(low, high)?.to_string()),
            Rule::Digest => self.digest(key, value),
        }
    }

    fn boolean(&self, key: &str) -> bool {
        match key {
            "InitialR2T" => self.policy.initial_r2t,
            "ImmediateData" => self.policy.immediate_data,
            "DataPDUInOrder" => self.policy.data_pdu_in_order,
            _ => self.policy.data_sequence_in_order,
        }
    }

    fn numeric(&self, key: &str) -> u64 {
        match key {
            "MaxBurstLength" => self.policy.max_burst.into(),
            "FirstBurstLength" => self.policy.first_burst.into(),
            "MaxOutstandingR2T" => self.policy.max_outstanding_r2t.into(),
            "MaxConnections" | "iSCSIProtocolLevel" => 1,
            "DefaultTime2Wait" => 2,
            // Nothing of a session is kept for recovery.
            _ => 0,
        }
    }

    fn digest(&self, key: &str, value: &str) -> Result<String, &'static str> {
        let policy = self.digest_policy(key);
        let mut offers = value.split(',').filter(|&offer| match offer {
            "CRC32C" => policy != DigestPolicy::Never,
            "None" => policy != DigestPolicy::Required,
            _ => false,
        });
        offers
            .next()
            .map(str::to_owned)
            .ok_or("no digest in common")
    }

    fn digest_policy(&self, key: &str) -> DigestPolicy {
        if key == "HeaderDigest" {
            self.policy.header_digest
        } else {
            self.policy.data_digest
        }
    }

    fn store(&mut self, key: &str, result: &str) {
        let size = || result.parse::<u32>().unwrap_or(u32::MAX);
        let p = &mut self.parameters;
        match key {
            "InitialR2T" => p.initial_r2t = result == "Yes",
            "ImmediateData" => p.immediate_data = result == "Yes",
            "DataPDUInOrder" => p.data_pdu_in_order = result == "Yes",
            "DataSequenceInOrder" => p.data_sequence_in_order = result == "Yes",
            "HeaderDigest" => p.header_digest = result == "CRC32C",
            "DataDigest" => p.data_digest = result == "CRC32C",
            "MaxRecvDataSegmentLength" => p.max_send = size(),
            "MaxBurstLength" => p.max_burst = size(),
            "FirstBurstLength" => p.first_burst = size(),
            "MaxOutstandingR2T" => p.max_outstanding_r2t = size(),
            _ => {}
        }
    }

    /// The keys that the target itself has to send before it can agree to full feature
    /// phase: its declarations, and offers for keys whose default does not suit it.
    pub(super) fn offers(&mut self) -> Vec<(String, String)> {
        let policy = &self.policy;
        let mut offers = vec![];
        let mut offer = |wanted: bool, key: &str, value: String| {
            if wanted && !self.settled.contains_key(key) {
                offers.push((key.to_owned(), value));
            }
        };
        let required = DigestPolicy::Required;
        offer(
            policy.header_digest == required,
            "HeaderDigest",
            "CRC32C".into(),
        );
        offer(
            policy.data_digest == required,
            "DataDigest",
            "CRC32C".into(),
        );
        if !self.discovery {
            offer(!policy.immediate_data, "ImmediateData", "No".into());
            offer(
                policy.max_burst < 262_144,
                "MaxBurstLength",
                policy.max_burst.to_string(),
            );
            let first = policy.first_burst;
            offer(first < 65_536, "FirstBurstLength", first.to_string());
        }
        self.settled
            .extend(offers.iter().map(|(key, _)| (key.clone(), false)));
        offers
    }

    /// Notes that the target has offered a key of its own accord.
    pub(super) fn offered(&mut self, key: &str) {
        let declares = ["TargetAlias", "TargetAddress", "TargetPortalGroupTag"].contains(&key);
        if !declares && !matches!(rule(key), Some(Rule::Declared(..))) {
            self.settled.entry(key.to_owned()).or_insert(false);
        }
    }

    /// Whether a digest that the target requires was not agreed on.
    pub(super) fn lacks_digest(&self) -> bool {
        self.policy.header_digest == DigestPolicy::Required && !self.parameters.header_digest
            || self.policy.data_digest == DigestPolicy::Required && !self.parameters.data_digest
    }

    /// An offer of the target that the initiator has not answered.
    pub(super) fn unanswered(&self) -> Option<&str> {
        self.settled
            .iter()
            .find(|(_, settled)| !**settled)
            .map(|(key, _)| key.as_str())
    }

    pub(super) fn finish(&self) -> Parameters {
        let mut parameters = self.parameters.clone();
        parameters.max_send = parameters
            .max_send
            .min(self.policy.max_send_data_segment)
            .max(512);
        parameters.first_burst = parameters.first_burst.min(parameters.max_burst);
        parameters
    }
}

/// Answers keys without a rule here.
fn unknown(key: &str, value: &str, offered: bool) -> Answer {
    match key {
        _ if offered => Answer::None,
        "InitiatorName" | "InitiatorAlias" | "TargetName" | "SessionType" => Answer::None,
        // Markers are obsolete (RFC 7143 §13.25); the polite answer is to do without.
        "IFMarker" | "OFMarker" => Answer::Value("No".into()),
        "IFMarkInt" | "OFMarkInt" => Answer::Value("Irrelevant".into()),
        "TaskReporting" if value.split(',').any(|v| v == "RFC3720") => {
            Answer::Value("RFC3720".into())
        }
        // Reserved values are answers, and get none.
        _ if ["NotUnderstood", "Irrelevant", "Reject"].contains(&value) => Answer::None,
        _ => Answer::Value("NotUnderstood".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(change: impl FnOnce(&mut Policy)) -> Negotiation {
        let mut policy = Policy::default();
        change(&mut policy);
        Negotiation::new(policy, false)
    }

    fn value(text: &str) -> Answer {
        Answer::Value(text.into())
    }

    #[test]
    fn results_follow_the_rules() {
        let mut n = normal(|p| {
            p.first_burst = 4096;
            p.immediate_data = false;
        });
        assert_eq!(n.answer("InitialR2T", "No"), value("No"));
        assert_eq!(n.answer("ImmediateData", "Yes"), value("No"));
        assert_eq!(n.answer("MaxBurstLength", "0x4000"), value("16384"));
        assert_eq!(n.answer("FirstBurstLength", "65536"), value("4096"));
        assert_eq!(n.answer("DefaultTime2Wait", "0"), value("2"));
        assert_eq!(n.answer("MaxRecvDataSegmentLength", "32768"), Answer::None);
        assert_eq!(n.answer("HeaderDigest", "CRC32C,None"), value("CRC32C"));
        assert_eq!(n.answer("DataDigest", "None,CRC32C"), value("None"));
        assert_eq!(n.answer("X-org.example", "1"), value("NotUnderstood"));
        let p = n.finish();
        assert_eq!(
            (p.initial_r2t, p.immediate_data, p.header_digest),
            (false, false, true)
        );
        assert_eq!(
            (p.max_burst, p.first_burst, p.max_send),
            (16384, 4096, 32768)
        );
        assert!(n.offers().is_empty() && n.unanswered().is_none());
    }

    #[test]
    fn bad_values_are_rejected() {
        let mut n = normal(|_| ());
        for (key, bad) in [
            ("InitialR2T", "yes"),
            ("MaxBurstLength", "511"),
            ("MaxOutstandingR2T", "0"),
            ("ErrorRecoveryLevel", "3"),
            ("HeaderDigest", "MD5"),
            ("MaxRecvDataSegmentLength", "16777216"),
        ] {
            assert!(
                matches!(n.answer(key, bad), Answer::Reject(_)),
                "{key}={bad}"
            );
        }
        assert_eq!(n.finish(), Parameters::default());
    }

    #[test]
    fn insists_on_what_nobody_mentioned() {
        let mut n = normal(|p| {
            p.data_digest = DigestPolicy::Required;
            p.first_burst = 512;
        });
        let offers = n.offers();
        assert_eq!(offers.len(), 2);
        assert!(n.lacks_digest() && n.unanswered().is_some());
        assert_eq!(n.answer("DataDigest", "CRC32C"), Answer::None);
        assert!(matches!(
            n.answer("FirstBurstLength", "1024"),
            Answer::Reject(_)
        ));
        assert!(!n.lacks_digest() && n.unanswered().is_none());
    }

    #[test]
    fn discovery_has_irrelevant_keys() {
        let mut n = Negotiation::new(Policy::default(), true);
        assert_eq!(n.answer("MaxBurstLength", "65536"), value("Irrelevant"));
        assert_eq!(n.answer("HeaderDigest", "None"), value("None"));
    }
}
