//! Lines about what many clients do wrong together, summed up. The log limits messages
//! about one client by its name, which does not help where clients have none.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

/// How long further events are only counted.
const PERIOD: Duration = Duration::from_secs(10);

/// A log of one kind of event: the first is told at once, and those that follow within
/// [`PERIOD`] as one number.
#[derive(Debug)]
pub(crate) struct Tally {
    /// A description of the event, for the sum.
    what: &'static str,
    /// The events not told in the current period; `None` if there is no period.
    untold: Mutex<Option<u64>>,
}

impl Tally {
    pub(crate) fn new(what: &'static str) -> Arc<Self> {
        Arc::new(Self {
            what,
            untold: Mutex::new(None),
        })
    }

    /// Counts an event and returns whether it is to be told now. If so, [`Tally::close`]
    /// is due when the period is over.
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

    /// Ends a period and returns how many events were not told in it.
    fn close(&self) -> u64 {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.take().unwrap_or(0)
    }

    /// Tells of an event by `tell`, or counts it. Called on a tokio runtime.
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
