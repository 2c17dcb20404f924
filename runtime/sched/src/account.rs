//! Where the time of one VCP went.

/// The time that a VCP has run and waited since it was admitted, in nanoseconds.
///
/// Where the caller's clocks agree, the four together are the time in which it had
/// something to do.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Time that it ran within its reservation.
    pub reserved: u64,
    /// Time that it ran in slack.
    pub slack: u64,
    /// Time that it had something to do and did not run, as its slice was used up.
    pub throttled: u64,
    /// Time that it had something to do and might have run, but another did.
    pub waiting: u64,
}

impl Account {
    /// Accounts for the time from `since` to `now`, in which it had something to do and did
    /// not run; it was not to run within its reservation before `from`.
    pub(crate) fn stood(&mut self, since: u64, now: u64, from: u64) {
        let turn = from.clamp(since, now.max(since));
        self.throttled = self.throttled.saturating_add(turn - since);
        self.waiting = self.waiting.saturating_add(now.saturating_sub(turn));
    }
}
