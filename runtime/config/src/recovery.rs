//! What happens when an instance of a VCP dies, hangs or is replaced, as an
//! operator says it.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;
use crate::value::{Backoff, Interval, Timeout};

/// What happens after a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// `policy`.
    pub policy: RestartPolicy,
    /// `min-run`: an instance that ran at least this long is replaced at once,
    /// and the back-off starts over.
    pub min_run: Interval,
    /// `backoff`: how long to wait before replacing one that did not.
    pub backoff: Backoff,
    /// `limit`: after so many instances in a row that did not run for `min-run`
    /// the VCP is held: it refuses requests until an operator revives it. 1 to
    /// a million; without it there is no limit.
    pub limit: Option<u32>,
    /// `spare`: keep a second instance ready to take over.
    pub spare: bool,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: RestartPolicy::Always,
            min_run: Interval::millis(50),
            backoff: Backoff::new(Interval::millis(10), Interval::millis(5000))
                .expect("10 ms is less than 5 s"),
            limit: None,
            spare: false,
        }
    }
}

/// Whether a faulted VCP comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// It is started anew and given every unanswered request again.
    Always,
    /// It stays down; its requests fail.
    Never,
}

impl FromStr for RestartPolicy {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            other => Err(Invalid::new("\"always\" or \"never\"", other)),
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RestartPolicy::Always => "always",
            RestartPolicy::Never => "never",
        })
    }
}

/// What an instance may take before it counts as hung and is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// `call`: the time of one call into it; 1 ms to 1 h.
    pub call: Interval,
    /// `fuel`: the fuel of one call; 1 million to 2^63-1 units.
    pub fuel: u64,
    /// `progress`: the time without an answer while requests are outstanding and
    /// it has not said that it must wait; 100 ms to a day, or never.
    pub progress: Timeout,
}

impl Default for Watchdog {
    fn default() -> Self {
        Self {
            call: Interval::millis(2000),
            fuel: 10_000_000_000,
            progress: Timeout::After(Interval::millis(60_000)),
        }
    }
}

/// How a new version of a module takes over from the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// `drain`: how long the old one may finish what it holds; 0 to 1 min. The
    /// rest is given to the new one.
    pub drain: Interval,
    /// `ready`: how long the new one may take until it serves; 10 ms to 10 min.
    pub ready: Interval,
    /// `probation`: if it faults within this time of serving, the old module
    /// comes back; 0 to 1 h.
    pub probation: Interval,
}

impl Default for Reload {
    fn default() -> Self {
        Self {
            drain: Interval::millis(250),
            ready: Interval::millis(10_000),
            probation: Interval::millis(5000),
        }
    }
}

/// What is kept of instances that died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashReports {
    /// `keep`: the most reports of one VCP, 0 to 256; the oldest goes first.
    pub keep: u32,
    /// `core-dumps`: with the instance's memory in each.
    pub core_dumps: bool,
}

impl Default for CrashReports {
    fn default() -> Self {
        Self {
            keep: 16,
            core_dumps: false,
        }
    }
}
