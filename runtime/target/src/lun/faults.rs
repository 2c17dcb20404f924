//! Faults that a test requests of a logical unit. Faults of iSCSI itself are in
//! [`crate::config::Misbehaviour`].

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Duration;

use super::cdb::Blocks;
use super::sense::{Refusal, Sense};

/// The faults of a logical unit; none by default. May be changed while the unit is in
/// use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// Blocks (LBAs) that can be neither read nor written.
    pub medium_errors: Vec<Range<u64>>,
    /// Every n-th command ends with BUSY, unexecuted.
    pub busy_every: Option<NonZeroU32>,
    /// Every n-th command ends with TASK SET FULL, unexecuted.
    pub task_set_full_every: Option<NonZeroU32>,
    /// How long the response to a write is delayed.
    pub write_delay: Duration,
    /// How long after its last byte came a write reaches the medium, followed at once by
    /// the response: the target behaves as if its queue were long.
    pub landing_delay: Duration,
    /// How long the response to a read is delayed.
    pub read_delay: Duration,
}

impl Faults {
    /// Refuses the `n`-th command (from 1) if it is due.
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

    /// Refuses with `sense` at the first bad block of a run.
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
