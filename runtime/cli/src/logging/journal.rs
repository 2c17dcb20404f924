//! Lines for the journal of systemd: each begins with its priority, as sd-daemon(3) says,
//! and has neither time nor level, which the journal has of its own.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::LazyLock;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// The variable by which the service manager says that a stream goes to the journal.
const VARIABLE: &str = "JOURNAL_STREAM";

static STDERR: LazyLock<bool> = LazyLock::new(|| {
    let named = std::env::var(VARIABLE).ok();
    named.is_some_and(|named| is_stream(&named, rustix::stdio::stderr()))
});

/// Whether standard error goes to the journal.
pub(super) fn is_stderr() -> bool {
    *STDERR
}

/// Whether a file has this device and inode, `DEVICE:INODE` in decimal. The variable is
/// inherited by processes whose output goes elsewhere (systemd.exec(5)).
fn is_stream(named: &str, file: impl AsFd) -> bool {
    let Some((device, inode)) = named.split_once(':') else {
        return false;
    };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else {
        return false;
    };
    rustix::fs::fstat(file).is_ok_and(|found| (found.st_dev, found.st_ino) == (device, inode))
}

/// The priority of syslog(3) that corresponds to a level.
pub(super) fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// The text with its priority before each line, and a newline at the end.
pub(super) fn prefixed(level: Level, text: &str) -> String {
    let priority = priority(level);
    let lines = text.lines().map(|line| format!("<{priority}>{line}\n"));
    lines.collect()
}

/// The format of an event, for the journal or for other readers of standard error.
pub(super) struct Form {
    journal: bool,
    elsewhere: Format<Full>,
}

impl Form {
    /// Chooses the format for the journal or not.
    pub(super) fn of(journal: bool) -> Self {
        Self {
            journal,
            elsewhere: Format::default(),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut to: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if !self.journal {
            return self.elsewhere.format_event(context, to, event);
        }
        let metadata = event.metadata();
        let mut text = String::new();
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(|s| s.from_root())
        {
            text += span.name();
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                text += &format!("{{{fields}}}");
            }
            text += ": ";
        }
        text += &format!("{}: ", metadata.target());
        context.format_fields(Writer::new(&mut text), event)?;
        to.write_str(&prefixed(*metadata.level(), &text))
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::fs::MetadataExt as _;
    use std::sync::Arc;

    use tracing_subscriber::prelude::*;

    use super::*;

    #[test]
    fn the_stream_is_the_one_of_this_device_and_inode() {
        let file = tempfile::tempfile().unwrap();
        let found = file.metadata().unwrap();
        let (device, inode) = (found.st_dev(), found.st_ino());
        assert!(is_stream(&format!("{device}:{inode}"), &file));
        for other in [
            format!("{device}:{}", inode + 1),
            format!("{}:{inode}", device + 1),
            format!("{device}"),
            format!("{device}:{inode}:"),
            String::new(),
        ] {
            assert!(!is_stream(&other, &file), "{other}");
        }
    }

    #[test]
    fn every_line_has_its_priority() {
        assert_eq!(prefixed(Level::ERROR, "one\ntwo\n"), "<3>one\n<3>two\n");
        assert_eq!(prefixed(Level::WARN, "one"), "<4>one\n");
        assert_eq!(prefixed(Level::TRACE, "one"), "<7>one\n");
    }

    /// The text written for an event.
    fn written(journal: bool) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(super::super::format::Fields)
            .event_format(Form::of(journal))
            .with_ansi(false)
            .with_writer(Arc::new(file.reopen().unwrap()));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(vcp = "disk", "it\nserves");
        });
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn the_journal_gets_no_time_and_no_level() {
        let line = "vcp::logging::journal::tests: it\\nserves vcp=\"disk\"\n";
        assert_eq!(written(true), format!("<6>{line}"));
        let elsewhere = written(false);
        assert!(
            elsewhere.ends_with(&format!("Z  INFO {line}")),
            "{elsewhere}"
        );
    }
}
