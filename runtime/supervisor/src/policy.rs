//! What an operator can choose.

/// When a VCP is restarted, held, and taken back. Times in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether it is restarted at all. Otherwise the first fault is the last.
    pub restart: bool,
    /// An instance that ran this long is replaced at once.
    pub min_run: u64,
    /// The delay before any other is replaced, at first; it doubles each time.
    pub backoff_min: u64,
    /// The longest such delay.
    pub backoff_max: u64,
    /// The VCP is held once this many restarts in a row brought nothing that ran
    /// for `min_run`. `None`: never.
    pub limit: Option<u32>,
    /// How long a request waits that the device can't answer, before it is answered
    /// with an error. `None`: for ever.
    pub replacement_timeout: Option<u64>,
    /// How long a reloaded module may take to be ready.
    pub ready_within: u64,
    /// How long after that a fault still brings back the module before it.
    pub probation: u64,
}

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

impl Default for Policy {
    fn default() -> Self {
        Self {
            restart: true,
            min_run: 50 * MS,
            backoff_min: 10 * MS,
            backoff_max: 5 * SECOND,
            limit: None,
            replacement_timeout: Some(120 * SECOND),
            ready_within: 10 * SECOND,
            probation: 5 * SECOND,
        }
    }
}
