//! What came of the requests of one run.

use vcp_queue::Status;

/// Counts of one run; blocks are of [`super::content::BLOCK`] bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests submitted.
    pub submitted: u64,
    /// Answered as asked.
    pub ok: u64,
    /// Answered with an error, while the code in charge was not to be trusted.
    pub errors: u64,
    /// And while it was.
    pub trusted_errors: u64,
    /// Reads with wrong data, while the code in charge was not to be trusted.
    pub wrong_reads: u64,
    /// And while it was.
    pub trusted_wrong_reads: u64,
    /// Answers to no request.
    pub unknown: u64,
    /// The longest time to an answer, in nanoseconds.
    pub longest: u64,
    /// The first thing that should not have happened while all was to be trusted.
    pub first: Option<String>,
}

impl Tally {
    pub(super) fn error(&mut self, doubt: bool, status: Status, what: &str) {
        if doubt {
            self.errors += 1;
        } else {
            self.trusted_errors += 1;
            self.note(|| format!("{what} answered {status:?}"));
        }
    }

    pub(super) fn wrong_read(&mut self, doubt: bool, blocks: u32, what: &str) {
        if doubt {
            self.wrong_reads += 1;
        } else {
            self.trusted_wrong_reads += 1;
            self.note(|| format!("{what}: {blocks} blocks wrong"));
        }
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        self.first.get_or_insert_with(what);
    }

    /// The disk turned out to be spoilt by code that was not to be trusted: what
    /// was read of it since is that code's, too.
    pub fn excuse_reads(&mut self) {
        self.wrong_reads += std::mem::take(&mut self.trusted_wrong_reads);
        if self.innocent() {
            self.first = None;
        }
    }

    /// Requests were to be refused after a time that was over: errors are what was asked
    /// for.
    pub fn excuse_errors(&mut self) {
        self.errors += std::mem::take(&mut self.trusted_errors);
        if self.innocent() {
            self.first = None;
        }
    }

    /// Whether nothing happened that can't be laid at the mutant's door.
    pub fn innocent(&self) -> bool {
        self.trusted_errors == 0 && self.trusted_wrong_reads == 0 && self.unknown == 0
    }
}
