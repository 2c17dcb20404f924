//! Times after which an operation is given up, or never.

use std::fmt;
use std::str::FromStr;

use super::{Interval, split_unit};
use crate::error::Invalid;

/// How long to wait for something: `120s`, `1min`, `never`. A number without a
/// unit is seconds, as other initiators' timeouts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timeout {
    /// After this time; 0 does not wait at all.
    After(Interval),
    /// Never.
    Never,
}

impl Timeout {
    /// The allowed values, as a continuation of "expected …".
    pub(crate) const EXPECTED: &str = "a time such as \"120s\", a number of seconds, or \"never\"";

    /// The time as the standard library's type; `None` for never.
    pub const fn duration(self) -> Option<std::time::Duration> {
        match self {
            Timeout::After(time) => Some(time.duration()),
            Timeout::Never => None,
        }
    }
}

impl FromStr for Timeout {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let time = match (text, split_unit(text)) {
            ("never", _) => return Ok(Self::Never),
            (_, (number, "")) => format!("{number}s").parse(),
            _ => text.parse(),
        };
        time.map(Self::After)
            .map_err(|_: Invalid| Invalid::new(Self::EXPECTED, text))
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Timeout::After(time) => time.fmt(f),
            Timeout::Never => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_bare_number_is_seconds() {
        let millis = |text: &str| {
            let timeout = text.parse::<Timeout>().ok()?;
            Some(timeout.duration().map(|time| time.as_millis()))
        };
        assert_eq!(millis("never"), Some(None));
        assert_eq!(millis("0"), Some(Some(0)));
        assert_eq!(millis("120"), Some(Some(120_000)));
        assert_eq!(millis("1.5"), Some(Some(1500)));
        assert_eq!(millis("250ms"), Some(Some(250)));
        for bad in ["", "Never", "-1", "s", ".", "1e3", "99999999999999999999"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(seconds in 0u32.., millis: u32) {
            let seconds: Timeout = seconds.to_string().parse().unwrap();
            let millis = Timeout::After(Interval::millis(millis));
            for timeout in [seconds, millis, Timeout::Never] {
                prop_assert_eq!(timeout.to_string().parse::<Timeout>(), Ok(timeout));
            }
        }
    }
}
