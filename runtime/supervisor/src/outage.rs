//! How long a device has not been able to serve, and when its clients are told: all
//! of them at once that it is away, or each that it has waited long enough.

/// The least time for a VCP that says nothing because its instances die: a crash is not an
/// outage of the path, whatever the timeout for one is.
pub(crate) const GRACE: u64 = 5_000_000_000;

/// An outage: from when the VCP could no longer serve to the next instance that is ready.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outage {
    /// When an instance died, with none ready after it.
    silent: Option<u64>,
    /// When an instance said that it can't serve, or last answered a request all the same.
    suspended: Option<u64>,
    /// Whether it has answered something since it said so.
    pub(crate) answering: bool,
    /// Whether the time is up, so that nothing waits any more.
    pub(crate) expired: bool,
}

impl Outage {
    pub(crate) fn died(&mut self, now: u64) {
        self.silent.get_or_insert(now);
    }

    pub(crate) fn suspended(&mut self, now: u64) {
        self.suspended.get_or_insert(now);
    }

    pub(crate) fn answered(&mut self, now: u64) {
        self.suspended = Some(now);
        self.answering = true;
    }

    pub(crate) fn over(&mut self) {
        *self = Self::default();
    }

    /// When it expires, if it hasn't.
    pub(crate) fn deadline(&self, timeout: Option<u64>) -> Option<u64> {
        let timeout = timeout.filter(|_| !self.expired)?;
        let suspended = self.suspended.map(|at| at.saturating_add(timeout));
        let silent = self.silent.map(|at| at.saturating_add(timeout.max(GRACE)));
        [suspended, silent].into_iter().flatten().min()
    }
}
