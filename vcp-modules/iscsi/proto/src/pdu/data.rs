//! SCSI Data-Out, SCSI Data-In and Ready To Transfer (RFC 7143 §11.7, §11.8).

use super::common::{FINAL, Residual, TargetSn, begin, expect, flag};
use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;
use crate::field::{put_u32, put_u64, u24_at, u32_at, u64_at};
use crate::lun::Lun;
use crate::scsi::Status;
use crate::serial::Serial;

/// SCSI Data-Out: write data, asked for by an R2T or unsolicited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataOut {
    /// The last PDU of a sequence: of the answer to one R2T, or of unsolicited data.
    pub is_final: bool,
    /// The length of the data in bytes.
    pub data_len: u32,
    /// The LUN of the R2T being answered; reserved when `ttt` is.
    pub lun: Lun,
    /// Initiator task tag of the command.
    pub itt: u32,
    /// Target transfer tag of the R2T, or [`RESERVED_TAG`](crate::RESERVED_TAG) for
    /// unsolicited data.
    pub ttt: u32,
    /// The StatSN expected next.
    pub exp_stat_sn: Serial,
    /// Number of this PDU in its sequence, from 0.
    pub data_sn: u32,
    /// The offset of these bytes in the command's data.
    pub offset: u32,
}

impl DataOut {
    /// Parses the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::DataOut)?;
        Ok(Self {
            is_final: b[1] & FINAL != 0,
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ttt: u32_at(b, 20),
            exp_stat_sn: Serial(u32_at(b, 28)),
            data_sn: u32_at(b, 36),
            offset: u32_at(b, 40),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(
            b,
            Opcode::DataOut,
            false,
            flag(self.is_final, FINAL),
            self.data_len,
        );
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ttt);
        put_u32(b, 28, self.exp_stat_sn.0);
        put_u32(b, 36, self.data_sn);
        put_u32(b, 40, self.offset);
    }
}

/// SCSI Data-In: read data, and with it the status when the command went well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataIn {
    /// The last PDU of a sequence.
    pub is_final: bool,
    /// The target asks for a DataACK SNACK (error recovery level 1 and above).
    pub acknowledge: bool,
    /// SCSI status when the S bit is set: no SCSI Response follows, and `sn.stat_sn`
    /// and `residual` are valid.
    pub status: Option<Status>,
    /// The length of the data in bytes.
    pub data_len: u32,
    /// LUN for a DataACK; reserved unless `acknowledge`.
    pub lun: Lun,
    /// Initiator task tag of the command.
    pub itt: u32,
    /// Tag for a DataACK; otherwise [`RESERVED_TAG`](crate::RESERVED_TAG).
    pub ttt: u32,
    /// ExpCmdSN and MaxCmdSN, with `status` also StatSN.
    pub sn: TargetSn,
    /// Number of this PDU among the command's Data-Ins, from 0.
    pub data_sn: u32,
    /// The offset of these bytes in the command's data.
    pub offset: u32,
    /// The residual of the command; always `None` without `status`.
    pub residual: Residual,
}

impl DataIn {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`], [`Error::Field`] for status in a PDU that isn't final,
    /// or for both residual flags.
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::DataIn)?;
        let flags = b[1];
        let is_final = flags & FINAL != 0;
        let has_status = flags & 0x01 != 0;
        if has_status && !is_final {
            return Err(Error::field("SCSI Data-In", "S bit without F bit"));
        }
        let residual = if has_status {
            Residual::parse(flags & 0x04 != 0, flags & 0x02 != 0, u32_at(b, 44))
                .ok_or(Error::field("SCSI Data-In", "residual flags"))?
        } else {
            Residual::None
        };
        Ok(Self {
            is_final,
            acknowledge: flags & 0x40 != 0,
            status: has_status.then(|| b[3].into()),
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ttt: u32_at(b, 20),
            sn: TargetSn::parse(b),
            data_sn: u32_at(b, 36),
            offset: u32_at(b, 40),
            residual,
        })
    }

    /// Writes all 48 bytes of the header. With a status the F bit is set in any case;
    /// without one there is no residual.
    pub fn emit(&self, b: &mut BhsBytes) {
        let (residual, count) = match self.status {
            Some(_) => self.residual.emit(),
            None => (0, 0),
        };
        let flags = flag(self.is_final || self.status.is_some(), FINAL)
            | flag(self.acknowledge, 0x40)
            | flag(self.status.is_some(), 0x01)
            | residual;
        begin(b, Opcode::DataIn, false, flags, self.data_len);
        b[3] = self.status.map_or(0, u8::from);
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ttt);
        self.sn.emit(b);
        put_u32(b, 36, self.data_sn);
        put_u32(b, 40, self.offset);
        put_u32(b, 44, count);
    }
}

/// Ready To Transfer: the target asks for part of a write's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct R2t {
    /// Always 0 from a sound target: an R2T has no data.
    pub data_len: u32,
    /// The LUN, which the Data-Outs must repeat.
    pub lun: Lun,
    /// Initiator task tag of the command.
    pub itt: u32,
    /// The target transfer tag, which the Data-Outs must repeat. Never the reserved one.
    pub ttt: u32,
    /// ExpCmdSN, MaxCmdSN, and the next StatSN, which an R2T doesn't use up.
    pub sn: TargetSn,
    /// Number of this R2T among the command's, from 0.
    pub r2t_sn: u32,
    /// The offset of the requested bytes in the command's data.
    pub offset: u32,
    /// The number of requested bytes; never 0.
    pub desired_len: u32,
}

impl R2t {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`], [`Error::Field`] for a reserved target transfer tag, a
    /// desired length of 0 or a data segment.
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::R2t)?;
        let r2t = Self {
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ttt: u32_at(b, 20),
            sn: TargetSn::parse(b),
            r2t_sn: u32_at(b, 36),
            offset: u32_at(b, 40),
            desired_len: u32_at(b, 44),
        };
        if r2t.ttt == crate::RESERVED_TAG {
            return Err(Error::field("R2T", "Target Transfer Tag"));
        }
        if r2t.desired_len == 0 {
            return Err(Error::field("R2T", "Desired Data Transfer Length"));
        }
        if r2t.data_len != 0 {
            return Err(Error::field("R2T", "DataSegmentLength"));
        }
        Ok(r2t)
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(b, Opcode::R2t, false, FINAL, self.data_len);
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ttt);
        self.sn.emit(b);
        put_u32(b, 36, self.r2t_sn);
        put_u32(b, 40, self.offset);
        put_u32(b, 44, self.desired_len);
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::{data_len, residual, target_sn};
    use super::*;
    use crate::bhs::BHS_LEN;
    use proptest::prelude::*;

    /// The last Data-In of a 4 KiB read, with GOOD status.
    const DATA_IN: [u8; 48] = [
        0x25, 0x81, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, // F and S; 4096 bytes
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // LUN
        0x00, 0x00, 0x00, 0x10, 0xff, 0xff, 0xff, 0xff, // ITT, TTT
        0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x04, // StatSN, ExpCmdSN
        0x00, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00, 0x01, // MaxCmdSN, DataSN
        0x00, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, // offset 8192
    ];

    #[test]
    fn data_in_layout() {
        let data = DataIn::parse(&DATA_IN).unwrap();
        assert!(data.is_final && !data.acknowledge);
        assert_eq!(data.status, Some(Status::Good));
        assert_eq!((data.data_len, data.offset, data.data_sn), (4096, 8192, 1));
        assert_eq!((data.itt, data.ttt), (16, crate::RESERVED_TAG));
        assert_eq!(data.sn.max_cmd_sn, Serial(0x24));
        let mut out = [0xff; BHS_LEN];
        data.emit(&mut out);
        assert_eq!(out, DATA_IN);
    }

    #[test]
    fn data_in_contradictions_are_refused() {
        let mut b = DATA_IN;
        b[1] = 0x01;
        assert!(DataIn::parse(&b).is_err(), "S without F");
        b[1] = 0x87;
        assert!(DataIn::parse(&b).is_err(), "O and U");
        b[1] = 0x86;
        assert_eq!(
            DataIn::parse(&b).unwrap().residual,
            Residual::None,
            "no status, no residual"
        );
    }

    #[test]
    fn impossible_r2ts_are_refused() {
        let good = R2t {
            data_len: 0,
            lun: Lun(0),
            itt: 1,
            ttt: 2,
            sn: TargetSn::default(),
            r2t_sn: 0,
            offset: 0,
            desired_len: 1,
        };
        for bad in [
            R2t {
                ttt: crate::RESERVED_TAG,
                ..good
            },
            R2t {
                desired_len: 0,
                ..good
            },
            R2t {
                data_len: 4,
                ..good
            },
        ] {
            let mut b = [0; BHS_LEN];
            bad.emit(&mut b);
            assert!(R2t::parse(&b).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn data_out_round_trip(
            (is_final, lun, itt, ttt) in any::<(bool, u64, u32, u32)>(),
            (exp_stat_sn, data_sn, offset) in any::<(u32, u32, u32)>(),
            data_len in data_len(),
        ) {
            let data = DataOut {
                is_final, data_len, lun: Lun(lun), itt, ttt, exp_stat_sn: Serial(exp_stat_sn),
                data_sn, offset,
            };
            let mut b = [0xff; BHS_LEN];
            data.emit(&mut b);
            prop_assert_eq!(DataOut::parse(&b), Ok(data));
        }

        #[test]
        fn data_in_round_trip(
            (is_final, acknowledge, status) in any::<(bool, bool, Option<u8>)>(),
            (lun, itt, ttt, data_sn, offset) in any::<(u64, u32, u32, u32, u32)>(),
            (data_len, sn, residual) in (data_len(), target_sn(), residual()),
        ) {
            let data = DataIn {
                is_final: is_final || status.is_some(), acknowledge, status: status.map(Status::from),
                data_len, lun: Lun(lun), itt, ttt, sn, data_sn, offset,
                residual: if status.is_some() { residual } else { Residual::None },
            };
            let mut b = [0xff; BHS_LEN];
            data.emit(&mut b);
            prop_assert_eq!(DataIn::parse(&b), Ok(data));
        }

        #[test]
        fn r2t_round_trip(
            (lun, itt, r2t_sn, offset) in any::<(u64, u32, u32, u32)>(),
            ttt in 0..u32::MAX,
            desired_len in 1..=u32::MAX,
            sn in target_sn(),
        ) {
            let r2t = R2t { data_len: 0, lun: Lun(lun), itt, ttt, sn, r2t_sn, offset, desired_len };
            let mut b = [0xff; BHS_LEN];
            r2t.emit(&mut b);
            prop_assert_eq!(R2t::parse(&b), Ok(r2t));
        }
    }
}
