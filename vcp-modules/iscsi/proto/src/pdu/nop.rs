//! NOP-Out and NOP-In: pings of either side and their echoes (RFC 7143 §11.18, §11.19).

use super::common::{FINAL, InitiatorSn, TargetSn, begin, expect};
use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;
use crate::field::{put_u32, put_u64, u24_at, u32_at, u64_at};
use crate::lun::Lun;

/// NOP-Out: a ping (`itt` valid), the answer to a NOP-In (`ttt` valid), or, with
/// neither, only an ExpStatSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NopOut {
    /// The request doesn't use up its CmdSN.
    pub immediate: bool,
    /// The length of the ping data in bytes.
    pub data_len: u32,
    /// The LUN of the NOP-In being answered, otherwise zero.
    pub lun: Lun,
    /// Tag that the NOP-In in answer repeats; [`RESERVED_TAG`](crate::RESERVED_TAG)
    /// when none is wanted.
    pub itt: u32,
    /// Tag of the NOP-In being answered, or [`RESERVED_TAG`](crate::RESERVED_TAG).
    pub ttt: u32,
    /// CmdSN and ExpStatSN.
    pub sn: InitiatorSn,
}

impl NopOut {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::NopOut)?;
        Ok(Self {
            immediate: b[0] & 0x40 != 0,
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ttt: u32_at(b, 20),
            sn: InitiatorSn::parse(b),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(b, Opcode::NopOut, self.immediate, FINAL, self.data_len);
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ttt);
        self.sn.emit(b);
    }
}

/// NOP-In: a ping (`ttt` valid), the answer to a NOP-Out (`itt` valid), or, with
/// neither, only new sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NopIn {
    /// The length of the ping data in bytes.
    pub data_len: u32,
    /// A LUN that the answer must repeat.
    pub lun: Lun,
    /// Tag of the NOP-Out being answered, or [`RESERVED_TAG`](crate::RESERVED_TAG).
    pub itt: u32,
    /// Tag that the NOP-Out in answer must repeat, or
    /// [`RESERVED_TAG`](crate::RESERVED_TAG) when none is wanted.
    pub ttt: u32,
    /// ExpCmdSN, MaxCmdSN and StatSN, which is used up only when `itt` is valid.
    pub sn: TargetSn,
}

impl NopIn {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::NopIn)?;
        Ok(Self {
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ttt: u32_at(b, 20),
            sn: TargetSn::parse(b),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(b, Opcode::NopIn, false, FINAL, self.data_len);
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ttt);
        self.sn.emit(b);
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::{data_len, initiator_sn, target_sn};
    use super::*;
    use crate::bhs::BHS_LEN;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nop_out_round_trip(
            (immediate, lun, itt, ttt) in any::<(bool, u64, u32, u32)>(),
            (data_len, sn) in (data_len(), initiator_sn()),
        ) {
            let nop = NopOut { immediate, data_len, lun: Lun(lun), itt, ttt, sn };
            let mut b = [0xff; BHS_LEN];
            nop.emit(&mut b);
            prop_assert_eq!(b[0], if immediate { 0x40 } else { 0 });
            prop_assert_eq!(NopOut::parse(&b), Ok(nop));
        }

        #[test]
        fn nop_in_round_trip(
            (lun, itt, ttt) in any::<(u64, u32, u32)>(),
            (data_len, sn) in (data_len(), target_sn()),
        ) {
            let nop = NopIn { data_len, lun: Lun(lun), itt, ttt, sn };
            let mut b = [0xff; BHS_LEN];
            nop.emit(&mut b);
            prop_assert_eq!(NopIn::parse(&b), Ok(nop));
        }
    }
}
