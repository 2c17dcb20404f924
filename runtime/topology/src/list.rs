//! Sets of CPUs and the way the kernel writes them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// CPUs are numbered below this: the most that Linux can be built for.
pub const MAX_CPUS: usize = 8192;

/// A set of CPU numbers, each below [`MAX_CPUS`].
///
/// As text it is a kernel CPU list, such as `0-3,8,10-11`; the empty set is the
/// empty text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CpuSet(BTreeSet<usize>);

impl CpuSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self(BTreeSet::new())
    }

    /// Adds a CPU. A number of [`MAX_CPUS`] or more can't exist and is left out.
    pub fn insert(&mut self, cpu: usize) {
        if cpu < MAX_CPUS {
            self.0.insert(cpu);
        }
    }

    /// Whether this CPU is in the set.
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// The lowest CPU.
    pub fn first(&self) -> Option<usize> {
        self.0.first().copied()
    }

    /// The number of CPUs in the set.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All CPUs, lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// The CPUs that are also in `other`.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// The CPUs that are in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// The CPUs that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).copied().collect())
    }

    /// Whether no CPU is in both.
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.0.is_disjoint(&other.0)
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<T: IntoIterator<Item = usize>>(cpus: T) -> Self {
        Self(cpus.into_iter().filter(|&cpu| cpu < MAX_CPUS).collect())
    }
}

/// Why a text is no CPU list. The text isn't repeated: it may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Something other than numbers, `-` and `,` in their places.
    #[error("not a list of CPUs such as \"0-3,8\"")]
    Syntax,
    /// A number no CPU can have.
    #[error("a CPU number of {MAX_CPUS} or more")]
    TooLarge,
    /// Ranges that run backwards or overlap, which the kernel never writes.
    #[error("CPUs out of order")]
    Order,
}

/// Parses what the kernel writes (`%*pbl`): ranges in ascending order, at most a line.
impl FromStr for CpuSet {
    type Err = ListError;

    fn from_str(text: &str) -> Result<Self, ListError> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let mut set = Self::new();
        if text.is_empty() {
            return Ok(set);
        }
        let mut least = 0;
        for part in text.split(',') {
            let (low, high) = match part.split_once('-') {
                Some((low, high)) => (number(low)?, number(high)?),
                None => (number(part)?, number(part)?),
            };
            if low < least || high < low {
                return Err(ListError::Order);
            }
            set.0.extend(low..=high);
            least = high + 1;
        }
        Ok(set)
    }
}

fn number(text: &str) -> Result<usize, ListError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ListError::Syntax);
    }
    // Nothing but digits: what doesn't fit is too large.
    match text.parse() {
        Ok(cpu) if cpu < MAX_CPUS => Ok(cpu),
        _ => Err(ListError::TooLarge),
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(low) = cpus.next() {
            let mut high = low;
            while let Some(next) = cpus.next_if_eq(&(high + 1)) {
                high = next;
            }
            write!(f, "{separator}{low}")?;
            if high > low {
                write!(f, "-{high}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cpus(text: &str) -> Result<Vec<usize>, ListError> {
        Ok(text.parse::<CpuSet>()?.iter().collect())
    }

    #[test]
    fn lists() {
        assert_eq!(cpus("0-3,8,10-11\n"), Ok(vec![0, 1, 2, 3, 8, 10, 11]));
        assert_eq!(cpus("8191"), Ok(vec![8191]));
        assert_eq!(cpus("\n"), Ok(vec![]));
        assert_eq!(cpus(""), Ok(vec![]));
    }

    #[test]
    fn what_the_kernel_does_not_write() {
        for bad in [
            "a", "0-", "-1", ",", "0,", " 0", "0 ", "+1", "0-6:2/8", "0--1", "0\n\n", "(null)", "٣",
        ] {
            assert_eq!(cpus(bad), Err(ListError::Syntax), "{bad:?}");
        }
        for bad in ["8192", "0-4294967296", "99999999999999999999999999"] {
            assert_eq!(cpus(bad), Err(ListError::TooLarge), "{bad:?}");
        }
        for bad in ["3-1", "1,0", "0-3,2", "1,1"] {
            assert_eq!(cpus(bad), Err(ListError::Order), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(cpus in proptest::collection::btree_set(0usize..MAX_CPUS, 0..200)) {
            let set: CpuSet = cpus.into_iter().collect();
            prop_assert_eq!(set.to_string().parse(), Ok(set));
        }

        #[test]
        fn any_text_is_answered(text in "[0-9,\\-\n a]{0,40}") {
            if let Ok(set) = text.parse::<CpuSet>() {
                prop_assert!(set.iter().all(|cpu| cpu < MAX_CPUS));
            }
        }
    }
}
