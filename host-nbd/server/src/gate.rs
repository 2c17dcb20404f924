//! Admission to negotiation: when there are too many clients, some have to go.
//!
//! A client that keeps the server waiting costs it nothing until others want in. A
//! negotiation takes a few round trips, so whoever has made the server wait for
//! longer than [`GRACE`] altogether is no longer in the middle of one. At the limit a
//! newcomer takes the place of, in this order:
//!
//! 1. the newest of those that have sent nothing yet, for longer than that;
//! 2. of those that have, the one that has made the server wait longest, for longer
//!    than that: it sends byte by byte, or one option now and then, or it does not
//!    take the answers;
//! 3. the newest of those that have been waiting longer than that for an export that
//!    is not ready. They do no wrong, but most of them wait in vain;
//! 4. the oldest of those that have sent nothing yet;
//! 5. of the others the one that has made the server wait longest, if that is more than
//!    [`MOMENT`]: or many that say a little and are gone within the second, and come
//!    again, would keep everybody out.
//!
//! If there is none of these, all are in the middle of it, and the newcomer is closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// The longest that an honest client makes the server wait in a whole negotiation.
const GRACE: Duration = Duration::from_secs(1);

/// A time for which hardly any client that has something to say makes the server wait.
const MOMENT: Duration = Duration::from_millis(50);

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The client's, since then: to send, or to take what was sent.
    Client(Instant),
    /// An export's, since then: to become ready.
    Export(Instant),
}

/// A negotiation under way.
#[derive(Debug)]
struct Entry {
    /// Whether the client has sent something.
    spoken: bool,
    turn: Turn,
    /// The time for which it made the server wait before this turn.
    waited: Duration,
    task: Option<AbortHandle>,
}

impl Entry {
    /// How long it has made the server wait.
    fn waited(&self, now: Instant) -> Duration {
        match self.turn {
            Turn::Client(since) => self.waited + now.saturating_duration_since(since),
            Turn::Export(_) => self.waited,
        }
    }
}

/// The negotiations under way, by number: the newest has the highest.
#[derive(Debug, Default)]
struct Entries {
    table: BTreeMap<u64, Entry>,
    next: u64,
}

/// Admits clients; see the module.
#[derive(Debug)]
pub(crate) struct Gate {
    entries: Mutex<Entries>,
    /// Gives a permit for each served connection. Its own number is unlimited, because
    /// the limit may change while permits are taken.
    served: Arc<Semaphore>,
}

/// The outcome for a newcomer.
#[derive(Debug)]
pub(crate) enum Admission {
    /// There was room.
    Free(Place),
    /// Another had to go.
    Instead(Place),
    /// The newcomer was refused.
    Refused,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            entries: Mutex::default(),
            served: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic leaves nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a newcomer when there are less than `limit`, or in the place of another.
    pub(crate) fn admit(self: &Arc<Self>, limit: usize, now: Instant) -> Admission {
        let mut entries = self.entries();
        let full = entries.table.len() >= limit;
        if full {
            let Some(number) = whom_to_shed(&entries.table, now) else {
                return Admission::Refused;
            };
            if let Some(task) = entries.table.remove(&number).and_then(|entry| entry.task) {
                task.abort();
            }
        }
        let number = entries.next;
        entries.next += 1;
        let entry = Entry {
            spoken: false,
            turn: Turn::Client(now),
            waited: Duration::ZERO,
            task: None,
        };
        entries.table.insert(number, entry);
        let gate = Arc::clone(self);
        let place = Place { gate, number };
        match full {
            true => Admission::Instead(place),
            false => Admission::Free(place),
        }
    }

    /// Notes the task to abort when negotiation `number` has to go.
    pub(crate) fn held_by(&self, number: u64, task: AbortHandle) {
        // A negotiation that is already over has no entry any more.
        if let Some(own) = self.entries().table.get_mut(&number) {
            own.task = Some(task);
        }
    }

    /// Counts one more served connection, unless there are `limit` already.
    pub(crate) fn serve(&self, limit: usize) -> Option<OwnedSemaphorePermit> {
        // Permits are taken only under the lock, so that two connections cannot both get
        // the last.
        let _entries = self.entries();
        let taken = Semaphore::MAX_PERMITS - self.served.available_permits();
        if taken >= limit {
            return None;
        }
        Arc::clone(&self.served).try_acquire_owned().ok()
    }
}

/// Chooses the negotiation to end, by the rules of the module.
fn whom_to_shed(entries: &BTreeMap<u64, Entry>, now: Instant) -> Option<u64> {
    let old = |time: &Duration| *time >= GRACE;
    let waited = |number: &u64| entries[number].waited(now);
    let at_an_export = |entry: &Entry| match entry.turn {
        Turn::Export(since) => now.saturating_duration_since(since),
        Turn::Client(_) => Duration::ZERO,
    };
    let silent = || entries.iter().filter(|(_, e)| !e.spoken).map(|(n, _)| n);
    let long_silent = silent().rfind(|n| old(&waited(n)));
    let longest = || entries.keys().max_by_key(|n| waited(n));
    let slowest = || longest().filter(|n| old(&waited(n)));
    let at_exports = || entries.iter().filter(|(_, e)| old(&at_an_export(e)));
    let last_at_one = || at_exports().min_by_key(|(_, e)| at_an_export(e));
    long_silent
        .or_else(slowest)
        .or_else(|| last_at_one().map(|(n, _)| n))
        .or_else(|| silent().next())
        .or_else(|| longest().filter(|n| waited(n) > MOMENT))
        .copied()
}

/// A negotiation's place among those under way; it ends with the negotiation.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    number: u64,
}

impl Place {
    /// The number for [`Gate::held_by`].
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Changes the entry; there is none any more when the negotiation had to go.
    fn with(&self, change: impl FnOnce(&mut Entry)) {
        self.gate.entries().table.get_mut(&self.number).map(change);
    }

    /// Notes that the client has sent something.
    pub(crate) fn spoke(&self) {
        self.with(|own| own.spoken = true);
    }

    /// From now on the client waits for an export.
    pub(crate) fn exports_turn(&self) {
        let now = Instant::now();
        self.with(|own| {
            own.waited = own.waited(now);
            own.turn = Turn::Export(now);
        });
    }

    /// From now on it is the client's turn again.
    pub(crate) fn clients_turn(&self) {
        let now = Instant::now();
        self.with(|own| own.turn = Turn::Client(now));
    }

    /// Counts the connection as served, unless `limit` are.
    pub(crate) fn serve(&self, limit: usize) -> Option<OwnedSemaphorePermit> {
        self.gate.serve(limit)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.entries().table.remove(&self.number);
    }
}

#[cfg(test)]
mod tests;
