//! Changes to a running VCP or export, as `vcp set NAME KEY=VALUE…` writes them.
//!
//! Each word is checked on its own when it is parsed ([`Change::read`]), and all together
//! against their target ([`Change::apply`]); only the configuration that is passed in is
//! changed here.

use std::fmt;
use std::str::FromStr;

use crate::budget::{Limit, Slack};
use crate::check::{self, number};
use crate::error::{Invalid, did_you_mean, quote};
use crate::model::Vcp;
use crate::value::{ByteSize, Interval, Percent};

/// One change: `KEY=VALUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// `cpu.share`; `none` reserves nothing from now on.
    Share(Option<Percent>),
    /// `cpu.period`.
    Period(Interval),
    /// `cpu.slack`.
    Slack(Slack),
    /// `memory`; `none` leaves it to the module.
    Memory(Option<ByteSize>),
    /// `queue-depth`.
    QueueDepth(u32),
    /// `limit.iops` of an export; `none` removes the limit.
    LimitIops(Option<u32>),
    /// `limit.bytes` of an export; `none` removes the limit.
    LimitBytes(Option<ByteSize>),
    /// `limit.burst` of an export.
    LimitBurst(Interval),
}

/// Why a change can't be made. Its `Display` is one line that names the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct ChangeError {
    /// The key, or the whole word if it has none; an invalid key is shortened and has no
    /// control characters.
    pub key: String,
    /// The problem, with the value and the expected values.
    pub message: String,
}

impl ChangeError {
    fn new(key: impl Into<String>, message: impl fmt::Display) -> Self {
        Self {
            key: key.into(),
            message: message.to_string(),
        }
    }
}

impl Change {
    /// The allowed keys.
    pub const KEYS: [&str; 8] = [
        "cpu.share",
        "cpu.period",
        "cpu.slack",
        "memory",
        "queue-depth",
        "limit.iops",
        "limit.bytes",
        "limit.burst",
    ];

    /// Parses the words of one `set`: at least one, and no key twice.
    pub fn read<S: AsRef<str>>(words: &[S]) -> Result<Vec<Self>, ChangeError> {
        if words.is_empty() {
            let message = format!("missing; expected one of: {}", Self::KEYS.join(", "));
            return Err(ChangeError::new("KEY=VALUE", message));
        }
        // A repeated key ends this early, however many words there are.
        let mut changes: Vec<Self> = Vec::new();
        for word in words {
            let change: Self = word.as_ref().parse()?;
            if changes.iter().any(|other| other.key() == change.key()) {
                return Err(ChangeError::new(change.key(), "given twice"));
            }
            changes.push(change);
        }
        Ok(changes)
    }

    /// The key, one of [`Self::KEYS`].
    pub fn key(&self) -> &'static str {
        match self {
            Change::Share(_) => "cpu.share",
            Change::Period(_) => "cpu.period",
            Change::Slack(_) => "cpu.slack",
            Change::Memory(_) => "memory",
            Change::QueueDepth(_) => "queue-depth",
            Change::LimitIops(_) => "limit.iops",
            Change::LimitBytes(_) => "limit.bytes",
            Change::LimitBurst(_) => "limit.burst",
        }
    }

    /// Whether it changes an export; otherwise, a VCP.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            Change::LimitIops(_) | Change::LimitBytes(_) | Change::LimitBurst(_)
        )
    }

    /// Applies those of `changes` that concern a VCP, and checks that the result can run.
    /// On an error `vcp` is as it was.
    pub fn apply(changes: &[Self], vcp: &mut Vcp) -> Result<(), ChangeError> {
        let (mut cpu, mut memory, mut depth) = (vcp.cpu.clone(), vcp.memory, vcp.queue_depth);
        for change in changes {
            match *change {
                Change::Share(share) => cpu.share = share,
                Change::Period(period) => cpu.period = period,
                Change::Slack(slack) => cpu.slack = slack,
                Change::Memory(size) => memory = size,
                Change::QueueDepth(number) => depth = number,
                Change::LimitIops(_) | Change::LimitBytes(_) | Change::LimitBurst(_) => {}
            }
        }
        cpu.check()
            .map_err(|message| ChangeError::new("cpu.slack", message))?;
        (vcp.cpu, vcp.memory, vcp.queue_depth) = (cpu, memory, depth);
        Ok(())
    }

    /// Applies those of `changes` that concern an export's limit.
    pub fn apply_to_limit(changes: &[Self], limit: &mut Limit) {
        for change in changes {
            match *change {
                Change::LimitIops(iops) => limit.iops = iops,
                Change::LimitBytes(bytes) => limit.bytes = bytes,
                Change::LimitBurst(burst) => limit.burst = burst,
                _ => {}
            }
        }
    }
}

impl FromStr for Change {
    type Err = ChangeError;

    fn from_str(word: &str) -> Result<Self, ChangeError> {
        let Some((key, value)) = word.split_once('=') else {
            return Err(ChangeError::new(quote(word), "expected KEY=VALUE"));
        };
        let change = match key {
            "cpu.share" => optional(value, str::parse).map(Change::Share),
            "cpu.period" => value.parse().and_then(check::period).map(Change::Period),
            "cpu.slack" => value.parse().map(Change::Slack),
            "memory" => {
                optional(value, |text| text.parse().and_then(check::memory)).map(Change::Memory)
            }
            "queue-depth" => number(value, 1..=check::DEEPEST_QUEUE).map(Change::QueueDepth),
            "limit.iops" => {
                optional(value, |text| number(text, check::IOPS)).map(Change::LimitIops)
            }
            "limit.bytes" => optional(value, |text| text.parse().and_then(check::bytes_a_second))
                .map(Change::LimitBytes),
            "limit.burst" => value.parse().and_then(check::burst).map(Change::LimitBurst),
            _ => {
                let hint = did_you_mean(key, &Self::KEYS);
                let known = Self::KEYS.join(", ");
                let message = format!("unknown key{hint}; expected one of: {known}");
                return Err(ChangeError::new(quote(key), message));
            }
        };
        change.map_err(|error| ChangeError::new(key, error))
    }
}

/// Parses `none`, or a value by `read`.
fn optional<T>(
    value: &str,
    read: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<Option<T>, Invalid> {
    if value == "none" {
        return Ok(None);
    }
    read(value).map(Some).map_err(|error| Invalid {
        expected: format!("{}, or \"none\"", error.expected).into(),
        ..error
    })
}

/// Formats the word that parses to the same change.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn or_none(value: &Option<impl fmt::Display>) -> String {
            value
                .as_ref()
                .map_or_else(|| "none".to_owned(), ToString::to_string)
        }
        write!(f, "{}=", self.key())?;
        match self {
            Change::Share(share) => f.write_str(&or_none(share)),
            Change::Period(time) | Change::LimitBurst(time) => time.fmt(f),
            Change::Slack(slack) => slack.fmt(f),
            Change::Memory(size) => f.write_str(&or_none(size)),
            Change::QueueDepth(depth) => depth.fmt(f),
            Change::LimitIops(iops) => f.write_str(&or_none(iops)),
            Change::LimitBytes(bytes) => f.write_str(&or_none(bytes)),
        }
    }
}
