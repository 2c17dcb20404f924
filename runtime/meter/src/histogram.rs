//! Counts by size, in buckets that double.

use serde::{Deserialize, Serialize};

/// How often something had each size. Bucket 0 is of size 0, bucket 1 of 1, bucket 2 of 2 to
/// 3, bucket 3 of 4 to 7 and so on; the last has all that is larger, too.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Histogram {
    /// The counts by bucket; how many buckets there are is the host's choice, 64 at most.
    pub buckets: Vec<u64>,
    /// The sum of all sizes.
    pub sum: u64,
}

impl Histogram {
    /// The most buckets that are looked at; there are no larger sizes.
    const MOST: usize = 64;

    /// A histogram of these buckets, with the sum of all sizes.
    pub fn new(buckets: impl Into<Vec<u64>>, sum: u64) -> Self {
        let buckets = buckets.into();
        Self { buckets, sum }
    }

    /// The number of sizes that were counted.
    pub fn count(&self) -> u64 {
        self.cumulative().last().map_or(0, |(_, count)| count)
    }

    /// The largest size in each bucket, `None` for the last, and how many were
    /// no larger.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let last = self.buckets.len().min(Self::MOST).saturating_sub(1);
        let buckets = self.buckets.iter().take(Self::MOST).enumerate();
        buckets.scan(0u64, move |count, (index, bucket)| {
            *count = count.saturating_add(*bucket);
            let largest = (index < last).then(|| (1u64 << index) - 1);
            Some((largest, *count))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_double() {
        let sizes = Histogram::new([5, 4, 3, 2], 42);
        let cumulative: Vec<_> = sizes.cumulative().collect();
        let expected = [(Some(0), 5), (Some(1), 9), (Some(3), 12), (None, 14)];
        assert_eq!(cumulative, expected);
        assert_eq!(sizes.count(), 14);
        assert_eq!(Histogram::default().count(), 0);
    }

    #[test]
    fn more_buckets_than_sizes_do_no_harm() {
        let sizes = Histogram::new(vec![u64::MAX; 1000], 0);
        assert_eq!(sizes.cumulative().count(), 64);
        assert_eq!(sizes.count(), u64::MAX);
    }
}
