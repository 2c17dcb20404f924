//! The `attach` key of an export: its kernel device.

use std::fmt;
use std::str::FromStr;

use crate::check;
use crate::error::Invalid;
use crate::value::{Interval, Timeout};

/// The settings of an export's kernel block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attach {
    /// `device`: the device to use; `None`: the next free one.
    pub device: Option<NbdDevice>,
    /// `connections`: the number of connections between the kernel and the host.
    pub connections: u32,
    /// `timeout`: how long a request may take before the kernel gives up its connection.
    /// `None`: no limit with one connection; longer than the host's own limit with
    /// several.
    pub timeout: Option<Timeout>,
    /// `dead-timeout`: how long requests wait for another host when this one is gone.
    pub dead_timeout: Interval,
    /// `identifier`: the host's name in the kernel; by default derived from the path of
    /// its configuration.
    pub identifier: Option<String>,
}

impl Attach {
    /// The allowed values of `connections`.
    pub const CONNECTIONS: std::ops::RangeInclusive<u32> = 1..=16;

    /// The default of `dead-timeout`: a host restarts, and a target may be slow to let it
    /// in again.
    pub const DEFAULT_DEAD_TIMEOUT: Interval = Interval::millis(300_000);

    pub(crate) const KEYS: [&str; 5] = [
        "device",
        "connections",
        "timeout",
        "dead-timeout",
        "identifier",
    ];

    /// Parses `timeout`: the kernel counts in seconds.
    pub fn parse_timeout(text: &str) -> Result<Timeout, Invalid> {
        match text.parse()? {
            Timeout::After(time) => Self::seconds(time, 1).map(Timeout::After),
            Timeout::Never => Ok(Timeout::Never),
        }
    }

    /// Parses `dead-timeout`. With 0 requests fail as soon as the host is gone.
    pub fn parse_dead_timeout(text: &str) -> Result<Interval, Invalid> {
        // A number without a unit is seconds here as well.
        match text.parse() {
            Ok(Timeout::After(time)) => Self::seconds(time, 0),
            _ => Err(Invalid::new("a time, such as \"5min\"", text)),
        }
    }

    /// Checks `connections`.
    pub fn check_connections(count: u32) -> Result<u32, Invalid> {
        let range = Self::CONNECTIONS;
        if range.contains(&count) {
            return Ok(count);
        }
        let expected = format!("a number from {} to {}", range.start(), range.end());
        Err(Invalid::new(expected, &count.to_string()))
    }

    pub(crate) fn check_identifier(text: &str) -> Result<(), Invalid> {
        if (1..=256).contains(&text.len()) && !text.contains(char::is_control) {
            return Ok(());
        }
        Err(Invalid::new("one line of 1 to 256 bytes", text))
    }

    fn seconds(time: Interval, least: u32) -> Result<Interval, Invalid> {
        let whole = time.duration().subsec_nanos() == 0;
        if !whole {
            return Err(Invalid::new("whole seconds", &time.to_string()));
        }
        check::between(time, Interval::millis(least * 1000), Interval::hours(24))
    }
}

impl Default for Attach {
    fn default() -> Self {
        Self {
            device: None,
            connections: 1,
            timeout: None,
            dead_timeout: Self::DEFAULT_DEAD_TIMEOUT,
            identifier: None,
        }
    }
}

/// The number of an nbd device: `/dev/nbd0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NbdDevice(pub u32);

impl FromStr for NbdDevice {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let number = text.strip_prefix("/dev/nbd").and_then(|n| n.parse().ok());
        number
            .map(Self)
            // Only the kernel's own spelling names a device.
            .filter(|device| device.to_string() == text && device.0 < 1 << 20)
            .ok_or_else(|| Invalid::new("a whole nbd device such as \"/dev/nbd0\"", text))
    }
}

impl fmt::Display for NbdDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/dev/nbd{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_whole_ones() {
        for text in ["/dev/nbd0", "/dev/nbd31", "/dev/nbd1048575"] {
            assert_eq!(text.parse::<NbdDevice>().unwrap().to_string(), text);
        }
        for text in [
            "nbd0",
            "/dev/nbd",
            "/dev/nbd0p1",
            "/dev/nbd01",
            "/dev/nbd+1",
            "/dev/nbd1048576",
        ] {
            let error = text.parse::<NbdDevice>().unwrap_err().to_string();
            assert!(
                error.contains("/dev/nbd0") && error.contains(text),
                "{error}"
            );
        }
    }

    #[test]
    fn the_kernel_counts_in_seconds() {
        assert_eq!(Attach::parse_timeout("never"), Ok(Timeout::Never));
        assert_eq!(
            Attach::parse_dead_timeout("600").unwrap(),
            Interval::millis(600_000)
        );
        assert_eq!(
            Attach::parse_dead_timeout("0").unwrap(),
            Interval::millis(0)
        );
        for text in ["0", "1500ms", "25h", "x"] {
            assert!(Attach::parse_timeout(text).is_err(), "{text}");
        }
        for text in ["never", "1500ms", "25h", ""] {
            assert!(Attach::parse_dead_timeout(text).is_err(), "{text}");
        }
    }
}
