//! MODE SENSE (SPC-4 §6.13, §7.5; SBC-3 §6.5). No parameter can be changed.

use super::cdb::{Cdb, be16, opcode};
use super::sense::{Refusal, Sense};
use super::{Action, LogicalUnit, reply};

const CACHING: u8 = 0x08;
const CONTROL: u8 = 0x0A;
const ALL: u8 = 0x3F;

impl LogicalUnit {
    pub(super) fn mode_sense(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        let ten = cdb[0] == opcode::MODE_SENSE_10;
        let (control, page, subpage) = (cdb[2] >> 6, cdb[2] & 0x3F, cdb[3]);
        if control == 3 {
            return Err(Sense::SAVING_NOT_SUPPORTED.into());
        }
        if subpage != 0 && !(page == ALL && subpage == 0xFF) {
            return Err(Sense::INVALID_FIELD_IN_CDB.into());
        }
        let pages = self.mode_pages(page, control == 1)?;
        let blocks = if cdb[1] & 0x08 != 0 {
            vec![]
        } else {
            self.block_descriptor()
        };
        // The bits are write protection, and support of DPO and FUA.
        let device = if self.options.read_only { 0x90 } else { 0x10 };
        let length = blocks.len() + pages.len();
        let mut bytes = if ten {
            let length = u16::try_from(length + 6).expect("some dozens of bytes");
            let [high, low] = length.to_be_bytes();
            vec![high, low, 0, device, 0, 0, 0, blocks.len() as u8]
        } else {
            vec![(length + 3) as u8, 0, device, blocks.len() as u8]
        };
        bytes.extend(blocks);
        bytes.extend(pages);
        Ok(reply(
            bytes,
            if ten {
                be16(cdb, 7).into()
            } else {
                cdb[4].into()
            },
        ))
    }

    /// The short block descriptor: number and length of blocks; the number is all ones if
    /// it does not fit.
    fn block_descriptor(&self) -> Vec<u8> {
        let count = u32::try_from(self.blocks()).unwrap_or(u32::MAX);
        let mut bytes = count.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.options.block_size.to_be_bytes());
        bytes
    }

    fn mode_pages(&self, page: u8, changeable: bool) -> Result<Vec<u8>, Refusal> {
        let mut pages = vec![];
        if page == CACHING || page == ALL {
            let mut caching = vec![CACHING, 18];
            caching.resize(20, 0);
            caching[2] = if self.options.write_cache { 0x04 } else { 0 }; // WCE
            pages.push(caching);
        }
        if page == CONTROL || page == ALL {
            let mut control = vec![CONTROL, 10];
            control.resize(12, 0);
            control[3] = 0x10; // unrestricted reordering
            control[4] = if self.options.read_only { 0x08 } else { 0 }; // SWP
            pages.push(control);
        }
        if pages.is_empty() {
            return Err(Sense::INVALID_FIELD_IN_CDB.into());
        }
        if changeable {
            pages.iter_mut().for_each(|page| page[2..].fill(0));
        }
        Ok(pages.concat())
    }
}
