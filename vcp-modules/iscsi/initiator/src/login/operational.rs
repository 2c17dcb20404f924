//! Operational negotiation (RFC 7143 §6.2, §13): our offers, valid answers, and our
//! answers to the target's offers.

use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};
use vcp_iscsi_proto::text::{self, Key, KeyKind, Pair, Use, Writer};

use super::text::shown;
use crate::config::{DigestPolicy, Offer};

/// The agreed parameters. Lengths in bytes, times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Params {
    pub(crate) header_digest: bool,
    pub(crate) data_digest: bool,
    /// The longest data segment that the target takes.
    pub(crate) max_send_segment: u32,
    pub(crate) max_burst: u32,
    pub(crate) first_burst: u32,
    pub(crate) initial_r2t: bool,
    pub(crate) immediate_data: bool,
    pub(crate) max_outstanding_r2t: u32,
    pub(crate) time2wait: u32,
}

impl Params {
    /// The length of the next PDU's data when `left` bytes of a command's data remain:
    /// all of it, or the most that the target accepts in whole words, for only the last
    /// PDU of a sequence may have an incomplete word (RFC 7143 §11.7.7).
    pub(crate) fn segment(&self, left: u32) -> u32 {
        match left <= self.max_send_segment {
            true => left,
            false => self.max_send_segment & !3,
        }
    }
}

impl Default for Params {
    /// The defaults of keys that are not negotiated (RFC 7143 §13).
    fn default() -> Self {
        Self {
            header_digest: false,
            data_digest: false,
            max_send_segment: 8192,
            max_burst: 262_144,
            first_burst: 65_536,
            initial_r2t: true,
            immediate_data: true,
            max_outstanding_r2t: 1,
            time2wait: 2,
        }
    }
}

/// The offered keys, in this order. All keys that have to be negotiated are among them,
/// so that the target's value for any of these is an answer.
const OFFERED: [Key; 13] = [
    Key::HeaderDigest,
    Key::DataDigest,
    Key::MaxBurstLength,
    Key::FirstBurstLength,
    Key::InitialR2T,
    Key::ImmediateData,
    Key::MaxOutstandingR2T,
    Key::DefaultTime2Wait,
    Key::DefaultTime2Retain,
    Key::ErrorRecoveryLevel,
    Key::MaxConnections,
    Key::DataPDUInOrder,
    Key::DataSequenceInOrder,
];

/// The negotiation of one login.
#[derive(Debug)]
pub(crate) struct Operational {
    offer: Offer,
    discovery: bool,
    /// A bit for each place in [`OFFERED`].
    offered: u16,
    answered: u16,
    declared_segment: bool,
    params: Params,
}

impl Operational {
    pub(super) fn new(offer: &Offer, discovery: bool) -> Self {
        Self {
            offer: offer.clone(),
            discovery,
            offered: 0,
            answered: 0,
            declared_segment: false,
            params: Params::default(),
        }
    }

    /// Offers all our keys at once.
    pub(super) fn offer(&mut self, text: &mut Writer) {
        for (place, key) in OFFERED.into_iter().enumerate() {
            if self.discovery && key.spec().not_in_discovery {
                continue;
            }
            self.offered |= 1 << place;
            text.put(key.name(), self.value(key));
        }
        text.put(
            Key::MaxRecvDataSegmentLength.name(),
            self.offer.max_recv_data_segment_length,
        );
    }

    fn value(&self, key: Key) -> String {
        let offer = &self.offer;
        match key {
            Key::HeaderDigest => digests(offer.header_digest).into(),
            Key::DataDigest => digests(offer.data_digest).into(),
            Key::InitialR2T => text::value::boolean_str(offer.initial_r2t).into(),
            Key::ImmediateData => text::value::boolean_str(offer.immediate_data).into(),
            Key::DataPDUInOrder | Key::DataSequenceInOrder => "Yes".into(),
            _ => self.number(key).to_string(),
        }
    }

    fn number(&self, key: Key) -> u32 {
        match key {
            Key::MaxBurstLength => self.offer.max_burst_length,
            Key::FirstBurstLength => self.offer.first_burst_length,
            Key::MaxOutstandingR2T => self.offer.max_outstanding_r2t,
            Key::MaxConnections => 1,
            // We wait for nothing and keep nothing: a session ends with its first error.
            _ => 0,
        }
    }

    /// Handles a key from the target; the answer, if any, goes to `reply`. An error is a
    /// line about the target's mistake.
    pub(super) fn receive(&mut self, pair: Pair<'_>, reply: &mut Writer) -> Result<(), String> {
        let Some(key) = Key::from_name(pair.key) else {
            not_understood(pair, reply);
            return Ok(());
        };
        if let Some(place) = OFFERED.iter().position(|&offered| offered == key) {
            return self.answer(key, 1 << place, pair.value);
        }
        match key.spec().usage {
            Use::Obsolete => reply.put(pair.key, text::REJECT),
            Use::Security => return Err(format!("{key} outside the security stage")),
            _ if key == Key::MaxRecvDataSegmentLength => {
                if core::mem::replace(&mut self.declared_segment, true) {
                    return Err(format!("{key} declared twice"));
                }
                self.params.max_send_segment =
                    key.spec().number(pair.value).map_err(|e| wrong(pair, e))?;
            }
            _ if !is_answer(pair.value) => self.counter(key, pair, reply)?,
            _ => {}
        }
        Ok(())
    }

    /// Answers an offer of a key that we did not offer, with the value that changes
    /// nothing.
    fn counter(&self, key: Key, pair: Pair<'_>, reply: &mut Writer) -> Result<(), String> {
        if self.discovery && key.spec().not_in_discovery {
            reply.put(pair.key, text::IRRELEVANT);
            return Ok(());
        }
        match key.spec().kind {
            KeyKind::Number {
                default, function, ..
            } => {
                let offered = key.spec().number(pair.value).map_err(|e| wrong(pair, e))?;
                reply.put(pair.key, function.select(offered, default));
            }
            KeyKind::Boolean { default, function } => {
                let offered = text::value::boolean(pair.value).map_err(|e| wrong(pair, e))?;
                reply.put_bool(pair.key, function.select(offered, default));
            }
            KeyKind::List { default } => {
                let mut list = text::value::list(pair.value).map_err(|e| wrong(pair, e))?;
                let default = default.filter(|default| list.any(|value| value == *default));
                reply.put(pair.key, default.unwrap_or(text::REJECT));
            }
            // These are declarations, and need no answer.
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, key: Key, bit: u16, value: &str) -> Result<(), String> {
        if self.offered & bit == 0 {
            // The key has no meaning in a discovery session, whatever its value.
            return if self.discovery {
                Ok(())
            } else {
                Err(format!("{key} before it was offered"))
            };
        }
        if self.answered & bit != 0 {
            return Err(format!("{key} answered twice"));
        }
        self.answered |= bit;
        match value {
            text::IRRELEVANT => return self.irrelevant(key),
            text::REJECT | text::NOT_UNDERSTOOD => return self.refused(key, value),
            _ => {}
        }
        let pair = Pair {
            key: key.name(),
            value,
        };
        self.agree(key, value).map_err(|e| wrong(pair, e))
    }

    fn agree(&mut self, key: Key, value: &str) -> Result<(), text::TextError> {
        let (spec, offer, params) = (key.spec(), &self.offer, &mut self.params);
        match key {
            Key::HeaderDigest | Key::DataDigest => {
                let (policy, agreed) = match key {
                    Key::HeaderDigest => (offer.header_digest, &mut params.header_digest),
                    _ => (offer.data_digest, &mut params.data_digest),
                };
                *agreed = spec.answered_list(digests(policy), value)? != text::NONE;
            }
            Key::InitialR2T => {
                params.initial_r2t = spec.answered_boolean(offer.initial_r2t, value)?;
            }
            Key::ImmediateData => {
                params.immediate_data = spec.answered_boolean(offer.immediate_data, value)?;
            }
            Key::DataPDUInOrder | Key::DataSequenceInOrder => {
                spec.answered_boolean(true, value)?;
            }
            _ => {
                let number = spec.answered_number(self.number(key), value)?;
                let params = &mut self.params;
                match key {
                    Key::MaxBurstLength => params.max_burst = number,
                    Key::FirstBurstLength => params.first_burst = number,
                    Key::MaxOutstandingR2T => params.max_outstanding_r2t = number,
                    Key::DefaultTime2Wait => params.time2wait = number,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Handles the answer that a key is irrelevant, which is valid only for keys that
    /// depend on others.
    fn irrelevant(&self, key: Key) -> Result<(), String> {
        match key {
            Key::FirstBurstLength | Key::DefaultTime2Wait | Key::DefaultTime2Retain => Ok(()),
            _ if self.discovery => Ok(()),
            _ => Err(format!("{key}={}", text::IRRELEVANT)),
        }
    }

    /// Handles the target's refusal to negotiate a key. Then its default applies, which
    /// must suit us; only a digest's may not.
    fn refused(&self, key: Key, value: &str) -> Result<(), String> {
        let insisted = match key {
            Key::HeaderDigest => self.offer.header_digest == DigestPolicy::Crc32c,
            Key::DataDigest => self.offer.data_digest == DigestPolicy::Crc32c,
            _ => false,
        };
        if insisted {
            Err(format!(
                "{key}={value}, but the digest is configured as required"
            ))
        } else {
            Ok(())
        }
    }

    /// Ends the negotiation.
    pub(super) fn finish(&self) -> Result<Params, String> {
        let mut params = self.params.clone();
        let insists = |policy| policy == DigestPolicy::Crc32c;
        if insists(self.offer.header_digest) && !params.header_digest
            || insists(self.offer.data_digest) && !params.data_digest
        {
            return Err("it does not do the digests that are configured as required".into());
        }
        if params.first_burst > params.max_burst {
            let both = [Key::FirstBurstLength, Key::MaxBurstLength]
                .iter()
                .all(|key| self.was_answered(*key));
            if both {
                return Err(format!(
                    "FirstBurstLength {} is more than MaxBurstLength {}",
                    params.first_burst, params.max_burst
                ));
            }
            params.first_burst = params.max_burst;
        }
        Ok(params)
    }

    fn was_answered(&self, key: Key) -> bool {
        OFFERED
            .iter()
            .position(|&offered| offered == key)
            .is_some_and(|place| self.answered & 1 << place != 0)
    }
}

fn digests(policy: DigestPolicy) -> &'static str {
    match policy {
        DigestPolicy::None => "None",
        // A target chooses the first of these that it supports (RFC 7143 §6.2.1).
        DigestPolicy::Accept => "None,CRC32C",
        DigestPolicy::Crc32c => "CRC32C",
        DigestPolicy::Prefer => "CRC32C,None",
    }
}

/// Answers an unknown key, unless it is an answer itself.
pub(super) fn not_understood(pair: Pair<'_>, reply: &mut Writer) {
    if !is_answer(pair.value) {
        reply.put(pair.key, text::NOT_UNDERSTOOD);
    }
}

fn is_answer(value: &str) -> bool {
    matches!(
        value,
        text::NOT_UNDERSTOOD | text::IRRELEVANT | text::REJECT
    )
}

fn wrong(pair: Pair<'_>, error: text::TextError) -> String {
    format!("{}={}: {error}", pair.key, shown(pair.value))
}
