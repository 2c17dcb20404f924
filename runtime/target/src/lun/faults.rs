//! Faults that a test asks a logical unit for. What breaks iSCSI itself is in
//! [`crate::config::Misbehaviour`].

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use super::cdb::Blocks;
use super::sense::{Refusal, Sense};

/// How a logical unit is to fail; nothing by default. May be changed while the
/// unit is in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Blocks (LBAs) that can be neither read nor written.
    pub medium_errors: Vec<Range<u64>>,
    /// Every n-th command ends with BUSY, untouched.
    pub busy_every: Option<NonZeroU32>,
    /// Every n-th command ends with TASK SET FULL, untouched.
    pub task_set_full_every: Option<NonZeroU32>,
    /// The response to a write is held back this long.
    pub write_delay: Duration,
    /// The bytes of a write reach the medium only so long after the last of them
    /// came, and the response follows at once: a target whose queue is long.
    pub landing_delay: Duration,
    /// The response to a read is held back this long.
    pub read_delay: Duration,
}

impl Faults {
    /// Whether the `n`-th command (from 1) is to be turned away.
    pub(super) fn turn_away(&self, n: u32) -> Result<(), Refusal> {
        let hits = |every: Option<NonZeroU32>| every.is_some_and(|every| n % every == 0);
        if hits(self.busy_every) {
            return Err(Refusal::Busy);
        }
        if hits(self.task_set_full_every) {
            return Err(Refusal::TaskSetFull);
        }
        Ok(())
    }

    /// The first bad block of a run, as `sense`.
    pub(super) fn check_medium(&self, run: &Blocks, sense: Sense) -> Result<(), Refusal> {
        let end = run.lba + run.count;
        let overlap = |bad: &Range<u64>| bad.start.max(run.lba) < bad.end.min(end);
        let first = self.medium_errors.iter().filter(|bad| overlap(bad));
        match first.map(|bad| bad.start.max(run.lba)).min() {
            Some(lba) => Err(sense.at(lba).into()),
            None => Ok(()),
        }
    }
}
