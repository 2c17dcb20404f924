//! Small files of a `/sys`-like tree, read with a bound. The reader says what made no sense
//! and goes on; it never fails.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::list::CpuSet;

/// The longest file that is read: a list of every other one of 8192 CPUs has
/// some 20 kB.
const MAX_BYTES: u64 = 64 * 1024;

/// The most oddities that are kept.
const MAX_ODDITIES: usize = 16;

/// A directory tree and what was odd about it.
pub(crate) struct Tree {
    root: PathBuf,
    oddities: Vec<String>,
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            oddities: Vec::new(),
        }
    }

    /// Notes something that makes no sense.
    pub(crate) fn odd(&mut self, what: String) {
        if self.oddities.len() < MAX_ODDITIES {
            self.oddities.push(what);
        }
    }

    /// The oddities that were noted.
    pub(crate) fn into_oddities(self) -> Vec<String> {
        self.oddities
    }

    /// The text of a file without its last newline; `None` if it is missing, too
    /// long or no text.
    pub(crate) fn text(&mut self, path: &str) -> Option<String> {
        let file = File::open(self.root.join(path)).ok()?;
        let mut bytes = Vec::new();
        // Attributes of a CPU that was just taken offline fail to read.
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8(bytes)
            .ok()
            .filter(|text| text.len() as u64 <= MAX_BYTES);
        if text.is_none() {
            self.odd(format!("{path}: not a short text"));
        }
        text.map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// A CPU list; `None` if it is missing or makes no sense.
    pub(crate) fn cpus(&mut self, path: &str) -> Option<CpuSet> {
        let text = self.text(path)?;
        match text.parse() {
            Ok(set) => Some(set),
            Err(error) => {
                self.odd(format!("{path}: {error}"));
                None
            }
        }
    }

    /// A number; `None` if it is missing, negative (the kernel's -1 for unknown)
    /// or makes no sense.
    pub(crate) fn number<T: FromStr>(&mut self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// The numbers N of the entries `PREFIXN` of a directory, ascending, of the
    /// first `most` entries.
    pub(crate) fn numbered(&self, path: &str, prefix: &str, most: usize) -> Vec<usize> {
        let Ok(entries) = std::fs::read_dir(self.root.join(path)) else {
            return Vec::new();
        };
        let number = |name: &str| -> Option<usize> {
            let digits = name.strip_prefix(prefix)?;
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            digits.parse().ok().filter(|_| plain)
        };
        let mut numbers: Vec<_> = entries
            .take(most)
            .filter_map(|entry| number(entry.ok()?.file_name().to_str()?))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }
}
