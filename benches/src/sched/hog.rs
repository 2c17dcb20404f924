//! A VCP in an endless loop.

use std::time::{Duration, Instant};

use vcp_benches::bed::{Bed, READY, Running, cpu};
use vcp_core::{BEST_EFFORT, Budget, Settings};

use crate::client::{Once, flush};

/// Nanoseconds of a period that nothing else is said of.
pub(crate) const PERIOD: u64 = 10_000_000;
/// Nothing to speak of: a nanosecond an hour.
const PARKED: Budget = Budget {
    period: 3_600_000_000_000,
    slice: 1,
    slack: 0,
};

/// So many percent of each period, and slack by this weight.
pub(crate) fn share(percent: u64, period: u64, slack: u32) -> Budget {
    Budget {
        period,
        slice: period * percent / 100,
        slack,
    }
}

/// See the module.
pub(crate) struct Hog(Running);

impl Hog {
    /// Starts one that will not return from a call before it has run for so long.
    pub(crate) fn start(bed: &Bed, pin: usize, runs_for: Duration) -> Self {
        let module = bed.load("misbehave", vcp_test_guests::MISBEHAVE_DEVICE);
        let mut settings = Settings {
            config: vec![("fault".to_owned(), "endless".to_owned())],
            cpu: cpu(&[pin], BEST_EFFORT),
            ..Settings::new("loop", module)
        };
        settings.watchdog.fuel = Some(u64::MAX);
        settings.watchdog.call = runs_for;
        settings.watchdog.progress = None;
        settings.restart.always = false;
        let running = bed.start(settings);
        // A flush sets it off.
        running.vcp.attach(Box::new(Once::new(flush())));
        let began = Instant::now();
        while running.used() < Duration::from_millis(20).as_nanos() as u64 {
            assert!(began.elapsed() < READY, "the endless loop does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        Self(running)
    }

    pub(crate) fn vcp(&self) -> &Running {
        &self.0
    }

    /// It goes on with this budget.
    pub(crate) fn set(&self, budget: Budget) {
        assert_eq!(self.0.vcp.stats().faults, 0, "it has run for too long");
        self.0.set(budget);
    }

    /// It stands still until it is given a budget again.
    pub(crate) fn park(&self) {
        self.set(PARKED);
    }
}

impl Drop for Hog {
    /// Nothing but its watchdog ends it: it may run for what that leaves it.
    fn drop(&mut self) {
        self.0.vcp.stop();
        // One that has ended already has no use for it.
        let _ = self.0.vcp.set_budget(BEST_EFFORT);
    }
}
