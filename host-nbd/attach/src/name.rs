//! Names of nbd devices.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::AttachError;

/// A whole nbd device, by its number: `/dev/nbd3`, or `nbd3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName(pub u32);

impl DeviceName {
    /// The largest number there can be: minors have 20 bits.
    pub const LARGEST: u32 = (1 << 20) - 1;

    /// Its node in `/dev`.
    #[must_use]
    pub fn path(self) -> PathBuf {
        PathBuf::from(self.to_string())
    }

    /// Its name in `/sys/block`.
    #[must_use]
    pub fn short(self) -> String {
        format!("nbd{}", self.0)
    }

    /// Parses a name in `/sys/block`; partitions are refused.
    pub(crate) fn from_short(text: &str) -> Option<Self> {
        let number = text.strip_prefix("nbd")?;
        // Only as the kernel writes it: `nbd07` names no device.
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let plain = number == "0" || !number.starts_with('0');
        let number = number.parse().ok().filter(|_| digits && plain)?;
        (number <= Self::LARGEST).then_some(Self(number))
    }
}

impl FromStr for DeviceName {
    type Err = AttachError;

    fn from_str(text: &str) -> Result<Self, AttachError> {
        let short = text.strip_prefix("/dev/").unwrap_or(text);
        Self::from_short(short).ok_or_else(|| AttachError::BadName(text.to_owned()))
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/dev/nbd{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_whole_devices() {
        for (text, number) in [
            ("/dev/nbd0", 0),
            ("nbd17", 17),
            ("/dev/nbd1048575", 1_048_575),
        ] {
            let name: DeviceName = text.parse().unwrap();
            assert_eq!(name, DeviceName(number));
            assert!(name.to_string().ends_with(text));
        }
        for text in [
            "",
            "nbd",
            "/dev/nbd",
            "nbd0p1",
            "/dev/sda",
            "nbd-1",
            "nbd+1",
            "nbd01",
            "nbd1048576",
            "/tmp/nbd0",
            "nbd0/../sda",
            "NBD0",
            "nbd 0",
        ] {
            let error = text.parse::<DeviceName>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
