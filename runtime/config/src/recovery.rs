//! An operator's settings for instances of a VCP that die, hang or are replaced.

use std::fmt;
use std::str::FromStr;

use crate::check;
use crate::error::{Invalid, did_you_mean, quote};
use crate::value::{Backoff, Interval, Timeout};

/// The treatment of faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// `policy`: whether the VCP comes back.
    pub policy: RestartPolicy,
    /// `min-run`: an instance that ran at least this long is replaced at once,
    /// and the back-off starts over.
    pub min_run: Interval,
    /// `backoff`: how long to wait before replacing an instance that ran for less.
    pub backoff: Backoff,
    /// `limit`: after this many instances in a row that did not run for `min-run`, the
    /// VCP is held: it refuses requests until an operator revives it. 1 to a million;
    /// without it there is no limit.
    pub limit: Option<u32>,
    /// `spare`: keep a second instance ready to take over.
    pub spare: bool,
    /// `poison-after`: when a request is suspected to kill instances.
    pub poison_after: PoisonAfter,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Always,
            min_run: Interval::millis(50),
            backoff: Backoff::new(Interval::millis(10), Interval::millis(5000))
                .expect("10 ms is less than 5 s"),
            limit: None,
            spare: false,
            poison_after: PoisonAfter::default(),
        }
    }
}

impl Restart {
    /// The allowed keys.
    pub(crate) const KEYS: [&str; 6] = [
        "policy",
        "min-run",
        "backoff",
        "limit",
        "spare",
        "poison-after",
    ];

    /// The allowed values of `limit`.
    pub(crate) const LIMITS: std::ops::RangeInclusive<u32> = 1..=1_000_000;

    /// Parses `KEY=VALUE,…`, as `vcp run --restart` has it.
    pub(crate) fn parse(words: &str) -> Result<Self, String> {
        let mut restart = Self::default();
        let mut seen = Vec::new();
        for word in words.split(',') {
            let keys = &Self::KEYS;
            let Some((key, value)) = word.split_once('=') else {
                return Err(format!("expected KEY=VALUE, found {}", quote(word)));
            };
            if !keys.contains(&key) {
                let hint = did_you_mean(key, keys);
                let known = keys.join(", ");
                return Err(format!(
                    "{key}: unknown key{hint}; expected one of: {known}"
                ));
            }
            if seen.contains(&key) {
                return Err(format!("{key}: given twice"));
            }
            seen.push(key);
            restart
                .set(key, value)
                .map_err(|error| format!("{key}: {error}"))?;
        }
        Ok(restart)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Invalid> {
        match key {
            "policy" => self.policy = value.parse()?,
            "min-run" => self.min_run = value.parse()?,
            "backoff" => self.backoff = value.parse()?,
            "limit" => self.limit = Some(check::number(value, Self::LIMITS)?),
            "spare" => {
                self.spare = match value {
                    "yes" | "true" => true,
                    "no" | "false" => false,
                    other => return Err(Invalid::new("yes or no", other)),
                }
            }
            _ => self.poison_after = value.parse()?,
        }
        Ok(())
    }
}

/// The number of deaths of instances that held a request, 1 to 100, after which the
/// request is tried alone; if the VCP then dies of it, it is answered with an error. With
/// `never`, or 0, it is not answered with an error before its time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoisonAfter {
    /// After this many deaths.
    Deaths(u8),
    /// Never: it is still tried alone, again and again.
    Never,
}

impl PoisonAfter {
    /// The number; `None` for never.
    pub fn deaths(self) -> Option<u8> {
        match self {
            Self::Deaths(deaths) => Some(deaths),
            Self::Never => None,
        }
    }
}

impl Default for PoisonAfter {
    fn default() -> Self {
        Self::Deaths(3)
    }
}

impl FromStr for PoisonAfter {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "never" {
            return Ok(Self::Never);
        }
        let deaths = check::number(text, 0..=100)
            .map_err(|_| Invalid::new("a number from 1 to 100, or \"never\"", text))?;
        Ok(match u8::try_from(deaths) {
            Ok(deaths @ 1..) => Self::Deaths(deaths),
            _ => Self::Never,
        })
    }
}

impl fmt::Display for PoisonAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deaths(deaths) => deaths.fmt(f),
            Self::Never => f.write_str("never"),
        }
    }
}

/// Whether a faulted VCP comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// It is started anew and given every unanswered request again.
    Always,
    /// It stays down; its requests fail.
    Never,
}

impl FromStr for RestartPolicy {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            other => Err(Invalid::new("\"always\" or \"never\"", other)),
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RestartPolicy::Always => "always",
            RestartPolicy::Never => "never",
        })
    }
}

/// The limits beyond which an instance counts as hung and is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// `call`: the time of one call into it; 1 ms to 1 h.
    pub call: Interval,
    /// `fuel`: the fuel of one call; 1 million to 2^63-1 units. Without it, more than any
    /// code burns in the time of `call`.
    pub fuel: Option<u64>,
    /// `progress`: the time without an answer while requests are outstanding and
    /// it has not said that it must wait; 100 ms to a day, or never.
    pub progress: Timeout,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            call: Interval::millis(200),
            fuel: None,
            progress: Timeout::After(Interval::millis(60_000)),
        }
    }
}

/// How a new version of a module takes over from the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// `drain`: how long the old one may finish the requests it holds; 0 to 1 min. The
    /// rest is given to the new one.
    pub drain: Interval,
    /// `ready`: how long the new one may take until it serves; 10 ms to 10 min.
    pub ready: Interval,
    /// `probation`: if it faults within this time of serving, the old module
    /// comes back; 0 to 1 h.
    pub probation: Interval,
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            drain: Interval::millis(250),
            ready: Interval::millis(10_000),
            probation: Interval::millis(5000),
        }
    }
}

/// What is kept of instances that died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashReports {
    /// `keep`: the most reports of one VCP, 0 to 256; the oldest goes first.
    pub keep: u32,
    /// `core-dumps`: whether each report has the instance's memory.
    pub core_dumps: bool,
}

impl Default for CrashReports {
    fn default() -> Self {
        Self {
            keep: 16,
            core_dumps: false,
        }
    }
}
