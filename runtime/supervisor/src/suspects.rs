//! When requests that instances died of are tried again.

use crate::Policy;

/// The delay of the next trial, after trials that killed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trials {
    /// When the next trial may be; `None` if it may be now.
    pub(crate) at: Option<u64>,
    backoff: u64,
    /// When a trial last killed.
    killed: u64,
}

impl Trials {
    pub(crate) fn new(policy: &Policy) -> Self {
        Self {
            at: None,
            backoff: policy.backoff_min,
            killed: 0,
        }
    }

    /// Notes that a trial killed. The next comes later each time, and soon again after a
    /// long time without.
    pub(crate) fn killed(&mut self, now: u64, policy: &Policy) {
        let calm = policy.backoff_max.saturating_mul(2);
        if now.saturating_sub(self.killed) > calm {
            self.backoff = policy.backoff_min;
        }
        self.killed = now;
        self.at = Some(now.saturating_add(self.backoff));
        self.backoff = self.backoff.saturating_mul(2).min(policy.backoff_max);
    }
}
