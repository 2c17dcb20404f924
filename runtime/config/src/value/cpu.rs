//! The CPUs on which a channel processor may run.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

/// The highest CPU number that is accepted; the kernel's own limit is lower on every
/// existing machine.
pub const MAX_CPU: u32 = 8191;

/// A set of CPUs, not empty: `1`, `0-3`, `0,2-3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u32>);

/// The highest NUMA node that is accepted; as with [`MAX_CPU`].
const MAX_NODE: u32 = 1023;

const EXPECTED: &str = "CPU numbers such as \"1\" or \"0,2-3\"";

impl CpuSet {
    /// Makes a set; `None` if it is empty or has a CPU above [`MAX_CPU`].
    pub fn new(cpus: impl IntoIterator<Item = u32>) -> Option<Self> {
        let set: BTreeSet<u32> = cpus.into_iter().collect();
        let fits = set.last().is_some_and(|highest| *highest <= MAX_CPU);
        fits.then_some(Self(set))
    }

    /// The CPUs, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }
}

impl FromStr for CpuSet {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first.trim())?, number(last.trim())?);
            (first <= last).then_some(first..=last)
        };
        // A longer list would only repeat CPUs.
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

/// Parses the number of a CPU.
fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| text.parse().ok())
        .flatten()
        .filter(|number| *number <= MAX_CPU)
}

/// The placement of a channel processor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pin {
    /// Wherever the kernel puts it: `any`.
    #[default]
    Any,
    /// On a core of its own among this host's VCPs: `core`.
    Core,
    /// On the other thread of this CPU's core (SMT): `sibling-of:N`.
    SiblingOf(u32),
    /// On the CPUs of this NUMA node: `numa:N`.
    Numa(u32),
    /// On these CPUs.
    Set(CpuSet),
}

const EXPECTED_PIN: &str = "\"any\", \"core\", \"sibling-of:N\", \"numa:N\" or CPU numbers such as [1], \"1\" or \"0,2-3\"";

impl FromStr for Pin {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new(EXPECTED_PIN, text);
        match (text, text.split_once(':')) {
            ("any", _) => Ok(Self::Any),
            ("core", _) => Ok(Self::Core),
            (_, Some(("sibling-of", cpu))) => number(cpu).map(Self::SiblingOf).ok_or_else(invalid),
            (_, Some(("numa", node))) => number(node)
                .filter(|node| *node <= MAX_NODE)
                .map(Self::Numa)
                .ok_or_else(invalid),
            (set, _) => set.parse().map(Self::Set).map_err(|_| invalid()),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pin::Any => f.write_str("any"),
            Pin::Core => f.write_str("core"),
            Pin::SiblingOf(cpu) => write!(f, "sibling-of:{cpu}"),
            Pin::Numa(node) => write!(f, "numa:{node}"),
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

    #[test]
    fn words_name_a_place() {
        for (text, pin) in [
            ("any", Pin::Any),
            ("core", Pin::Core),
            ("sibling-of:3", Pin::SiblingOf(3)),
            ("numa:0", Pin::Numa(0)),
        ] {
            assert_eq!(text.parse::<Pin>().as_ref(), Ok(&pin));
            assert_eq!(pin.to_string(), text);
        }
        for bad in [
            "cores",
            "sibling-of",
            "sibling-of:",
            "sibling-of:x",
            "sibling-of:8192",
            "numa:+1",
            "numa:1024",
            "numa:0,1",
            "node:0",
        ] {
            assert!(bad.parse::<Pin>().is_err(), "{bad}");
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
