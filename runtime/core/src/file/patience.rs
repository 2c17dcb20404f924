//! How long a VCP may wait for files in one call.
//!
//! A file operation takes as long as the storage takes, which is not the VCP's doing, and
//! nothing else runs on its thread meanwhile. So a few operations for each request that
//! it was given cost it nothing; the time of those beyond counts as its own, and a call
//! that goes on and on with them ends as any that takes too long.

use std::time::Duration;

use crate::clock::now;

/// Operations that are free in every call.
const FREE: usize = 16;
/// Further free operations for each request: what it asks for may lie in several places.
const FREE_PER_REQUEST: usize = 8;

/// The patience that is left in this call.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    free: usize,
    /// Nanoseconds for operations beyond those.
    left: u64,
    began: u64,
}

/// The call waited for files for too long.
#[derive(Debug, thiserror::Error)]
#[error("it waited too long for files in one call")]
pub(crate) struct Spent;

impl Patience {
    /// The patience of a call with so many requests and a limit on its own time.
    pub(crate) fn of_call(requests: usize, limit: Duration) -> Self {
        Self {
            free: FREE + requests.saturating_mul(FREE_PER_REQUEST),
            left: u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX),
            began: 0,
        }
    }

    /// Begins an operation.
    pub(super) fn begin(&mut self) {
        // A free operation needs no clock.
        if self.free == 0 {
            self.began = now();
        }
    }

    /// Ends an operation.
    pub(super) fn end(&mut self) -> Result<(), Spent> {
        if let Some(free) = self.free.checked_sub(1) {
            self.free = free;
            return Ok(());
        }
        let took = now().saturating_sub(self.began);
        self.left = self.left.checked_sub(took).ok_or(Spent)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(patience: &mut Patience, takes: Duration) -> Result<(), Spent> {
        patience.begin();
        std::thread::sleep(takes);
        patience.end()
    }

    #[test]
    fn a_few_are_free_however_long_they_take() {
        let mut patience = Patience::of_call(1, Duration::ZERO);
        for _ in 0..FREE + FREE_PER_REQUEST {
            operation(&mut patience, Duration::from_millis(2)).unwrap();
        }
        assert!(operation(&mut patience, Duration::from_millis(2)).is_err());
    }

    #[test]
    fn those_beyond_have_the_time_of_the_call() {
        let mut patience = Patience::of_call(0, Duration::from_millis(60));
        for _ in 0..FREE {
            operation(&mut patience, Duration::ZERO).unwrap();
        }
        let mut count = 0;
        while operation(&mut patience, Duration::from_millis(10)).is_ok() {
            count += 1;
        }
        assert!((1..6).contains(&count), "{count}");
    }
}
