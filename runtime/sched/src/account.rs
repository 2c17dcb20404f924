//! Where the time of one VCP went.

/// What a VCP has had, and what it has waited for, since it was admitted; in
/// nanoseconds.
///
/// Where the caller's clocks agree, the four together are the time in which it had
/// something to do.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// It ran within its reservation.
    pub reserved: u64,
    /// It ran in slack.
    pub slack: u64,
    /// It had something to do and did not run, its slice being used up.
    pub throttled: u64,
    /// It had something to do and might have run, but another did.
    pub waiting: u64,
}

impl Account {
    /// It had something to do and did not run from `since` to `now`, and was not to
    /// run within its reservation before `from`.
    pub(crate) fn stood(&mut self, since: u64, now: u64, from: u64) {
        let turn = from.clamp(since, now.max(since));
        self.throttled = self.throttled.saturating_add(turn - since);
        self.waiting = self.waiting.saturating_add(now.saturating_sub(turn));
    }
}
