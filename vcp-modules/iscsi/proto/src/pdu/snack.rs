//! SNACK Request (RFC 7143 §11.16), used at error recovery levels 1 and 2 only.

use super::common::{FINAL, begin, expect};
use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;
use crate::field::{codes, put_u32, put_u64, u24_at, u32_at, u64_at};
use crate::lun::Lun;
use crate::serial::Serial;

codes! {
    /// The kind of a SNACK (RFC 7143 §11.16.1).
    pub enum SnackType {
        /// Requests Data-In or R2T PDUs again.
        DataOrR2t = 0 => "Data/R2T SNACK",
        /// Responses again.
        Status = 1 => "Status SNACK",
        /// Requests nothing, and acknowledges Data-Ins.
        DataAck = 2 => "DataACK",
        /// Requests data again, perhaps cut differently.
        RData = 3 => "R-Data SNACK",
    }
}

/// SNACK Request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snack {
    /// The kind of the SNACK; four bits.
    pub kind: SnackType,
    /// Length of the data segment; 0 from a sound initiator.
    pub data_len: u32,
    /// LUN of the DataACK, otherwise reserved.
    pub lun: Lun,
    /// Initiator task tag of the command, or [`RESERVED_TAG`](crate::RESERVED_TAG).
    pub itt: u32,
    /// Target transfer tag or SNACK tag.
    pub ttt: u32,
    /// The StatSN expected next.
    pub exp_stat_sn: Serial,
    /// First number of the run.
    pub begin: u32,
    /// Length of the run; 0: all from `begin` on.
    pub run_len: u32,
}

impl Snack {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::Snack)?;
        Ok(Self {
            kind: (b[1] & 0x0f).into(),
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ttt: u32_at(b, 20),
            exp_stat_sn: Serial(u32_at(b, 28)),
            begin: u32_at(b, 40),
            run_len: u32_at(b, 44),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(
            b,
            Opcode::Snack,
            false,
            FINAL | u8::from(self.kind) & 0x0f,
            self.data_len,
        );
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ttt);
        put_u32(b, 28, self.exp_stat_sn.0);
        put_u32(b, 40, self.begin);
        put_u32(b, 44, self.run_len);
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::data_len;
    use super::*;
    use crate::bhs::BHS_LEN;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(
            (lun, itt, ttt, exp_stat_sn) in any::<(u64, u32, u32, u32)>(),
            (begin, run_len) in any::<(u32, u32)>(),
            (kind, data_len) in (0u8..16, data_len()),
        ) {
            let snack = Snack {
                kind: kind.into(), data_len, lun: Lun(lun), itt, ttt,
                exp_stat_sn: Serial(exp_stat_sn), begin, run_len,
            };
            let mut b = [0xff; BHS_LEN];
            snack.emit(&mut b);
            prop_assert_eq!(Snack::parse(&b), Ok(snack));
        }
    }
}
