//! Crash points where control passes between the host and an instance.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts how often control passes between the host and a VCP: into a call and out of it,
/// into a host function and out of it. At the requested crossing, the instance ends.
///
/// All instances of a VCP share one; the next one may be made on another thread.
#[derive(Debug, Default)]
pub(crate) struct Boundary {
    /// Crossings up to and including the requested one; 0 if none was requested.
    left: AtomicU64,
}

/// The instance ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ended on request where control passes to or from the host")]
pub(crate) struct Ended;

impl Boundary {
    /// Requests the end at the `crossing`th crossing from now; 0 for none.
    pub(crate) fn arm(&self, crossing: u64) {
        self.left.store(crossing, Ordering::Relaxed);
    }

    /// Counts a crossing.
    pub(crate) fn cross(&self) -> Result<(), Ended> {
        if self.left.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        // A spare that is being made may cross at the same moment.
        let less = |left: u64| left.checked_sub(1);
        match self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
        {
            Ok(1) => Err(Ended),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_crossing_is_the_end() {
        let boundary = Boundary::default();
        assert_eq!(boundary.cross(), Ok(()));
        boundary.arm(3);
        let crossed: Vec<_> = (0..5).map(|_| boundary.cross().is_ok()).collect();
        assert_eq!(crossed, [true, true, false, true, true]);
    }
}
