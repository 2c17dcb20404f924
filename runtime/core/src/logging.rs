//! What a VCP logs, on its way to `tracing`: bounded in length and rate, and
//! with nothing in it that a terminal would obey.

use crate::bindings::log;
use crate::bucket::Bucket;
use std::sync::Arc;

/// Longest message, in bytes.
const MAX_LENGTH: usize = 4096;
/// Messages in a burst, and how many come back each second.
const BURST: u32 = 256;
const PER_SECOND: u32 = 64;
/// Longest line of news or of a backtrace, in bytes.
const MAX_LINE: usize = 1024;

/// The log of one instance.
pub(crate) struct Logger {
    name: Arc<str>,
    generation: u32,
    bucket: Bucket,
    dropped: u64,
}

impl Logger {
    pub(crate) fn new(name: Arc<str>, generation: u32) -> Self {
        Self {
            name,
            generation,
            bucket: Bucket::new(BURST, PER_SECOND),
            dropped: 0,
        }
    }

    fn admit(&mut self) -> bool {
        if !self.bucket.take() {
            self.dropped += 1;
            return false;
        }
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            self.emit(
                log::Level::Warn,
                &format!("{dropped} messages dropped: more than the log takes"),
            );
        }
        true
    }

    fn emit(&self, level: log::Level, message: &str) {
        let (vcp, generation) = (&*self.name, self.generation);
        macro_rules! at {
            ($level:ident) => {
                tracing::event!(target: "vcp::guest", tracing::Level::$level, vcp, generation, "{message}")
            };
        }
        match level {
            log::Level::Error => at!(ERROR),
            log::Level::Warn => at!(WARN),
            log::Level::Info => at!(INFO),
            log::Level::Debug => at!(DEBUG),
            log::Level::Trace => at!(TRACE),
        }
    }
}

impl Logger {
    /// One message of the guest.
    pub(crate) fn write(&mut self, level: log::Level, message: &str) {
        if self.admit() {
            self.emit(level, &clean(message));
        }
    }
}

/// At most [`MAX_LENGTH`] bytes, and no control characters. Also for whatever
/// else a guest says that is shown to people.
pub(crate) fn clean(message: &str) -> String {
    cut(message, MAX_LENGTH)
}

/// As [`clean`], for what is kept until somebody reads it.
pub(crate) fn line(message: &str) -> String {
    cut(message, MAX_LINE)
}

fn cut(message: &str, most: usize) -> String {
    let end = message.floor_char_boundary(most);
    message[..end]
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_cleaned() {
        assert_eq!(clean("a\x1b[31mb\nc"), "a\u{fffd}[31mb\u{fffd}c");
        assert_eq!(clean(&"é".repeat(4000)).len(), MAX_LENGTH);
    }

    #[test]
    fn a_flood_is_dropped() {
        let mut logger = Logger::new("test".into(), 1);
        let admitted = (0..10_000).filter(|_| logger.admit()).count();
        assert!((256..400).contains(&admitted), "{admitted}");
        assert!(logger.dropped > 9_000);
    }
}
