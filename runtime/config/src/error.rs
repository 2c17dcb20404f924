//! Errors of a configuration: one line that names the place.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

/// Why a configuration was refused. Its `Display` is one line:
/// `FILE:LINE:COLUMN: KEY: what is wrong`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The place of the error.
    pub place: Place,
    /// The dotted key it concerns, such as `vcp.disk0.cpu.share`; empty when
    /// the text is no TOML at all, or when `place` says it all.
    pub key: String,
    /// The problem, and what is expected.
    pub message: String,
}

/// The place of something in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a configuration file.
    File {
        /// The path, as the operator named it.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
    },
    /// A configuration file that cannot be read.
    Unreadable(PathBuf),
    /// On the command line: the option or the placeholder of its argument, such
    /// as `--link` or `MODULE`.
    Argument(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", OneLine(&path.to_string_lossy()))
            }
            Place::Unreadable(path) => OneLine(&path.to_string_lossy()).fmt(f),
            Place::Argument(argument) => OneLine(argument).fmt(f),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", OneLine(&self.key))?;
        }
        OneLine(&self.message).fmt(f)
    }
}

impl std::error::Error for ConfigError {}

/// Text that may come from outside, as part of a one-line message: control
/// characters, line ends among them, are escaped.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(char::is_control) {
            let control = part.chars().next_back().filter(|c| c.is_control());
            f.write_str(&part[..part.len() - control.map_or(0, char::len_utf8)])?;
            if let Some(control) = control {
                write!(f, "{}", control.escape_default())?;
            }
        }
        Ok(())
    }
}

/// The longest piece of a wrong value that an error repeats, in characters.
const QUOTED: usize = 64;

/// A value that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Invalid {
    /// The expected values, as a continuation of "expected …".
    pub expected: Cow<'static, str>,
    /// The value found, quoted, shortened and without control characters.
    pub found: String,
}

impl Invalid {
    /// `found` is repeated in the message, so it must not be a secret.
    pub(crate) fn new(expected: impl Into<Cow<'static, str>>, found: &str) -> Self {
        Self {
            expected: expected.into(),
            found: quote(found),
        }
    }
}

/// Quotes foreign text for a one-line message.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

/// ` (did you mean "…"?)` when one of `known` is close to `name`, else nothing.
pub(crate) fn did_you_mean(name: &str, known: &[&str]) -> String {
    // Long garbage resembles no key, and comparing takes quadratic time.
    if name.len() > QUOTED {
        return String::new();
    }
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .map(|(_, candidate)| format!(" (did you mean \"{candidate}\"?)"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_on_one_line() {
        let error = ConfigError {
            place: Place::Argument("a\nb".into()),
            key: "vcp.\"x\ry\"".into(),
            message: "end\0".into(),
        };
        assert_eq!(error.to_string(), "a\\nb: vcp.\"x\\ry\": end\\u{0}");
        assert_eq!(OneLine("plain ü").to_string(), "plain ü");
    }
}
