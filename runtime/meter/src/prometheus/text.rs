//! Lines of the exposition format: names, labels and values.

use std::fmt::{self, Display, Write};

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        })
    }
}

/// A value that is written exactly.
#[derive(Clone, Copy)]
pub(super) enum Value {
    Count(u64),
    /// Nanoseconds, shown as seconds.
    Nanos(u64),
    /// In ten thousandths, shown as a ratio.
    Ratio(u32),
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Count(count) => count.fmt(f),
            Value::Nanos(nanos) => decimal(f, nanos / 1_000_000_000, nanos % 1_000_000_000, 9),
            Value::Ratio(parts) => {
                decimal(f, u64::from(parts / 10_000), u64::from(parts % 10_000), 4)
            }
        }
    }
}

/// Writes a decimal number without zeros at the end.
fn decimal(f: &mut fmt::Formatter<'_>, whole: u64, fraction: u64, places: usize) -> fmt::Result {
    if fraction == 0 {
        return whole.fmt(f);
    }
    let fraction = format!("{fraction:0places$}");
    write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
}

/// The text in the making.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// Starts a family; `help` has no line end and no backslash.
    pub(super) fn family(&mut self, name: &str, help: &str, kind: Kind) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: Value) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, text)| format!("{label}=\"{}\"", escape(text)))
            .collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes everything");
    }
}

/// A label's value: backslash, quote and line end are the three that are escaped.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
