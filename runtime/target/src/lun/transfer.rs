//! Reads, writes and flushes (SBC-3 §5.7 to §5.19, §5.33 to §5.38).

use std::time::Duration;

use super::cdb::{Blocks, Cdb, opcode, refuse_protection};
use super::sense::{Refusal, Sense};
use super::{Action, LogicalUnit, Nexus};
use crate::disk::DiskError;

impl LogicalUnit {
    pub(super) fn start_read(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        let (offset, length, _) = self.transfer(cdb, Sense::READ_ERROR)?;
        Ok(Action::Read { offset, length })
    }

    pub(super) fn start_write(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        self.check_writable()?;
        let (offset, length, fua) = self.transfer(cdb, Sense::WRITE_ERROR)?;
        Ok(Action::Write {
            offset,
            length,
            fua,
        })
    }

    /// Offset and length in bytes, and FUA, of a read or write.
    fn transfer(&self, cdb: &Cdb, sense: Sense) -> Result<(u64, u32, bool), Refusal> {
        refuse_protection(cdb)?;
        let run = Blocks::of(cdb);
        run.check(self.blocks())?;
        let length = run.count * u64::from(self.options.block_size);
        match u32::try_from(length) {
            Ok(length) if length <= self.options.max_transfer => {
                self.state().faults.check_medium(&run, sense)?;
                Ok((
                    run.lba * u64::from(self.options.block_size),
                    length,
                    run.fua,
                ))
            }
            _ => Err(Sense::INVALID_FIELD_IN_CDB.into()),
        }
    }

    pub(super) fn check_writable(&self) -> Result<(), Refusal> {
        if self.options.read_only {
            Err(Sense::WRITE_PROTECTED.into())
        } else {
            Ok(())
        }
    }

    /// SYNCHRONIZE CACHE flushes the whole store, whatever the range; IMMED is ignored,
    /// as the store is flushed at once. A count of 0 is the rest of the medium.
    pub(super) fn synchronize(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        Blocks::of(cdb).check(self.blocks())?;
        self.disk.flush().map_err(refusal)?;
        Ok(Action::Good)
    }

    /// Appends a part of a read's data to `out`.
    pub fn read(&self, offset: u64, length: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
        self.disk.read_into(offset, length, out).map_err(refusal)
    }

    /// Writes a part of a write's data.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), Refusal> {
        self.disk.write_at(offset, data).map_err(refusal)
    }

    /// Makes a delayed write, if its nexus has not been lost meanwhile, and returns
    /// whether it was made. It happens before the loss of the nexus, or not at all.
    pub fn land(&self, nexus: Nexus, offset: u64, data: &[u8]) -> Result<bool, Refusal> {
        let state = self.state();
        if !state.attentions.contains_key(&nexus) {
            return Ok(false);
        }
        self.write(offset, data).map(|()| true)
    }

    /// Ends a write whose data has all come.
    pub fn finish_write(&self, fua: bool) -> Result<(), Refusal> {
        // The unit reports no cache, so every write that has ended must be durable.
        if fua || !self.options.write_cache {
            self.disk.flush().map_err(refusal)?;
        }
        Ok(())
    }

    /// How long a fault delays the response to this command.
    #[must_use]
    pub fn delay(&self, cdb: &Cdb) -> Duration {
        let state = self.state();
        match cdb[0] {
            opcode::READ_6 | opcode::READ_10 | opcode::READ_12 | opcode::READ_16 => {
                state.faults.read_delay
            }
            opcode::WRITE_6 | opcode::WRITE_10 | opcode::WRITE_12 | opcode::WRITE_16 => {
                state.faults.write_delay
            }
            _ => Duration::ZERO,
        }
    }
}

/// The SCSI error for a store's error.
#[expect(
    clippy::needless_pass_by_value,
    reason = "used as a function in map_err"
)]
pub(super) fn refusal(error: DiskError) -> Refusal {
    match error {
        DiskError::OutOfRange { .. } => Sense::LBA_OUT_OF_RANGE.into(),
        DiskError::NoSpace => Sense::SPACE_ALLOCATION_FAILED.into(),
        DiskError::Io(_) => Sense::INTERNAL_FAILURE.into(),
    }
}
