//! Limits how often similar messages are logged. Those that a client, a peer or a guest
//! can cause at will are limited by kind and by subject, and the rest is counted.
//! Messages of the levels `DEBUG` and `TRACE` were asked for, and a guest's log has a
//! limit of its own.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::who::{About, Who};

/// The most pairs of kind and subject that are told apart. Beyond that all subjects of a
/// kind count as one.
const MOST: usize = 256;
/// How often the number of suppressed messages is logged.
const REPORT: Duration = Duration::from_secs(10);
/// The log of guests: see `vcp-core`.
const GUESTS: &str = "vcp::guest";

/// A rate: messages allowed at once, and how many more each second.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: f64,
    per_second: f64,
}

/// The rate for messages about a client, which can be anyone who can connect.
const CLIENT: Rate = Rate {
    burst: 10.0,
    per_second: 0.2,
};
/// The rate for messages about something configured: a VCP, an export, a device; or a
/// process of this user, as only those reach the unix sockets.
const OWN: Rate = Rate {
    burst: 50.0,
    per_second: 1.0,
};
/// The rate for messages about nothing in particular, such as the result of a new
/// configuration with hundreds of parts.
const NOBODY: Rate = Rate {
    burst: 1000.0,
    per_second: 2.0,
};

/// The messages of one kind about one subject.
struct Entry {
    tokens: f64,
    refilled: Instant,
    left_out: u64,
    /// The first suppressed message.
    example: String,
    /// The time from which suppressed messages have not been reported.
    since: Instant,
    metadata: &'static Metadata<'static>,
}

type Table = HashMap<(Identifier, Who), Entry>;

/// The limiter, as a layer in front of the one that writes.
#[derive(Default)]
pub(super) struct Limiter {
    table: Mutex<Table>,
    left_out: AtomicU64,
    owes: AtomicBool,
}

/// A number of suppressed messages of a kind.
pub(super) struct LeftOut {
    pub(super) metadata: &'static Metadata<'static>,
    pub(super) message: String,
}

impl Limiter {
    /// The number of messages suppressed so far.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Whether suppressed messages are still to be reported by [`Limiter::due`].
    pub(super) fn owes(&self) -> bool {
        self.owes.load(Ordering::Relaxed)
    }

    /// The suppressed messages of each kind, where a report is due.
    pub(super) fn due(&self, now: Instant, all: bool) -> Vec<LeftOut> {
        // A panic may at worst leave one entry too many in the table.
        let Ok(mut table) = self.table.lock() else {
            return Vec::new();
        };
        let mut due = Vec::new();
        let mut owes = false;
        for ((_, who), entry) in table.iter_mut() {
            let time = now.saturating_duration_since(entry.since);
            if entry.left_out > 0 && (all || time >= REPORT) {
                due.push(entry.told(who, time));
                entry.left_out = 0;
            }
            owes |= entry.left_out > 0;
        }
        self.owes.store(owes, Ordering::Relaxed);
        due
    }

    /// Whether the message may be logged, and whether it is the first to be suppressed.
    fn admit(&self, event: &Event<'_>, now: Instant) -> (bool, bool) {
        let mut about = About::default();
        event.record(&mut about);
        let kind = event.metadata().callsite();
        // Logging never waits: a simultaneous message is let through.
        let Ok(mut table) = self.table.try_lock() else {
            return (true, false);
        };
        let who = about.who();
        let rate = who.rate();
        if table.len() >= MOST && !table.contains_key(&(kind.clone(), who.clone())) {
            forget_the_quiet(&mut table, now);
        }
        let room = table.len() < MOST || table.contains_key(&(kind.clone(), who.clone()));
        let who = if room { who } else { Who::Others };
        let entry = table
            .entry((kind, who))
            .or_insert_with(|| Entry::new(rate, now, event.metadata()));
        if entry.take(rate, now) {
            return (true, false);
        }
        if entry.left_out == 0 {
            entry.since = now;
            entry.example = about.message;
        }
        entry.left_out += 1;
        self.left_out.fetch_add(1, Ordering::Relaxed);
        (false, !self.owes.swap(true, Ordering::Relaxed))
    }
}

/// Forgets entries that would be treated like new ones.
fn forget_the_quiet(table: &mut Table, now: Instant) {
    table.retain(|(_, who), entry| {
        entry.refill(who.rate(), now);
        entry.left_out > 0 || entry.tokens < who.rate().burst
    });
}

impl Entry {
    fn new(rate: Rate, now: Instant, metadata: &'static Metadata<'static>) -> Self {
        Self {
            tokens: rate.burst,
            refilled: now,
            left_out: 0,
            example: String::new(),
            since: now,
            metadata,
        }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let time = now.saturating_duration_since(self.refilled);
        self.tokens = (self.tokens + time.as_secs_f64() * rate.per_second).min(rate.burst);
        self.refilled = now;
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.refill(rate, now);
        let passes = self.tokens >= 1.0;
        if passes {
            self.tokens -= 1.0;
        }
        passes
    }

    fn told(&self, who: &Who, time: Duration) -> LeftOut {
        let count = grouped(self.left_out);
        let from = match who {
            Who::Nobody => String::new(),
            Who::Client(name) | Who::Own(name) => format!(" from {name}"),
            Who::Others => " from others".to_owned(),
        };
        let seconds = time.as_secs().max(1);
        LeftOut {
            metadata: self.metadata,
            message: format!(
                "… {count} more like this{from} in the last {seconds} s: {}",
                self.example
            ),
        }
    }
}

impl Who {
    fn rate(&self) -> Rate {
        match self {
            Self::Nobody => NOBODY,
            Self::Client(_) | Self::Others => CLIENT,
            Self::Own(_) => OWN,
        }
    }
}

/// Writes `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl<S: Subscriber> Layer<S> for &'static Limiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == GUESTS {
            return true;
        }
        let (admitted, first) = self.admit(event, Instant::now());
        if first {
            super::nudge();
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use tracing_subscriber::prelude::*;

    use super::*;

    /// Counts the messages that come through.
    #[derive(Clone, Default)]
    struct Through(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Through {
        fn on_event(&self, _: &Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the limiter after the messages of `say`, and how many of these came
    /// through.
    fn limited(say: impl FnOnce()) -> (&'static Limiter, usize) {
        let limiter: &'static Limiter = Box::leak(Box::default());
        let through = Through::default();
        let subscriber = tracing_subscriber::registry()
            .with(through.clone())
            .with(limiter);
        tracing::subscriber::with_default(subscriber, say);
        (limiter, through.0.load(Ordering::Relaxed))
    }

    #[test]
    fn a_client_is_limited_by_address_and_not_by_port() {
        let (limiter, through) = limited(|| {
            for port in 1000..3000 {
                let client = format!("10.0.0.1:{port}");
                tracing::warn!(client, "refused during negotiation");
            }
            // Another client's messages still come through.
            tracing::warn!(client = "10.0.0.2:1", "refused during negotiation");
        });
        assert!((11..14).contains(&through), "{through}");
        assert_eq!(limiter.left_out() as usize, 2001 - through);
        assert!(limiter.owes());
        assert!(limiter.due(Instant::now(), false).is_empty(), "too early");
        let later = Instant::now() + REPORT;
        let due = limiter.due(later, false);
        let count = grouped(limiter.left_out());
        assert_eq!(due.len(), 1);
        let expected = format!(
            "… {count} more like this from tcp:10.0.0.1 in the last 10 s: refused during negotiation"
        );
        assert_eq!(due[0].message, expected);
        assert_eq!(*due[0].metadata.level(), Level::WARN);
        assert!(!limiter.owes());
        assert!(
            limiter.due(later + REPORT, true).is_empty(),
            "once is enough"
        );
    }

    #[test]
    fn memory_is_bounded_by_kinds_and_peers() {
        let (limiter, through) = limited(|| {
            for host in 0..100_000_u32 {
                let client = format!("{}:7", std::net::Ipv4Addr::from(host));
                tracing::warn!(client, "refused during negotiation");
            }
        });
        assert!(limiter.table.lock().unwrap().len() <= MOST + 1);
        assert!((MOST..2 * MOST).contains(&through), "{through}");
        let due = limiter.due(Instant::now(), true);
        assert!(
            due[0].message.contains(" from others in "),
            "{}",
            due[0].message
        );
    }

    #[test]
    fn what_nobody_else_brings_about_is_said() {
        let (limiter, through) = limited(|| {
            for n in 0..900 {
                tracing::info!("VCP {n}: started");
                tracing::debug!(client = "10.0.0.1:7", "asked for");
                tracing::info!(target: GUESTS, vcp = "disk", "has a limit already");
            }
        });
        assert_eq!((through, limiter.left_out()), (2700, 0));
    }

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(grouped(12), "12");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
