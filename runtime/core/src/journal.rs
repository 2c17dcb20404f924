//! The last entries that went through a VCP's queue, for crash reports.

use crate::report::{Entry, What};

/// Entries that are kept.
pub(crate) const KEPT: usize = 256;

/// A ring of the last entries.
#[derive(Default)]
pub(crate) struct Journal {
    entries: Vec<Entry>,
    /// Where the next entry goes once the ring is full.
    next: usize,
}

impl Journal {
    pub(crate) fn note(&mut self, at: u64, generation: u32, what: What) {
        let entry = Entry {
            at,
            generation,
            what,
        };
        if self.entries.len() < KEPT {
            self.entries.push(entry);
        } else {
            self.entries[self.next] = entry;
            self.next = (self.next + 1) % KEPT;
        }
    }

    /// All entries, the oldest first.
    pub(crate) fn all(&self) -> Vec<Entry> {
        let (newer, older) = self.entries.split_at(self.next);
        [older, newer].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first() {
        let mut journal = Journal::default();
        for at in 0..KEPT as u64 + 3 {
            journal.note(at, 1, What::Ready);
        }
        let times: Vec<_> = journal.all().iter().map(|entry| entry.at).collect();
        assert_eq!(times, (3..KEPT as u64 + 3).collect::<Vec<_>>());
    }
}
