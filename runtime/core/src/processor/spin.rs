//! Adaptive polling: whether it pays to spin for a moment before sleeping.
//!
//! To sleep and be woken costs some microseconds of CPU and of delay. Where the next
//! event comes sooner than that, as in a dialogue at queue depth one, looking for it
//! again and again is cheaper for both sides; where it does not, it is a waste.
//! The last waits tell which of the two it will be.

/// The part of the past that a new wait replaces, as a power of two.
const WEIGHT: u32 = 3;
/// One wait in so many spins although the past says that it won't pay.
const PROBE: u32 = 64;

/// Learns from waits, and says how long to spin in the next.
#[derive(Debug, Clone)]
pub(crate) struct Spin {
    /// The longest that it may spin, in nanoseconds.
    most: u64,
    /// How often, of 256, the last waits were over within `most`.
    within: u32,
    waits: u32,
}

impl Spin {
    /// Spins for `most` nanoseconds at the most; never if that is 0.
    pub(crate) fn new(most: u64) -> Self {
        Self {
            most,
            within: 0,
            waits: 0,
        }
    }

    /// How long to spin now, in nanoseconds.
    pub(crate) fn time(&mut self) -> u64 {
        self.waits = self.waits.wrapping_add(1);
        // It spins where that is more often right than wrong, and else now and then as a
        // probe.
        if self.within >= 160 || self.waits.is_multiple_of(PROBE) {
            self.most
        } else {
            0
        }
    }

    /// Learns how long a wait took that began with spinning.
    pub(crate) fn learn(&mut self, waited: u64) {
        let hit = if waited <= self.most { 256 } else { 0 };
        // Eight of the waits that were tried tell more than all before.
        self.within = self.within - (self.within >> WEIGHT) + (hit >> WEIGHT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awake(spin: &mut Spin, waits: u64, length: impl Fn(u64) -> u64) -> u64 {
        let mut awake = 0;
        for n in 0..waits {
            let time = spin.time();
            if time > 0 {
                awake += 1;
                spin.learn(length(n));
            }
        }
        awake
    }

    #[test]
    fn short_waits_are_spent_awake_and_long_ones_asleep() {
        let mut spin = Spin::new(20_000);
        let before = awake(&mut spin, 1000, |_| 5_000);
        let after = awake(&mut spin, 1000, |_| 5_000);
        assert!(before > 100 && after == 1000, "{before} {after}");
        let slow = awake(&mut spin, 1000, |_| 500_000);
        assert!(slow < 40, "{slow}");
    }

    #[test]
    fn one_in_two_does_not_pay() {
        let mut spin = Spin::new(20_000);
        let awake = awake(
            &mut spin,
            10_000,
            |n| if n % 2 == 0 { 5_000 } else { 90_000 },
        );
        assert!(awake < 1000, "{awake}");
    }

    #[test]
    fn nothing_is_spent_awake_where_that_is_off() {
        assert_eq!(awake(&mut Spin::new(0), 1000, |_| 0), 0);
    }
}
