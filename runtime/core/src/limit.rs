//! How many requests and bytes a second an export may ask for, and how much memory its
//! clients may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::pool::Pool;
use crate::settings::nanoseconds;

/// The rates that an export may use. `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests a second.
    pub iops: Option<u64>,
    /// Bytes read, written, discarded or zeroed a second.
    pub bytes: Option<u64>,
    /// The time that may be saved up: after a rest so long, this much of both may be asked
    /// for at once.
    pub burst: Duration,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            iops: None,
            bytes: None,
            burst: Duration::from_secs(1),
        }
    }
}

/// The limit of one export, for all clients that it has together.
///
/// A request is let through while what was let through before it is paid for, or
/// could be within the burst (the generic cell rate algorithm, ITU-T I.371): one
/// that is larger than a burst passes, and those behind it wait.
///
/// It is asked twice for each request, by the one thread that serves the export, and
/// changed and read by others, without a lock: each number is whole by itself, and a
/// request that passes while the rates change pays by the old or by the new ones.
#[derive(Debug)]
pub struct Limit {
    name: String,
    pool: Pool,
    /// How long half a request may take, in nanoseconds.
    half_request: AtomicU64,
    /// [`Rates::iops`], or [`NONE`].
    iops: AtomicU64,
    /// [`Rates::bytes`], or [`NONE`].
    bytes: AtomicU64,
    /// [`Rates::burst`] in nanoseconds.
    burst: AtomicU64,
    /// When all requests so far are paid for, in nanoseconds of the monotonic clock.
    requests_paid: AtomicU64,
    /// When all bytes so far are paid for, in the same way.
    bytes_paid: AtomicU64,
    totals: Counters,
}

/// The value that stands for no rate.
const NONE: u64 = u64::MAX;

/// The counters behind [`Totals`].
#[derive(Debug, Default)]
struct Counters {
    clients: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    limited_ns: AtomicU64,
}

/// Bytes that the clients of an export may hold beyond what each of them may, unless that is
/// set.
const MEMORY: usize = 64 << 20;

/// How long half a request may take unless that is set, in nanoseconds.
pub(crate) const HALF_REQUEST: u64 = 30_000_000_000;

/// The totals of a limit so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Clients attached now.
    pub clients: u64,
    /// Requests let through.
    pub requests: u64,
    /// Bytes that they asked for.
    pub bytes: u64,
    /// Time that clients waited for it, in nanoseconds.
    pub limited_ns: u64,
}

const SECOND: u64 = 1_000_000_000;

impl Limit {
    /// Makes the limit of an export without a name.
    pub fn new(rates: Rates) -> Self {
        Self::of("", rates)
    }

    /// Makes the limit of the export `name`. Its clients may hold 64 MiB together, and take
    /// 30 s over a request, until that is set.
    pub fn of(name: &str, rates: Rates) -> Self {
        let limit = Self {
            name: name.to_owned(),
            pool: Pool::new(MEMORY),
            half_request: AtomicU64::new(HALF_REQUEST),
            iops: AtomicU64::new(NONE),
            bytes: AtomicU64::new(NONE),
            burst: AtomicU64::new(0),
            requests_paid: AtomicU64::new(0),
            bytes_paid: AtomicU64::new(0),
            totals: Counters::default(),
        };
        limit.set(rates);
        limit
    }

    /// The export's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The memory that its clients share.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sets how long a client may take to send the next 64 KiB of a request that it has
    /// begun, or the rest of it.
    pub fn set_half_request(&self, time: Duration) {
        let time = nanoseconds(time);
        self.half_request.store(time, Ordering::Relaxed);
    }

    pub(crate) fn half_request(&self) -> u64 {
        self.half_request.load(Ordering::Relaxed)
    }

    /// The rates that it lets through.
    pub fn rates(&self) -> Rates {
        Rates {
            iops: rate(&self.iops),
            bytes: rate(&self.bytes),
            burst: Duration::from_nanos(self.burst.load(Ordering::Relaxed)),
        }
    }

    /// Sets other rates. What was saved up or is owed is forgotten.
    pub fn set(&self, rates: Rates) {
        let store = |to: &AtomicU64, value| to.store(value, Ordering::Relaxed);
        store(&self.iops, rates.iops.unwrap_or(NONE));
        store(&self.bytes, rates.bytes.unwrap_or(NONE));
        store(&self.burst, nanoseconds(rates.burst));
        store(&self.requests_paid, 0);
        store(&self.bytes_paid, 0);
    }

    /// When the next request may pass; not after `now` if it may at once.
    pub(crate) fn opens(&self, now: u64) -> u64 {
        if rate(&self.iops).is_none() && rate(&self.bytes).is_none() {
            return now;
        }
        let [requests, bytes, burst] = [&self.requests_paid, &self.bytes_paid, &self.burst]
            .map(|number| number.load(Ordering::Relaxed));
        requests.max(bytes).saturating_sub(burst)
    }

    /// Charges for a request that passes.
    pub(crate) fn charge(&self, bytes: u64, now: u64) {
        self.totals.requests.fetch_add(1, Ordering::Relaxed);
        self.totals.bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(iops) = rate(&self.iops) {
            pay(&self.requests_paid, now, cost(1, iops));
        }
        if let Some(rate) = rate(&self.bytes) {
            pay(&self.bytes_paid, now, cost(bytes, rate));
        }
    }

    /// The totals so far.
    pub fn totals(&self) -> Totals {
        let Counters {
            clients,
            requests,
            bytes,
            limited_ns,
        } = &self.totals;
        let [clients, requests, bytes, limited_ns] =
            [clients, requests, bytes, limited_ns].map(|counter| counter.load(Ordering::Relaxed));
        Totals {
            clients,
            requests,
            bytes,
            limited_ns,
        }
    }

    /// Adds the time that a client waited for the limit.
    pub(crate) fn waited(&self, nanoseconds: u64) {
        let waited = &self.totals.limited_ns;
        waited.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

fn rate(number: &AtomicU64) -> Option<u64> {
    let number = number.load(Ordering::Relaxed);
    (number != NONE).then_some(number)
}

/// Adds a cost to be paid for, from `now` on if nothing is owed.
fn pay(paid: &AtomicU64, now: u64, cost: u64) {
    let more = |paid: u64| Some(paid.max(now).saturating_add(cost));
    // The closure always has a value.
    let _ = paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
}

/// One client that is attached to the limit.
pub(crate) struct Attached(Arc<Limit>);

impl Attached {
    pub(crate) fn to(limit: Arc<Limit>) -> Self {
        limit.totals.clients.fetch_add(1, Ordering::Relaxed);
        Self(limit)
    }
}

impl std::ops::Deref for Attached {
    type Target = Limit;

    fn deref(&self) -> &Limit {
        &self.0
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.0.totals.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The time for `count` at this rate, in nanoseconds.
fn cost(count: u64, rate: u64) -> u64 {
    let cost = u128::from(count) * u128::from(SECOND) / u128::from(rate.max(1));
    // An hour for one request is as good as for ever.
    u64::try_from(cost).unwrap_or(u64::MAX).min(3600 * SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the requests of `bytes` that pass within `time`, if there is always one.
    fn passed(limit: &Limit, bytes: u64, time: u64) -> u64 {
        let (mut now, end, mut count) = (SECOND, SECOND + time, 0);
        while now < end {
            let opens = limit.opens(now);
            if opens > now {
                now = opens;
                continue;
            }
            limit.charge(bytes, now);
            count += 1;
        }
        count
    }

    #[test]
    fn requests_come_at_their_rate_after_a_burst() {
        let rates = Rates {
            iops: Some(1000),
            burst: Duration::from_millis(100),
            ..Rates::default()
        };
        // Ten seconds' worth, the burst, and the one that finds all of that paid.
        let count = passed(&Limit::new(rates), 4096, 10 * SECOND);
        assert!((10_100..=10_102).contains(&count), "{count}");
    }

    #[test]
    fn bytes_come_at_their_rate_also_in_large_requests() {
        let rates = Rates {
            bytes: Some(1 << 20),
            burst: Duration::from_millis(10),
            ..Rates::default()
        };
        let count = passed(&Limit::new(rates), 4 << 20, 40 * SECOND);
        assert!((10..=11).contains(&count), "{count}");
    }

    #[test]
    fn without_rates_everything_passes_and_rates_can_change() {
        let limit = Limit::new(Rates::default());
        for _ in 0..1000 {
            assert!(limit.opens(5) <= 5);
            limit.charge(1 << 40, 5);
        }
        let rates = Rates {
            iops: Some(1),
            burst: Duration::ZERO,
            ..Rates::default()
        };
        limit.set(rates);
        assert_eq!(limit.rates(), rates);
        limit.charge(1, SECOND);
        assert_eq!(limit.opens(SECOND), 2 * SECOND);
    }
}
