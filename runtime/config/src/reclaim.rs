//! Options of `[host]`: precautions that let the kernel write memory back through the
//! process, and core dumps.

use crate::error::did_you_mean;

/// Options of the host's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostOptions {
    /// `memory-lock`: keep its memory from being swapped out or dropped; `None`: once a
    /// kernel device is served.
    pub memory_lock: Option<bool>,
    /// `io-flusher`: its allocations must not wait for writing back; `None`: once a
    /// kernel device is served.
    pub io_flusher: Option<bool>,
    /// `oom-score-adjust`: -1000 to 1000; `None`: -1000 once a kernel device is served.
    pub oom_score_adjust: Option<i16>,
    /// `core-dumps`: the kernel may write the memory of the process, and with it
    /// secrets, to a file when it crashes.
    pub core_dumps: bool,
}

impl HostOptions {
    /// The keys of the table and of the command line.
    pub(crate) const KEYS: [&str; 4] = [
        "memory-lock",
        "io-flusher",
        "oom-score-adjust",
        "core-dumps",
    ];

    /// The allowed values of `oom-score-adjust`.
    pub(crate) const SCORES: std::ops::RangeInclusive<i16> = -1000..=1000;

    /// Parses `KEY=VALUE,…`, as `vcp run --host` has it.
    pub(crate) fn parse(words: &str) -> Result<Self, String> {
        let mut options = Self::default();
        let mut seen = Vec::new();
        for word in words.split(',') {
            let keys = &Self::KEYS;
            let Some((key, value)) = word.split_once('=') else {
                return Err(format!("expected KEY=VALUE, found {}", quote(word)));
            };
            if !keys.contains(&key) {
                let hint = did_you_mean(key, keys);
                let known = keys.join(", ");
                return Err(format!(
                    "{key}: unknown key{hint}; expected one of: {known}"
                ));
            }
            if seen.contains(&key) {
                return Err(format!("{key}: given twice"));
            }
            seen.push(key);
            options.set(key, value).map_err(|expected| {
                format!("{key}: expected {expected}, found {}", quote(value))
            })?;
        }
        Ok(options)
    }

    /// Sets an option; the error says what was expected.
    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "memory-lock" => self.memory_lock = Some(yes(value)?),
            "io-flusher" => self.io_flusher = Some(yes(value)?),
            "core-dumps" => self.core_dumps = yes(value)?,
            _ => {
                let score = value.parse().ok();
                let score = score.filter(|score| Self::SCORES.contains(score));
                self.oom_score_adjust = Some(score.ok_or("a number from -1000 to 1000")?);
            }
        }
        Ok(())
    }
}

fn yes(value: &str) -> Result<bool, &'static str> {
    match value {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("yes or no"),
    }
}

fn quote(text: &str) -> String {
    crate::error::quote(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read() {
        let options = HostOptions::parse("memory-lock=yes,oom-score-adjust=-1000").unwrap();
        assert_eq!(options.memory_lock, Some(true));
        assert_eq!(options.io_flusher, None);
        assert_eq!(options.oom_score_adjust, Some(-1000));
        let options = HostOptions::parse("io-flusher=no,core-dumps=true").unwrap();
        assert_eq!(options.io_flusher, Some(false));
        assert!(options.core_dumps);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (words, named) in [
            ("memory-lock", "KEY=VALUE"),
            ("memory-lok=yes", "did you mean \"memory-lock\""),
            ("memory-lock=maybe", "yes or no"),
            ("oom-score-adjust=-1001", "from -1000 to 1000"),
            ("core-dumps=no,core-dumps=no", "given twice"),
        ] {
            let error = HostOptions::parse(words).unwrap_err();
            assert!(error.contains(named), "{words}: {error}");
        }
    }
}
