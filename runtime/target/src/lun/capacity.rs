//! READ CAPACITY and GET LBA STATUS (SBC-3 §5.6, §5.10, §5.11).

use super::cdb::{Cdb, be32, be64};
use super::sense::{Refusal, Sense};
use super::transfer::refusal;
use super::{Action, LogicalUnit, reply};

/// The most extents in one answer to GET LBA STATUS.
const MAX_EXTENTS: usize = 64;

impl LogicalUnit {
    /// Answers READ CAPACITY (10), with all ones for an address that does not fit.
    pub(super) fn read_capacity_10(&self) -> Action {
        let last = u32::try_from(self.blocks() - 1).unwrap_or(u32::MAX);
        let mut bytes = last.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.options.block_size.to_be_bytes());
        Action::Data(bytes)
    }

    /// Answers SERVICE ACTION IN (16).
    pub(super) fn service_action_in(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        match cdb[1] & 0x1F {
            0x10 => Ok(reply(self.capacity_16(), be32(cdb, 10))),
            0x12 => Ok(reply(self.lba_status(be64(cdb, 2))?, be32(cdb, 10))),
            _ => Err(Sense::INVALID_FIELD_IN_CDB.into()),
        }
    }

    fn capacity_16(&self) -> Vec<u8> {
        let mut bytes = vec![0; 32];
        bytes[..8].copy_from_slice(&(self.blocks() - 1).to_be_bytes());
        bytes[8..12].copy_from_slice(&self.options.block_size.to_be_bytes());
        bytes[13] = self.options.physical_exponent & 0x0F;
        if self.options.thin {
            bytes[14] = 0xC0; // LBPME, LBPRZ
        }
        bytes
    }

    /// The extents of whole blocks from `lba` on; a block is mapped if any part is.
    fn lba_status(&self, lba: u64) -> Result<Vec<u8>, Refusal> {
        let blocks = self.blocks();
        if lba >= blocks {
            return Err(Sense::LBA_OUT_OF_RANGE.into());
        }
        let mut bytes = vec![0; 8];
        let mut at = lba;
        while at < blocks && bytes.len() < 8 + 16 * MAX_EXTENTS {
            let (count, mapped) = self.extent(at)?;
            bytes.extend_from_slice(&at.to_be_bytes());
            bytes.extend_from_slice(&count.to_be_bytes());
            bytes.extend_from_slice(&[if mapped { 0 } else { 1 }, 0, 0, 0]);
            at += u64::from(count);
        }
        // The length covers everything after the length field itself.
        let length = u32::try_from(bytes.len() - 4).expect("at most 64 extents");
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        Ok(bytes)
    }

    fn extent(&self, lba: u64) -> Result<(u32, bool), Refusal> {
        let block = u64::from(self.options.block_size);
        let extent = self.disk.extent(lba * block).map_err(refusal)?;
        // A hole that ends inside its first block leaves that block mapped.
        let mapped = extent.mapped || extent.length < block || !self.options.thin;
        let whole = if extent.mapped {
            extent.length.div_ceil(block)
        } else {
            extent.length / block
        };
        let count = if self.options.thin {
            whole.max(1)
        } else {
            self.blocks() - lba
        };
        Ok((u32::try_from(count).unwrap_or(u32::MAX), mapped))
    }
}
