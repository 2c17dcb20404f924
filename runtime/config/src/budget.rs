//! The budgets of VCPs and exports: the tables `cpu` and `limit`.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::check;
use crate::error::Invalid;
use crate::value::{ByteSize, Interval, Percent, Pin};

/// The CPUs of a VCP, and its share of their time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpu {
    /// `pin`: the CPUs it may run on.
    pub pin: Pin,
    /// `share`: the reserved share of one CPU; `None`: no reservation, so that it runs on
    /// slack.
    pub share: Option<Percent>,
    /// `period`: the time over which the share holds; 100 µs to 1 s.
    pub period: Interval,
    /// `slack`: its part of the time that nobody else has reserved or uses.
    pub slack: Slack,
    /// `poll`: how long it may spin, waiting for work, before it sleeps; 0 (`"never"`) to
    /// 10 ms.
    pub poll: Interval,
    /// `coalesce`: how long it may let frames and requests gather before it looks again,
    /// when many requests are under way; 0: not at all.
    pub coalesce: Interval,
    /// `priority`: the real-time priority of its thread; `None`: an ordinary thread.
    pub priority: Option<Fifo>,
    /// `cgroup`: the control group of its thread; `None`: the host's own.
    pub cgroup: Option<Cgroup>,
}

impl Cpu {
    /// The default of `period`.
    pub const DEFAULT_PERIOD: Interval = Interval::millis(10);

    /// The default of `poll`.
    pub const DEFAULT_POLL: Interval = Interval::micros(150);

    /// The default of `coalesce`.
    pub const DEFAULT_COALESCE: Interval = Interval::micros(100);

    /// The keys of the table.
    pub(crate) const KEYS: [&str; 8] = [
        "pin", "share", "period", "slack", "poll", "coalesce", "priority", "cgroup",
    ];

    /// Its weight for slack against others on the same channel processor; 0: none.
    pub fn weight(&self) -> u32 {
        self.slack.weight(self.share)
    }

    /// Sets a key that is written as one word, any but the pin; `key` is one of
    /// [`Self::KEYS`].
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), Invalid> {
        match key {
            "share" => self.share = Some(value.parse()?),
            "period" => self.period = check::period(value.parse()?)?,
            "slack" => self.slack = value.parse()?,
            "poll" => self.poll = check::poll(value)?,
            "coalesce" => self.coalesce = check::coalesce(value)?,
            "priority" => self.priority = Some(value.parse()?),
            "cgroup" => self.cgroup = Some(value.parse()?),
            _ => self.pin = value.parse()?,
        }
        Ok(())
    }

    /// Checks that it could ever run; otherwise returns what is wrong with `slack`.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match (self.slack, self.share) {
            (Slack::No, None) => Err("false needs a share: without either the VCP never runs"),
            _ => Ok(()),
        }
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self {
            pin: Pin::Any,
            share: None,
            period: Self::DEFAULT_PERIOD,
            slack: Slack::Yes,
            poll: Self::DEFAULT_POLL,
            coalesce: Self::DEFAULT_COALESCE,
            priority: None,
            cgroup: None,
        }
    }
}

/// Whether a VCP may use time that nobody else has reserved or uses, and how much
/// of it beside others that may: `true` (`yes`), `false` (`no`), or a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Slack {
    /// Weighted by its share.
    #[default]
    Yes,
    /// Weighted by this number, 1 to 1000.
    Weight(u32),
    /// No slack: never more than its share.
    No,
}

impl Slack {
    /// The allowed values, as a continuation of "expected …".
    pub(crate) const EXPECTED: &str = "true, false or a weight from 1 to 1000";

    /// The allowed weights.
    pub(crate) const WEIGHTS: RangeInclusive<u32> = 1..=1000;

    /// The weight against others: the given number; without one, the share in percent,
    /// rounded, at least 1, or 100 if nothing is reserved. 0: no slack.
    pub fn weight(self, share: Option<Percent>) -> u32 {
        match (self, share) {
            (Slack::No, _) => 0,
            (Slack::Weight(weight), _) => weight,
            (Slack::Yes, None) => 100,
            (Slack::Yes, Some(share)) => ((share.basis_points() + 50) / 100).max(1),
        }
    }
}

impl FromStr for Slack {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        match text {
            "true" | "yes" => Ok(Self::Yes),
            "false" | "no" => Ok(Self::No),
            number => number
                .parse()
                .ok()
                .filter(|weight| digits && Self::WEIGHTS.contains(weight))
                .map(Self::Weight)
                .ok_or_else(|| Invalid::new(Self::EXPECTED, text)),
        }
    }
}

/// Formats it as in a file.
impl fmt::Display for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Slack::Yes => f.write_str("true"),
            Slack::Weight(weight) => weight.fmt(f),
            Slack::No => f.write_str("false"),
        }
    }
}

/// A real-time priority, 1 to 99 (`SCHED_FIFO`, sched(7)): `fifo:10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fifo(u8);

impl Fifo {
    /// The priority, 1 to 99.
    pub const fn priority(self) -> u8 {
        self.0
    }
}

impl FromStr for Fifo {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = |number: &&str| number.bytes().all(|b| b.is_ascii_digit());
        text.strip_prefix("fifo:")
            .filter(digits)
            .and_then(|number| number.parse().ok())
            .filter(|priority| (1..=99).contains(priority))
            .map(Self)
            .ok_or_else(|| Invalid::new("\"fifo:\" and a priority from 1 to 99", text))
    }
}

impl fmt::Display for Fifo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fifo:{}", self.0)
    }
}

/// A control group as a path below the mount of its hierarchy: `vcp/disk0`. It cannot
/// leave the hierarchy: no leading `/`, no `.` or `..`, no empty part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cgroup(String);

impl Cgroup {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Cgroup {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // A directory's name has at most 255 bytes; 1024 is enough for any path.
        let part = |part: &str| {
            let shown = !part.contains(char::is_control);
            !matches!(part, "" | "." | "..") && part.len() <= 255 && shown
        };
        let valid = text.len() <= 1024 && text.split('/').all(part);
        valid.then(|| Self(text.to_owned())).ok_or_else(|| {
            let expected = "a relative path without \".\" or \"..\", such as \"vcp/disk0\"";
            Invalid::new(expected, text)
        })
    }
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The limits of an export's clients, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `iops`: requests a second, 1 to 10 million; `None`: no limit.
    pub iops: Option<u32>,
    /// `bytes`: bytes a second, 4 KiB to 1 TiB; `None`: no limit.
    pub bytes: Option<ByteSize>,
    /// `burst`: how much may be used at once after a pause, as the time in which it is
    /// saved up; 10 ms to 60 s.
    pub burst: Interval,
}

impl Limit {
    /// The default of `burst`.
    pub const DEFAULT_BURST: Interval = Interval::millis(1000);

    /// The default of `coalesce`.
    pub const DEFAULT_COALESCE: Interval = Interval::micros(100);

    /// The keys of the table.
    pub(crate) const KEYS: [&str; 3] = ["iops", "bytes", "burst"];

    /// Whether there is no limit.
    pub fn is_none(&self) -> bool {
        self.iops.is_none() && self.bytes.is_none()
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            iops: None,
            bytes: None,
            burst: Self::DEFAULT_BURST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slack_has_a_weight() {
        let share = |text: &str| Some(text.parse::<Percent>().unwrap());
        let weight = |slack: &str, share| slack.parse::<Slack>().unwrap().weight(share);
        assert_eq!(weight("true", None), 100);
        assert_eq!(weight("yes", share("30%")), 30);
        assert_eq!(weight("yes", share("33.33%")), 33);
        assert_eq!(weight("yes", share("33.5%")), 34);
        assert_eq!(weight("true", share("0.01%")), 1);
        assert_eq!(weight("1000", share("30%")), 1000);
        assert_eq!(weight("1", None), 1);
        assert_eq!(weight("no", share("30%")), 0);
        assert_eq!(weight("false", share("30%")), 0);
        for bad in ["", "0", "1001", "+1", "-1", "1.5", "maybe", "True"] {
            assert!(bad.parse::<Slack>().is_err(), "{bad}");
        }
    }

    #[test]
    fn priorities_and_groups_have_bounds() {
        assert_eq!("fifo:10".parse::<Fifo>().unwrap().priority(), 10);
        for bad in ["fifo:0", "fifo:100", "fifo:", "fifo:+1", "10", "rr:10"] {
            assert!(bad.parse::<Fifo>().is_err(), "{bad}");
        }
        assert_eq!("vcp/disk0".parse::<Cgroup>().unwrap().as_str(), "vcp/disk0");
        for bad in [
            "", "/", "/vcp", "vcp/", "a//b", "..", "a/../b", "./a", "a\nb",
        ] {
            assert!(bad.parse::<Cgroup>().is_err(), "{bad}");
        }
        assert!("a/".repeat(600).parse::<Cgroup>().is_err());
        assert!("a".repeat(256).parse::<Cgroup>().is_err());
    }
}
