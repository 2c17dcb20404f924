//! Logs to stderr, at the level that `VCP_LOG` gives.
//!
//! Logging never waits for a reader. Every line, and all other text for stderr, goes
//! through a queue to a thread that writes ([`output`]). Messages that others can cause
//! at will are limited ([`limit`]), and quoted text is shortened ([`text`],
//! [`mod@format`]). For the journal, lines have its format ([`journal`]).

mod filter;
mod format;
mod journal;
mod limit;
mod output;
mod text;
mod who;

use std::io::{self, IsTerminal as _};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime};

use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

use limit::Limiter;
use output::{Notices, Output};
pub(crate) use text::Shown;

/// The environment variable with a filter in the syntax of `tracing-subscriber`.
const VARIABLE: &str = "VCP_LOG";

/// How long the process may take at its end to write the remaining lines.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// How long it may take after a panic.
const AFTER_PANIC: Duration = Duration::from_millis(100);

static STDERR: LazyLock<Output> = LazyLock::new(Output::new);
static STDOUT: LazyLock<Output> = LazyLock::new(Output::new);
static LIMITER: LazyLock<Limiter> = LazyLock::new(Limiter::default);

/// Starts logging, at `default` unless the environment says otherwise. Nothing is
/// written before [`begin`].
pub(crate) fn start(default: &str) {
    let asked = std::env::var(VARIABLE).ok();
    let asked = asked.filter(|asked| !asked.is_empty());
    let (filter, wrong) = match asked.map(|asked| filter::of(&asked)) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(why)) => (default_filter(default), Some(why)),
        None => (default_filter(default), None),
    };
    let writing = tracing_subscriber::fmt::layer()
        .fmt_fields(format::Fields)
        .event_format(journal::Form::of(journal::is_stderr()))
        .with_writer(Lines)
        .with_ansi(io::stderr().is_terminal());
    let limiter: &'static Limiter = &LIMITER;
    tracing_subscriber::registry()
        .with(filter)
        .with(writing)
        .with(limiter)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name").to_owned();
        complain(&format!("thread {name}: {panic}"));
        let trace = std::backtrace::Backtrace::capture();
        if trace.status() == std::backtrace::BacktraceStatus::Captured {
            say(&format!("{trace}\n"));
        }
        // The process ends only with this thread; the others need not wait.
        if name == "main" {
            STDERR.finish(AFTER_PANIC);
        }
    }));
    if let Some(why) = wrong {
        tracing::warn!("{VARIABLE}: {}; it is \"{default}\" instead", Shown(&why));
    }
}

fn default_filter(default: &str) -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::new(default)
}

/// Starts the thread that writes to stderr. It inherits CPUs, priority and the like from
/// the calling thread, so this is called once these are settled.
pub(crate) fn begin() {
    STDERR.start(rustix::stdio::stderr(), Owed);
}

/// Reports an error the one way errors are reported: in one line on stderr.
pub(crate) fn complain(message: &str) {
    let line = message.trim_end().replace('\n', " ");
    // The journal has the program's name.
    let name = if journal::is_stderr() { "" } else { "vcp: " };
    say(&format!("{name}{line}\n"));
}

/// Writes an error that is not a message of the log.
fn say(text: &str) {
    let text = match journal::is_stderr() {
        true => journal::prefixed(Level::ERROR, text),
        false => text.to_owned(),
    };
    STDERR.say(text.into_bytes());
}

/// Writes `text` to stdout, without waiting for a reader.
pub(crate) fn announce(text: &str) {
    STDOUT.start(rustix::stdio::stdout(), Unheard);
    STDOUT.say(text.as_bytes().to_vec());
}

/// Writes the remaining lines, within a short time.
pub(crate) fn finish() {
    begin();
    STDOUT.finish(LAST_WORDS);
    STDERR.finish(LAST_WORDS);
}

/// The parts of the log that are missing: lines lost because nobody read them, and
/// messages suppressed because there were too many of their kind.
pub(crate) fn missing() -> (u64, u64) {
    (STDERR.lost(), LIMITER.left_out())
}

/// Notes that a notice is due.
fn nudge() {
    STDERR.nudge();
}

/// The writer for `tracing-subscriber`: each message is one write, and one line.
#[derive(Debug, Clone, Copy)]
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        STDERR.say(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

/// The log's notices about itself.
struct Owed;

impl Notices for Owed {
    fn due(&mut self, last: bool) -> Vec<String> {
        let due = LIMITER.due(Instant::now(), last).into_iter();
        due.map(|left_out| {
            let (level, target) = (left_out.metadata.level(), left_out.metadata.target());
            line(*level, target, &left_out.message)
        })
        .collect()
    }

    fn owes(&self) -> bool {
        LIMITER.owes()
    }

    fn lost(&self, count: u64) -> String {
        let message =
            format!("{count} lines of the log were lost: they could not be written in time");
        line(Level::WARN, "vcp::log", &message)
    }
}

/// Formats a line like a message of the log.
fn line(level: Level, target: &str, message: &str) -> String {
    if journal::is_stderr() {
        return journal::prefixed(level, &format!("{target}: {message}"));
    }
    let time = humantime::format_rfc3339_micros(SystemTime::now());
    format!("{time} {level:>5} {target}: {message}\n")
}

/// The notices of stdout: there are none.
struct Unheard;

impl Notices for Unheard {
    fn due(&mut self, _: bool) -> Vec<String> {
        Vec::new()
    }

    fn owes(&self) -> bool {
        false
    }

    fn lost(&self, _: u64) -> String {
        tracing::warn!("stdout: what this host serves could not be written there");
        String::new()
    }
}
