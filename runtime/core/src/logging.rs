//! What a VCP logs, on its way to `tracing`: bounded in length and rate, and
//! with nothing in it that a terminal would obey.
//!
//! What it writes to its standard output and standard error is logged too, line by
//! line. The last of what it complained of is kept for its crash report: when it
//! traps, that is why.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bindings::log;
use crate::bucket::Bucket;
use crate::lines::Lines;

/// Longest message, in bytes.
pub(crate) const MAX_LENGTH: usize = 4096;
/// Messages in a burst, and how many come back each second.
const BURST: u32 = 256;
const PER_SECOND: u32 = 64;
/// Longest line of news or of a backtrace, in bytes.
const MAX_LINE: usize = 1024;
/// Longest text of others that a message of the host's quotes, in bytes.
const MAX_QUOTED: usize = 200;
/// Lines that are kept for a crash report.
const LAST_WORDS: usize = 16;

/// A stream that a guest writes to beside its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error, where language runtimes say what they die of.
    Err,
}

/// The log of one instance. Its streams share it.
#[derive(Clone)]
pub(crate) struct Log {
    logger: Arc<Mutex<Logger>>,
    /// It complained of something in this call.
    complained: Arc<AtomicBool>,
}

impl Log {
    pub(crate) fn new(name: Arc<str>, generation: u32) -> Self {
        Self {
            logger: Arc::new(Mutex::new(Logger::new(name, generation))),
            complained: Arc::default(),
        }
    }

    /// Locks the logger, which is whole after any panic.
    fn logger(&self) -> MutexGuard<'_, Logger> {
        self.logger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs one message of the guest.
    pub(crate) fn write(&self, level: log::Level, message: &str) {
        if level == log::Level::Error {
            self.complained.store(true, Ordering::Relaxed);
        }
        self.logger().write(level, message);
    }

    /// Logs bytes that the guest wrote to a stream.
    pub(crate) fn stream(&self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Err {
            self.complained.store(true, Ordering::Relaxed);
        }
        self.logger().stream(stream, bytes);
    }

    /// Begins another call: what was said before has nothing to do with its end.
    pub(crate) fn begin(&self) {
        if self.complained.swap(false, Ordering::Relaxed) {
            self.logger().said.clear();
        }
    }

    /// What it complained of in this call, oldest first, with lines that have no end yet.
    pub(crate) fn last_words(&self) -> Vec<String> {
        let mut logger = self.logger();
        logger.finish();
        logger.said.iter().cloned().collect()
    }
}

struct Logger {
    name: Arc<str>,
    generation: u32,
    bucket: Bucket,
    dropped: u64,
    out: Lines,
    err: Lines,
    said: VecDeque<String>,
}

impl Logger {
    fn new(name: Arc<str>, generation: u32) -> Self {
        Self {
            name,
            generation,
            bucket: Bucket::new(BURST, PER_SECOND),
            dropped: 0,
            out: Lines::default(),
            err: Lines::default(),
            said: VecDeque::new(),
        }
    }

    fn admit(&mut self) -> bool {
        if !self.bucket.take() {
            self.dropped += 1;
            return false;
        }
        self.tell_of_dropped();
        true
    }

    fn tell_of_dropped(&mut self) {
        if self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            self.emit(
                log::Level::Warn,
                &format!("{dropped} messages dropped: more than the log takes"),
            );
        }
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

    fn write(&mut self, level: log::Level, message: &str) {
        if level == log::Level::Error {
            message.lines().for_each(|line| self.keep(line));
        }
        if self.admit() {
            self.emit(level, &clean(message));
        }
    }

    fn stream(&mut self, stream: Stream, bytes: &[u8]) {
        let mut lines = Vec::new();
        let most = LAST_WORDS;
        let beyond = self.lines(stream).take(bytes, most, &mut lines);
        for line in lines {
            self.line(stream, &line);
        }
        // More lines than that in one piece are no text for people.
        self.dropped += beyond;
    }

    fn line(&mut self, stream: Stream, line: &str) {
        if stream == Stream::Err {
            self.keep(line);
        }
        if self.admit() {
            self.emit(level_of(stream), &clean(line));
        }
    }

    fn lines(&mut self, stream: Stream) -> &mut Lines {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    /// Takes lines that have no end yet for whole ones.
    fn finish(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            if let Some(line) = self.lines(stream).rest() {
                if stream == Stream::Err {
                    self.keep(&line);
                }
                // One line for each stream of an instance is no flood.
                self.emit(level_of(stream), &clean(&line));
            }
        }
    }

    fn keep(&mut self, message: &str) {
        if self.said.len() == LAST_WORDS {
            self.said.pop_front();
        }
        self.said.push_back(line(message));
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        self.finish();
        self.tell_of_dropped();
    }
}

fn level_of(stream: Stream) -> log::Level {
    match stream {
        Stream::Out => log::Level::Info,
        Stream::Err => log::Level::Warn,
    }
}

/// Cuts text to [`MAX_LENGTH`] bytes without control characters. It is also for whatever
/// else a guest says that is shown to people.
pub(crate) fn clean(message: &str) -> String {
    cut(message, MAX_LENGTH)
}

/// As [`clean`], but shorter, for text that is kept until somebody reads it.
pub(crate) fn line(message: &str) -> String {
    cut(message, MAX_LINE)
}

/// As [`clean`], for a part of a message of the host's own. It says how much it left
/// out.
pub(crate) fn quoted(text: &str) -> String {
    let shown = cut(text, MAX_QUOTED);
    match text.len() - text.floor_char_boundary(MAX_QUOTED) {
        0 => shown,
        more => format!("{shown} … ({more} more bytes)"),
    }
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
        assert_eq!(quoted("a\nb"), "a\u{fffd}b");
        let long = quoted(&"x".repeat(500));
        assert!(long.ends_with("x … (300 more bytes)"), "{long}");
    }

    #[test]
    fn a_flood_is_dropped() {
        let mut logger = Logger::new("test".into(), 1);
        let admitted = (0..10_000).filter(|_| logger.admit()).count();
        assert!((256..400).contains(&admitted), "{admitted}");
        assert!(logger.dropped > 9_000);
    }

    #[test]
    fn last_words_are_those_of_this_call() {
        let log = Log::new("test".into(), 1);
        log.stream(Stream::Err, b"of the call before\n");
        log.begin();
        log.stream(Stream::Out, b"no complaint\n");
        log.write(log::Level::Warn, "nor this");
        log.stream(Stream::Err, b"thread panicked at x.rs:1\nwhy\nno end");
        log.write(log::Level::Error, "an error\nof two lines");
        let words = log.last_words();
        let said = [
            "thread panicked at x.rs:1",
            "why",
            "an error",
            "of two lines",
            "no end",
        ];
        assert_eq!(words, said);
    }

    #[test]
    fn last_words_are_few_and_survive_a_flood() {
        let log = Log::new("test".into(), 1);
        for n in 0..10_000 {
            log.stream(Stream::Err, format!("line {n}\n").as_bytes());
        }
        log.stream(Stream::Err, &[b'\n'; 5000]);
        log.stream(Stream::Err, &[b'x'; 50_000]);
        let words = log.last_words();
        assert_eq!(words.len(), LAST_WORDS);
        assert_eq!(words[LAST_WORDS - 2], "line 9999");
        assert_eq!(words[LAST_WORDS - 1].len(), MAX_LINE);
    }
}
