//! Lines about what many clients do wrong together, summed up. What one client does is
//! limited in the log, by who it is; of these nobody can say who they were.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

/// For how long the same is only counted.
const PERIOD: Duration = Duration::from_secs(10);

/// What is told of the same kind of event: the first at once, those that follow
/// within [`PERIOD`] as one number.
#[derive(Debug)]
pub(crate) struct Tally {
    /// What happened, for the sum.
    what: &'static str,
    /// How many were not told in the period under way; `None`: no period is.
    untold: Mutex<Option<u64>>,
}

impl Tally {
    pub(crate) fn new(what: &'static str) -> Arc<Self> {
        Arc::new(Self {
            what,
            untold: Mutex::new(None),
        })
    }

    /// Counts one. Whether it is to be told now: then [`Tally::close`] is due when the
    /// period is over.
    fn count(&self) -> bool {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *untold {
            None => {
                *untold = Some(0);
                true
            }
            Some(count) => {
                *count += 1;
                false
            }
        }
    }

    /// Ends a period; how many were not told in it.
    fn close(&self) -> u64 {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.take().unwrap_or(0)
    }

    /// Tells of one by `tell`, or counts it. Called on a tokio runtime.
    pub(crate) fn note(self: &Arc<Self>, tell: impl FnOnce()) {
        if !self.count() {
            return;
        }
        tell();
        let tally = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(PERIOD).await;
            match tally.close() {
                0 => {}
                count => warn!(count, "more clients: {}", tally.what),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_the_rest_counted() {
        let tally = Tally::new("x");
        assert!(tally.count());
        assert!(!tally.count());
        assert!(!tally.count());
        assert_eq!(tally.close(), 2);
        assert!(tally.count(), "a period of its own");
        assert_eq!(tally.close(), 0);
    }
}
