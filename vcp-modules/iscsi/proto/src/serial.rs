//! Serial numbers: CmdSN and StatSN wrap around, and are compared by the rules of
//! RFC 1982 with 32 bits (RFC 7143 §4.2.2.1).

use core::cmp::Ordering;
use core::fmt;

/// A sequence number that wraps: CmdSN, ExpCmdSN, MaxCmdSN, StatSN, ExpStatSN.
///
/// There is no `Ord`, because the order isn't total: two numbers 2³¹ apart can't be
/// compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Serial(pub u32);

impl Serial {
    /// The number `n` further on.
    #[must_use]
    pub const fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// The number `n` before.
    #[must_use]
    pub const fn sub(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }

    /// The next number.
    #[must_use]
    pub const fn next(self) -> Self {
        self.add(1)
    }

    /// How many steps lead from `earlier` to `self`; `None` when `self` is before
    /// `earlier`, or can't be compared with it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Option<u32> {
        let steps = self.0.wrapping_sub(earlier.0);
        if steps < HALF { Some(steps) } else { None }
    }

    /// True when `self` comes before `other`.
    #[must_use]
    pub const fn lt(self, other: Self) -> bool {
        let steps = other.0.wrapping_sub(self.0);
        steps != 0 && steps < HALF
    }

    /// True when `self` is `other` or comes before it.
    #[must_use]
    pub const fn le(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0) < HALF
    }

    /// True when `self` comes after `other`.
    #[must_use]
    pub const fn gt(self, other: Self) -> bool {
        other.lt(self)
    }

    /// The later of two numbers; `self` when they can't be compared.
    #[must_use]
    pub const fn max(self, other: Self) -> Self {
        if self.lt(other) { other } else { self }
    }
}

const HALF: u32 = 1 << 31;

impl PartialOrd for Serial {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match other.0.wrapping_sub(self.0) {
            0 => Some(Ordering::Equal),
            HALF => None,
            steps if steps < HALF => Some(Ordering::Less),
            _ => Some(Ordering::Greater),
        }
    }
}

impl From<u32> for Serial {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wraps() {
        let last = Serial(u32::MAX);
        assert_eq!(last.next(), Serial(0));
        assert!(last.lt(Serial(0)));
        assert!(Serial(0).gt(last));
        assert_eq!(Serial(3).since(last), Some(4));
        assert_eq!(last.since(Serial(3)), None);
        assert_eq!(last.max(Serial(1)), Serial(1));
    }

    #[test]
    fn half_way_round_has_no_order() {
        let (a, b) = (Serial(5), Serial(5 + (1 << 31)));
        assert_eq!(a.partial_cmp(&b), None);
        assert!(!a.lt(b) && !a.gt(b) && !a.le(b));
    }

    proptest! {
        #[test]
        fn methods_and_operators_agree(a: u32, b: u32) {
            let (a, b) = (Serial(a), Serial(b));
            prop_assert_eq!(a < b, a.lt(b));
            prop_assert_eq!(a <= b, a.le(b));
            prop_assert_eq!(a > b, a.gt(b));
        }

        #[test]
        fn addition_moves_forward(a: u32, n in 0u32..(1 << 31)) {
            prop_assert_eq!(Serial(a).add(n).since(Serial(a)), Some(n));
            prop_assert_eq!(Serial(a).add(n).sub(n), Serial(a));
        }
    }
}
