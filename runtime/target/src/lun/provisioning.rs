//! UNMAP and WRITE SAME (SBC-3 §5.30, §5.42, §5.43).

use super::cdb::{Blocks, Cdb, be16, opcode, refuse_protection};
use super::inquiry::MAX_UNMAP_DESCRIPTORS;
use super::sense::{Refusal, Sense};
use super::transfer::refusal;
use super::{Action, LogicalUnit};

/// The bytes written at a time by a WRITE SAME of anything but zeroes.
const PATTERN: usize = 1 << 20;

const ANCHOR: u8 = 0x10;
const UNMAP_BIT: u8 = 0x08;
const NO_DATA: u8 = 0x01;

impl LogicalUnit {
    pub(super) fn start_unmap(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        if !self.options.thin {
            return Err(Sense::INVALID_OPCODE.into());
        }
        self.check_writable()?;
        if cdb[1] & 1 != 0 {
            return Err(Sense::INVALID_FIELD_IN_CDB.into()); // ANCHOR
        }
        match be16(cdb, 7) {
            0 => Ok(Action::Good),
            1..8 => Err(Sense::PARAMETER_LIST_LENGTH.into()),
            length => Ok(Action::Parameters {
                length: length.into(),
            }),
        }
    }

    pub(super) fn unmap(&self, parameters: &[u8]) -> Result<(), Refusal> {
        let Some((header, rest)) = parameters.split_at_checked(8) else {
            return Err(Sense::PARAMETER_LIST_LENGTH.into());
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        // A list that is shorter than it says is used as far as it goes.
        let (descriptors, _) = rest[..length.min(rest.len())].as_chunks::<16>();
        if descriptors.len() > MAX_UNMAP_DESCRIPTORS as usize {
            return Err(Sense::INVALID_FIELD_IN_PARAMETERS.into());
        }
        let runs: Vec<Blocks> = descriptors.iter().map(run_of).collect();
        for run in &runs {
            run.check(self.blocks())?;
        }
        let block = u64::from(self.options.block_size);
        for run in &runs {
            self.disk
                .discard(run.lba * block, run.count * block)
                .map_err(refusal)?;
        }
        Ok(())
    }

    pub(super) fn start_write_same(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        self.check_writable()?;
        self.write_same_run(cdb)?;
        if no_data(cdb) {
            self.write_same(cdb, &[])?;
            return Ok(Action::Good);
        }
        Ok(Action::Parameters {
            length: self.options.block_size,
        })
    }

    fn write_same_run(&self, cdb: &Cdb) -> Result<Blocks, Refusal> {
        refuse_protection(cdb)?;
        let run = Blocks::of(cdb);
        let most = u64::from(self.options.max_write_same / self.options.block_size);
        let unmap = cdb[1] & UNMAP_BIT != 0;
        if cdb[1] & ANCHOR != 0 || (unmap && !self.options.thin) || run.count == 0 {
            return Err(Sense::INVALID_FIELD_IN_CDB.into());
        }
        run.check(self.blocks())?;
        if run.count > most {
            return Err(Sense::INVALID_FIELD_IN_CDB.into());
        }
        self.state().faults.check_medium(&run, Sense::WRITE_ERROR)?;
        // This bit is UNMAP here; it is FUA only in reads and writes.
        Ok(Blocks { fua: false, ..run })
    }

    pub(super) fn write_same(&self, cdb: &Cdb, block: &[u8]) -> Result<(), Refusal> {
        let run = self.write_same_run(cdb)?;
        let size = u64::from(self.options.block_size);
        let (offset, length) = (run.lba * size, run.count * size);
        if !no_data(cdb) && block.len() as u64 != size {
            return Err(Sense::INCORRECT_AMOUNT_OF_DATA.into());
        }
        if block.iter().any(|&byte| byte != 0) {
            return self.write_pattern(offset, length, block);
        }
        let unmap = cdb[1] & UNMAP_BIT != 0;
        let done = if unmap {
            self.disk.discard(offset, length)
        } else {
            self.disk.write_zeroes(offset, length)
        };
        done.map_err(refusal)
    }

    fn write_pattern(&self, mut offset: u64, mut length: u64, block: &[u8]) -> Result<(), Refusal> {
        let most = (PATTERN as u64).min(length) as usize;
        let pattern = block.repeat(most / block.len());
        while length > 0 {
            let now = length.min(pattern.len() as u64);
            self.disk
                .write_at(offset, &pattern[..now as usize])
                .map_err(refusal)?;
            offset += now;
            length -= now;
        }
        Ok(())
    }
}

/// Whether it is a WRITE SAME (16) with NDOB: it writes zeroes, and no block is sent.
fn no_data(cdb: &Cdb) -> bool {
    cdb[0] == opcode::WRITE_SAME_16 && cdb[1] & NO_DATA != 0
}

/// The run of an UNMAP block descriptor.
fn run_of(descriptor: &[u8; 16]) -> Blocks {
    let [lba @ .., c0, c1, c2, c3, _, _, _, _] = *descriptor;
    let count = u32::from_be_bytes([c0, c1, c2, c3]);
    Blocks {
        lba: u64::from_be_bytes(lba),
        count: count.into(),
        fua: false,
    }
}
