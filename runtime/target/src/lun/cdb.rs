//! Command descriptor blocks: operation codes and the fields of the commands that name
//! blocks (SBC-3 §5, SPC-4 §6). This module only parses.

use super::sense::{Refusal, Sense};

/// A CDB as iSCSI carries it, padded with zeroes.
pub type Cdb = [u8; 16];

/// Operation codes.
pub mod opcode {
    #![expect(missing_docs, reason = "each is the standard's name of a command")]
    pub const TEST_UNIT_READY: u8 = 0x00;
    pub const START_STOP_UNIT: u8 = 0x1b;
    pub const REQUEST_SENSE: u8 = 0x03;
    pub const READ_6: u8 = 0x08;
    pub const WRITE_6: u8 = 0x0A;
    pub const INQUIRY: u8 = 0x12;
    pub const MODE_SENSE_6: u8 = 0x1A;
    pub const READ_CAPACITY_10: u8 = 0x25;
    pub const READ_10: u8 = 0x28;
    pub const WRITE_10: u8 = 0x2A;
    pub const SYNCHRONIZE_CACHE_10: u8 = 0x35;
    pub const WRITE_SAME_10: u8 = 0x41;
    pub const UNMAP: u8 = 0x42;
    pub const MODE_SENSE_10: u8 = 0x5A;
    pub const READ_16: u8 = 0x88;
    pub const WRITE_16: u8 = 0x8A;
    pub const SYNCHRONIZE_CACHE_16: u8 = 0x91;
    pub const WRITE_SAME_16: u8 = 0x93;
    /// SERVICE ACTION IN (16): READ CAPACITY (16) and GET LBA STATUS.
    pub const SERVICE_ACTION_IN_16: u8 = 0x9E;
    pub const REPORT_LUNS: u8 = 0xA0;
    pub const READ_12: u8 = 0xA8;
    pub const WRITE_12: u8 = 0xAA;
}

/// Big-endian 16 bits at `at`, which is inside the CDB.
pub(super) fn be16(cdb: &Cdb, at: usize) -> u16 {
    u16::from_be_bytes([cdb[at], cdb[at + 1]])
}

/// Big-endian 32 bits at `at`, which is inside the CDB.
pub(super) fn be32(cdb: &Cdb, at: usize) -> u32 {
    u32::from_be_bytes([cdb[at], cdb[at + 1], cdb[at + 2], cdb[at + 3]])
}

/// Big-endian 64 bits at `at`, which is inside the CDB.
pub(super) fn be64(cdb: &Cdb, at: usize) -> u64 {
    u64::from(be32(cdb, at)) << 32 | u64::from(be32(cdb, at + 4))
}

/// A run of blocks that a command names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blocks {
    pub(super) lba: u64,
    pub(super) count: u64,
    /// Whether force unit access is set.
    pub(super) fua: bool,
}

impl Blocks {
    /// The run that a read, write, synchronize cache or write same names. The size of a
    /// CDB follows from the group of its operation code (SPC-4 §4.2.5.1).
    pub(super) fn of(cdb: &Cdb) -> Self {
        let (lba, count) = match cdb[0] >> 5 {
            0 => {
                let lba = be32(cdb, 0) & 0x1F_FFFF;
                // Zero means 256 in this CDB only (SBC-3 §5.7).
                (
                    lba.into(),
                    if cdb[4] == 0 { 256 } else { u32::from(cdb[4]) },
                )
            }
            4 => (be64(cdb, 2), be32(cdb, 10)),
            5 => (be32(cdb, 2).into(), be32(cdb, 6)),
            _ => (be32(cdb, 2).into(), be16(cdb, 7).into()),
        };
        let fua = cdb[0] >> 5 != 0 && cdb[1] & 0x08 != 0;
        Self {
            lba,
            count: count.into(),
            fua,
        }
    }

    /// Fails unless the run is inside a unit of `blocks` blocks.
    pub(super) fn check(&self, blocks: u64) -> Result<(), Refusal> {
        match self.lba.checked_add(self.count) {
            Some(end) if end <= blocks && (self.lba < blocks || self.count == 0) => Ok(()),
            _ => Err(Sense::LBA_OUT_OF_RANGE.into()),
        }
    }
}

/// Refuses requests for protection information, which no unit here has (SBC-3 §5.8).
pub(super) fn refuse_protection(cdb: &Cdb) -> Result<(), Refusal> {
    if cdb[0] >> 5 != 0 && cdb[1] & 0xE0 != 0 {
        return Err(Sense::INVALID_FIELD_IN_CDB.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cdb(bytes: &[u8]) -> Cdb {
        let mut cdb = [0; 16];
        cdb[..bytes.len()].copy_from_slice(bytes);
        cdb
    }

    #[test]
    fn runs_of_every_size() {
        let of = |bytes: &[u8]| {
            let blocks = Blocks::of(&cdb(bytes));
            (blocks.lba, blocks.count, blocks.fua)
        };
        assert_eq!(
            of(&[opcode::READ_6, 0x1F, 0xFF, 0xFE, 0, 0]),
            (0x1F_FFFE, 256, false)
        );
        assert_eq!(
            of(&[opcode::READ_10, 8, 1, 2, 3, 4, 0, 5, 6, 0]),
            (0x0102_0304, 0x506, true)
        );
        assert_eq!(
            of(&[opcode::WRITE_12, 0, 0, 0, 0, 9, 1, 0, 0, 2]),
            (9, 0x0100_0002, false)
        );
        let long = [
            opcode::WRITE_16,
            8,
            0,
            0,
            1,
            0,
            0,
            0,
            0,
            7,
            0,
            0,
            0,
            3,
            0,
            0,
        ];
        assert_eq!(of(&long), (0x100_0000_0007, 3, true));
    }

    #[test]
    fn runs_end_at_the_last_block() {
        let run = |lba, count| {
            Blocks {
                lba,
                count,
                fua: false,
            }
            .check(10)
            .is_ok()
        };
        assert!(run(9, 1) && run(0, 10) && run(10, 0));
        assert!(!run(9, 2) && !run(10, 1) && !run(11, 0) && !run(u64::MAX, 2));
    }
}
