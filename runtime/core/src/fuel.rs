//! Fuel and time: how much of the one makes how much of the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a call runs before it gives the thread back, in nanoseconds.
pub(crate) const QUANTUM: u64 = 100_000;
/// Fuel in a quantum on any machine: between a tenth of a unit and 25 a nanosecond.
const LEAST: u64 = QUANTUM / 10;
const MOST: u64 = QUANTUM * 25;

/// More fuel than any code burns in this time on any machine.
pub(crate) fn plenty(time: Duration) -> u64 {
    let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    nanoseconds.saturating_mul(2 * MOST / QUANTUM)
}

/// The fuel of a quantum: as measured when the host started, and adapted since then to the
/// VCP's own code.
#[derive(Debug)]
pub(crate) struct Rate(AtomicU64);

impl Rate {
    /// The rate of code that burns `fuel` in `nanoseconds`.
    pub(crate) fn new(fuel: u64, nanoseconds: u64) -> Self {
        let fuel = u128::from(fuel) * u128::from(QUANTUM) / u128::from(nanoseconds.max(1));
        let fuel = u64::try_from(fuel).unwrap_or(MOST);
        Self(AtomicU64::new(fuel.clamp(LEAST, MOST)))
    }

    /// The fuel after which a call gives the thread back.
    pub(crate) fn quantum(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adapts to a quantum of fuel that took so long.
    pub(crate) fn observe(&self, nanoseconds: u64) {
        let before = self.quantum();
        // What took ten times as long or more was not the VCP's code.
        let measured = Self::new(before, nanoseconds.clamp(QUANTUM / 10, QUANTUM * 10));
        let after = before - before / 16 + measured.quantum() / 16;
        self.0.store(after.clamp(LEAST, MOST), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_follows_what_is_measured() {
        let rate = Rate::new(10_000_000, 1_000_000);
        assert_eq!(rate.quantum(), 1_000_000);
        // Code that burns half as much in the same time.
        for _ in 0..200 {
            let took = rate.quantum() / 5;
            rate.observe(took);
        }
        assert!((450_000..550_000).contains(&rate.quantum()), "{rate:?}");
    }

    #[test]
    fn what_can_not_be_is_not_believed() {
        assert_eq!(Rate::new(0, 0).quantum(), LEAST);
        assert_eq!(Rate::new(u64::MAX, 1).quantum(), MOST);
        let rate = Rate::new(1_000_000, 100_000);
        (0..1000).for_each(|_| rate.observe(u64::MAX));
        assert!(rate.quantum() < LEAST + LEAST / 100, "{rate:?}");
    }
}
