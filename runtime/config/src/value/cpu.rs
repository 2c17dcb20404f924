//! Which CPUs a channel processor may run on.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

/// The highest CPU number that is understood; the kernel's own limit is lower
/// on every machine there is.
pub const MAX_CPU: u32 = 8191;

/// A set of CPUs, not empty: `1`, `0-3`, `0,2-3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u32>);

const EXPECTED: &str = "CPU numbers such as \"1\" or \"0,2-3\"";

impl CpuSet {
    /// `None` when there is no CPU in it or one above [`MAX_CPU`].
    pub fn new(cpus: impl IntoIterator<Item = u32>) -> Option<Self> {
        let set: BTreeSet<u32> = cpus.into_iter().collect();
        let fits = set.last().is_some_and(|highest| *highest <= MAX_CPU);
        fits.then_some(Self(set))
    }

    /// The CPUs, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }
}

impl FromStr for CpuSet {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = |s: &str| {
            let plain = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
            plain
                .then(|| s.parse::<u32>().ok())
                .flatten()
                .filter(|n| *n <= MAX_CPU)
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first.trim())?, number(last.trim())?);
            (first <= last).then_some(first..=last)
        };
        // A list longer than that repeats itself many times over.
        if text.len() > 4096 {
            return Err(Invalid::new(EXPECTED, text));
        }
        let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
        ranges
            .and_then(|ranges| Self::new(ranges.into_iter().flatten()))
            .ok_or_else(|| Invalid::new(EXPECTED, text))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for cpu in self.iter() {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => runs.push((cpu, cpu)),
            }
        }
        for (index, (first, last)) in runs.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// Where a channel processor runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pin {
    /// Wherever the kernel puts it: `any`.
    #[default]
    Any,
    /// On a core that no other VCP of this host is given: `core`.
    Core,
    /// On these CPUs.
    Set(CpuSet),
}

const EXPECTED_PIN: &str = "\"any\", \"core\" or CPU numbers such as [1], \"1\" or \"0,2-3\"";

impl FromStr for Pin {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "any" => Ok(Self::Any),
            "core" => Ok(Self::Core),
            other => other
                .parse()
                .map(Self::Set)
                .map_err(|_| Invalid::new(EXPECTED_PIN, text)),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pin::Any => f.write_str("any"),
            Pin::Core => f.write_str("core"),
            Pin::Set(set) => set.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sets_and_ranges() {
        let cpus = |text: &str| {
            text.parse::<CpuSet>()
                .map(|s| s.iter().collect::<Vec<_>>())
                .ok()
        };
        assert_eq!(cpus("0,2-3"), Some(vec![0, 2, 3]));
        assert_eq!(cpus("3,1,1"), Some(vec![1, 3]));
        for bad in ["", "a", "3-1", "1-", ",", "-1", "0-9999999", "+1", "8192"] {
            assert_eq!(cpus(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(cpus in proptest::collection::btree_set(0u32..64, 1..32)) {
            let pin = Pin::Set(CpuSet::new(cpus).unwrap());
            prop_assert_eq!(pin.to_string().parse::<Pin>(), Ok(pin));
        }
    }
}
