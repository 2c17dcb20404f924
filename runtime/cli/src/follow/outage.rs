//! The outage of a VCP, from the first message about it until the VCP serves again.

use std::time::{Duration, Instant};

use crate::logging::Shown;

/// The outage of a VCP, while there is one.
#[derive(Debug, Default)]
pub(super) struct Outage {
    since: Option<Instant>,
    /// The reason that was told last.
    told: Option<String>,
}

impl Outage {
    /// Notes why it can't serve, at least in part; returns whether the reason is new.
    pub(super) fn reason(&mut self, now: Instant, why: &str) -> bool {
        self.begin(now);
        let news = self.told.as_deref() != Some(why);
        self.told = Some(why.to_owned());
        news
    }

    /// Notes that it does not serve from now on.
    pub(super) fn begin(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Notes that it serves, and returns how long the outage lasted, if there was one.
    pub(super) fn end(&mut self, now: Instant) -> Option<Duration> {
        let since = std::mem::take(self).since?;
        Some(now.saturating_duration_since(since))
    }
}

/// Logs that a device can't serve for now.
pub(super) fn waits(vcp: &str, why: &str) {
    tracing::warn!(vcp, "waiting: {}", Shown(why));
}

/// Logs the end of an outage.
pub(super) fn over(vcp: &str, lasted: Duration) {
    tracing::info!(vcp, "serves again after {}", length(lasted));
}

/// A time as people say it: in its largest unit, and the next one.
fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..60 => format!("{:.1} s", (time.as_millis() / 100) as f64 / 10.0),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_lasts_from_the_first_reason_to_the_next_ready() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut outage = Outage::default();
        assert_eq!(outage.end(at(0)), None, "there was none");
        assert!(outage.reason(at(10), "no answer"));
        assert!(!outage.reason(at(12), "no answer"), "that is known");
        assert!(outage.reason(at(14), "connection refused"));
        outage.begin(at(15));
        assert_eq!(outage.end(at(17)), Some(Duration::from_secs(7)));
        assert_eq!(outage.end(at(18)), None, "once is enough");
        assert!(
            outage.reason(at(20), "connection refused"),
            "another outage"
        );
    }

    #[test]
    fn times_are_told_in_two_units() {
        for (millis, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (12_399, "12.3 s"),
            (59_999, "59.9 s"),
            (200_000, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(length(Duration::from_millis(millis)), text);
        }
    }
}
