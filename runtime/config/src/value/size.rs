//! Sizes in bytes.

use std::fmt;
use std::str::FromStr;

use super::split_unit;
use crate::error::Invalid;

/// A number of bytes: `64MiB`, `1G`, `4096`. Units are powers of 1024, and the single
/// letters K, M, G, T stand for KiB, MiB, GiB, TiB, as with qemu and nbdkit. Decimal
/// units (kB, MB) are refused: too many tools mean powers of 1024 by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const EXPECTED: &str = "a size such as \"64MiB\", \"1G\" or a number of bytes";

const UNITS: [(&str, &str, u32); 4] = [
    ("TiB", "T", 40),
    ("GiB", "G", 30),
    ("MiB", "M", 20),
    ("KiB", "K", 10),
];

impl ByteSize {
    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// This many MiB.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
}

impl FromStr for ByteSize {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new(EXPECTED, text);
        let (number, unit) = split_unit(text);
        let shift = if unit.is_empty() || unit == "B" {
            0
        } else {
            UNITS
                .iter()
                .find(|(long, short, _)| *long == unit || *short == unit)
                .ok_or_else(invalid)?
                .2
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(1 << shift))
            .map(Self)
            .ok_or_else(invalid)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .find(|(_, _, shift)| self.0 != 0 && self.0.is_multiple_of(1 << shift));
        match unit {
            Some((long, _, shift)) => write!(f, "{}{long}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_are_binary() {
        let size = |text: &str| text.parse::<ByteSize>().map(|s| s.0).ok();
        assert_eq!(size("64MiB"), Some(64 << 20));
        assert_eq!(size("1G"), Some(1 << 30));
        assert_eq!(size("3 TiB"), Some(3 << 40));
        assert_eq!(size("4096"), Some(4096));
        for bad in ["", "MiB", "1MB", "1.5M", "-1", "1 M B", "16777216T", "0x10"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(bytes: u64, shift in 0u32..44) {
            for size in [ByteSize(bytes), ByteSize(bytes >> shift << shift), ByteSize(1 << shift)] {
                prop_assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
            }
        }
    }
}
