//! Lengths of time, and ranges of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{fixed_point, split_unit};
use crate::error::Invalid;

/// A length of time with its unit: `50ms`, `1.5s`, `10us`, `2min`, `1h`. At most
/// about 584 years; a number without a unit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(Duration);

const EXPECTED: &str = "a time with its unit, such as \"50ms\" or \"5s\"";

/// The units, largest first, with their nanoseconds.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Interval {
    /// This many milliseconds.
    pub const fn millis(count: u32) -> Self {
        Self(Duration::from_millis(count as u64))
    }

    /// This many microseconds.
    pub(crate) const fn micros(count: u32) -> Self {
        Self(Duration::from_micros(count as u64))
    }

    /// This many hours.
    pub(crate) const fn hours(count: u32) -> Self {
        Self(Duration::from_secs(count as u64 * 3600))
    }

    /// The time as the standard library's type.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Interval> for Duration {
    fn from(interval: Interval) -> Self {
        interval.0
    }
}

impl FromStr for Interval {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (number, unit) = split_unit(text);
        let unit = if unit == "µs" { "us" } else { unit };
        let parse = || {
            let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
            let billionths = fixed_point(number, 9)?.checked_mul(*nanos)?;
            let exact = billionths.is_multiple_of(1_000_000_000);
            let total = u64::try_from(billionths / 1_000_000_000).ok()?;
            exact.then(|| Self(Duration::from_nanos(total)))
        };
        parse().ok_or_else(|| Invalid::new(EXPECTED, text))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return f.write_str("0s");
        }
        let (unit, size) = UNITS
            .iter()
            .find(|(_, size)| nanos.is_multiple_of(*size))
            .expect("every number of nanoseconds is a multiple of 1 ns");
        write!(f, "{}{unit}", nanos / size)
    }
}

/// The wait before a restart: `first`, then twice as long each time, up to `most`.
/// Written `10ms..5s`; a single time is used for both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backoff {
    first: Interval,
    most: Interval,
}

const EXPECTED_BACKOFF: &str = "a range of times, lower first, such as \"10ms..5s\"";

impl Backoff {
    /// `None` when `first` is longer than `most`.
    pub fn new(first: Interval, most: Interval) -> Option<Self> {
        (first <= most).then_some(Self { first, most })
    }

    /// The wait before the first restart.
    pub const fn first(self) -> Interval {
        self.first
    }

    /// The longest wait before a restart.
    pub const fn most(self) -> Interval {
        self.most
    }
}

impl FromStr for Backoff {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (first, most) = text.split_once("..").unwrap_or((text, text));
        let time = |s: &str| s.trim().parse::<Interval>().ok();
        time(first)
            .zip(time(most))
            .and_then(|(first, most)| Self::new(first, most))
            .ok_or_else(|| Invalid::new(EXPECTED_BACKOFF, text))
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.most {
            self.first.fmt(f)
        } else {
            write!(f, "{}..{}", self.first, self.most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_and_fractions() {
        let nanos = |text: &str| text.parse::<Interval>().map(|i| i.0.as_nanos()).ok();
        assert_eq!(nanos("50ms"), Some(50_000_000));
        assert_eq!(nanos("1.5s"), Some(1_500_000_000));
        assert_eq!(nanos("10 us"), Some(10_000));
        assert_eq!(nanos("10µs"), Some(10_000));
        assert_eq!(nanos("2min"), Some(120_000_000_000));
        for bad in [
            "",
            "5",
            "s",
            "0.5ns",
            "-1s",
            "1..2s",
            "1m",
            "99999999999h",
            "1s2ms",
        ] {
            assert_eq!(nanos(bad), None, "{bad}");
        }
    }

    #[test]
    fn backoff_grows() {
        assert!("5s..10ms".parse::<Backoff>().is_err());
        assert!("10ms..".parse::<Backoff>().is_err());
        let one: Backoff = "1s".parse().unwrap();
        assert_eq!(one.first(), one.most());
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(a: u64, b: u64, places in 0u32..16) {
            let scale = 10u64.pow(places);
            let times = [a, b, a / scale * scale, b / scale * scale];
            for nanos in times {
                let interval = Interval(Duration::from_nanos(nanos));
                prop_assert_eq!(interval.to_string().parse::<Interval>(), Ok(interval));
            }
            let mut sorted = [a, b].map(|n| Interval(Duration::from_nanos(n)));
            sorted.sort();
            let backoff = Backoff::new(sorted[0], sorted[1]).unwrap();
            prop_assert_eq!(backoff.to_string().parse::<Backoff>(), Ok(backoff));
        }
    }
}
