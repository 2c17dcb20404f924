//! Shares of one CPU.

use std::fmt;
use std::str::FromStr;

use super::{fixed_point, split_unit};
use crate::error::Invalid;

/// More than 0 and at most 100 percent, in steps of a hundredth of a percent:
/// `50%`, `12.5%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

const EXPECTED: &str = "a percentage above 0% and up to 100%, such as \"50%\"";

impl Percent {
    /// One whole CPU.
    pub const FULL: Self = Self(10_000);

    /// The share in hundredths of a percent, 1 to 10000.
    pub const fn basis_points(self) -> u32 {
        self.0
    }

    /// The share as a fraction, above 0 and at most 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl FromStr for Percent {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (number, unit) = split_unit(text);
        fixed_point(number, 2)
            .filter(|points| unit == "%" && (1..=10_000).contains(points))
            .map(|points| Self(points as u32))
            .ok_or_else(|| Invalid::new(EXPECTED, text))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match rest {
            0 => write!(f, "{whole}%"),
            r if r % 10 == 0 => write!(f, "{whole}.{}%", r / 10),
            r => write!(f, "{whole}.{r:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_are_kept() {
        let points = |text: &str| text.parse::<Percent>().map(Percent::basis_points).ok();
        assert_eq!(points("50%"), Some(5000));
        assert_eq!(points("100 %"), Some(10_000));
        assert_eq!(points("0.01%"), Some(1));
        for bad in [
            "0%", "100.01%", "50", "", "%", "1.%", ".5%", "1.234%", "-1%", "50%%",
        ] {
            assert_eq!(points(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(points in 1u32..=10_000) {
            let percent = Percent(points);
            prop_assert_eq!(percent.to_string().parse::<Percent>(), Ok(percent));
        }
    }
}
