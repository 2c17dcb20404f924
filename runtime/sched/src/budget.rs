//! The budget of a VCP, and which budgets are refused.

use std::fmt;

use thiserror::Error;

/// The longest period, in nanoseconds: one hour.
pub const MAX_PERIOD: u64 = 3_600_000_000_000;

/// The processor time that is reserved for a VCP, and its share of the slack.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The period in which it gets its slice, in nanoseconds. At most [`MAX_PERIOD`];
    /// without meaning if there is no slice.
    pub period: u64,
    /// The part of each period that is reserved for it, in nanoseconds; 0 for none.
    pub slice: u64,
    /// Its weight when slack is shared; 0 if it gets none, and never more than its
    /// slice.
    pub slack: u32,
}

/// A budget that a channel processor can't give. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// All shares together are more than one processor.
    #[error("the shares on this channel processor come to {}: {}", Sum(.0), List(.0))]
    Overcommitted(Vec<Part>),
    /// It has neither a slice nor slack, and would never run.
    #[error("{0} would never run: it has neither a share nor slack")]
    Nothing(String),
    /// The share alone is more than one processor.
    #[error("{}: more than the whole of a channel processor", .0)]
    MoreThanAll(Part),
    /// A period of no length, or one longer than [`MAX_PERIOD`].
    #[error("{name}: a period of {period} ns; it is at least 1 ns and at most an hour")]
    Period {
        /// The name of the VCP.
        name: String,
        /// The period, in nanoseconds.
        period: u64,
    },
    /// There is a VCP with this id already.
    #[error("{0} is on this channel processor already")]
    Present(String),
    /// There is no VCP with this id.
    #[error("this channel processor has no VCP with the number {0}")]
    Absent(u64),
}

/// The part of a processor that one VCP has, or wants to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its slice, in nanoseconds.
    pub slice: u64,
    /// Its period, in nanoseconds.
    pub period: u64,
}

/// One processor, as shares are added up. A share is rounded down to a 2⁶⁴th, so
/// that thirds make a whole, and the error is some 10⁻¹⁹ for each.
const WHOLE: u128 = 1 << 64;

impl Budget {
    /// The share, in 2⁶⁴ths of a processor.
    fn share(&self) -> u128 {
        share(self.slice, self.period)
    }

    /// Checks that the budget makes sense by itself.
    pub(crate) fn check(&self, name: &str) -> Result<(), Refused> {
        let name = name.to_owned();
        let (slice, period) = (self.slice, self.period);
        match self.slice {
            0 if self.slack == 0 => Err(Refused::Nothing(name)),
            0 => Ok(()),
            _ if period == 0 || period > MAX_PERIOD => Err(Refused::Period { name, period }),
            _ if slice > period => Err(Refused::MoreThanAll(Part {
                name,
                slice,
                period,
            })),
            _ => Ok(()),
        }
    }
}

/// Checks that one processor can give all of these. The last is the one that is asked about.
pub(crate) fn fits<'a>(
    all: impl Iterator<Item = (&'a str, Budget)> + Clone,
) -> Result<(), Refused> {
    let reserved = all.filter(|(_, budget)| budget.slice > 0);
    let sum: u128 = reserved.clone().map(|(_, budget)| budget.share()).sum();
    if sum <= WHOLE {
        return Ok(());
    }
    let part = |(name, budget): (&str, Budget)| Part {
        name: name.to_owned(),
        slice: budget.slice,
        period: budget.period,
    };
    Err(Refused::Overcommitted(reserved.map(part).collect()))
}

fn share(slice: u64, period: u64) -> u128 {
    (u128::from(slice) << 64)
        .checked_div(u128::from(period))
        .unwrap_or(0)
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let halves = (u128::from(self.slice) * 2_000_000).checked_div(u128::from(self.period));
        // A small share is never shown as nothing.
        let nearest = halves.unwrap_or(0).div_ceil(2).max(1);
        write!(f, "{} {}", self.name, Percent(nearest))
    }
}

/// A percentage, in 10 000ths of a percent.
struct Percent(u128);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{}.{:04}", self.0 / 10_000, self.0 % 10_000);
        let digits = digits.trim_end_matches('0').trim_end_matches('.');
        write!(f, "{digits} %")
    }
}

struct Sum<'a>(&'a [Part]);

impl fmt::Display for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares = self.0.iter().map(|part| share(part.slice, part.period));
        // A sum that is too much by a hair is shown as too much: rounded up. The shares were
        // rounded down, so that 110 % is not shown as more.
        let sum: u128 = shares.sum();
        write!(f, "{}", Percent((sum * 1_000_000).div_ceil(WHOLE)))
    }
}

struct List<'a>(&'a [Part]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{part}")?;
        }
        Ok(())
    }
}
