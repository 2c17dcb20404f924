//! SCSI Command and SCSI Response (RFC 7143 §11.3, §11.4).

use super::common::{FINAL, InitiatorSn, Residual, TargetSn, begin, expect, flag};
use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;
use crate::field::{codes, put_u32, put_u64, u16_at, u24_at, u32_at, u64_at};
use crate::lun::Lun;
use crate::scsi::Status;

/// Task attributes (RFC 7143 §11.3.1, SAM-5 §8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum TaskAttribute {
    /// No attribute given.
    Untagged = 0,
    /// May be reordered with other simple tasks.
    #[default]
    Simple = 1,
    /// After all tasks before it, before all after it.
    Ordered = 2,
    /// At once.
    HeadOfQueue = 3,
    /// During an auto contingent allegiance.
    Aca = 4,
}

/// SCSI Command: carries a CDB, and unsolicited ("immediate") data with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScsiCommand {
    /// The command doesn't use up its CmdSN.
    pub immediate: bool,
    /// No unsolicited Data-Out follows this PDU.
    pub is_final: bool,
    /// The command expects input data.
    pub read: bool,
    /// The command expects output data.
    pub write: bool,
    /// How the target may order the task.
    pub attribute: TaskAttribute,
    /// Length of the additional header segments in bytes: a multiple of 4, at most
    /// 1020. [`emit`](Self::emit) writes the field, the caller the segments.
    pub ahs_len: u16,
    /// Length of the immediate data.
    pub data_len: u32,
    /// The logical unit.
    pub lun: Lun,
    /// Initiator task tag.
    pub itt: u32,
    /// The number of bytes that the initiator expects to be moved (out, when both
    /// directions).
    pub expected_len: u32,
    /// CmdSN and ExpStatSN.
    pub sn: InitiatorSn,
    /// The first 16 bytes of the CDB, shorter ones filled with zeros.
    pub cdb: [u8; 16],
}

impl ScsiCommand {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`], [`Error::Field`] for a reserved task attribute.
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::ScsiCommand)?;
        let attribute = match b[1] & 7 {
            0 => TaskAttribute::Untagged,
            1 => TaskAttribute::Simple,
            2 => TaskAttribute::Ordered,
            3 => TaskAttribute::HeadOfQueue,
            4 => TaskAttribute::Aca,
            _ => return Err(Error::field("SCSI Command", "ATTR")),
        };
        let mut cdb = [0; 16];
        cdb.copy_from_slice(&b[32..]);
        Ok(Self {
            immediate: b[0] & 0x40 != 0,
            is_final: b[1] & FINAL != 0,
            read: b[1] & 0x40 != 0,
            write: b[1] & 0x20 != 0,
            attribute,
            ahs_len: u16::from(b[4]) * 4,
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            expected_len: u32_at(b, 20),
            sn: InitiatorSn::parse(b),
            cdb,
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        debug_assert!(self.ahs_len.is_multiple_of(4) && self.ahs_len <= 1020);
        let flags = flag(self.is_final, FINAL)
            | flag(self.read, 0x40)
            | flag(self.write, 0x20)
            | self.attribute as u8;
        begin(b, Opcode::ScsiCommand, self.immediate, flags, self.data_len);
        b[4] = (self.ahs_len / 4) as u8;
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.expected_len);
        self.sn.emit(b);
        b[32..].copy_from_slice(&self.cdb);
    }
}

codes! {
    /// iSCSI's own response to a command (RFC 7143 §11.4.3).
    pub enum ResponseCode {
        /// The command was carried out; its SCSI status is valid.
        Completed = 0x00 => "command completed at target",
        /// The target failed before there was a status.
        TargetFailure = 0x01 => "target failure",
    }
}

/// SCSI Response: status of a command, with sense data in its data segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScsiResponse {
    /// Whether there is a status at all.
    pub response: ResponseCode,
    /// SCSI status; valid when `response` is [`ResponseCode::Completed`].
    pub status: Status,
    /// Length of the data segment: sense length, sense data, response data.
    pub data_len: u32,
    /// Initiator task tag of the command.
    pub itt: u32,
    /// SNACK tag, or zero.
    pub snack_tag: u32,
    /// StatSN, ExpCmdSN and MaxCmdSN.
    pub sn: TargetSn,
    /// How many Data-In (for a read) or R2T (for a write) PDUs the command had.
    pub exp_data_sn: u32,
    /// Residual of the read part of a bidirectional command.
    pub bidi_residual: Residual,
    /// Residual of the command.
    pub residual: Residual,
}

impl ScsiResponse {
    /// Reads the header. The data segment is for [`split_sense`].
    ///
    /// # Errors
    /// [`Error::WrongOpcode`], [`Error::Field`] when overflow and underflow are both
    /// set.
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::ScsiResponse)?;
        let both = Error::field("SCSI Response", "residual flags");
        let flags = b[1];
        Ok(Self {
            response: b[2].into(),
            status: b[3].into(),
            data_len: u24_at(b, 5),
            itt: u32_at(b, 16),
            snack_tag: u32_at(b, 20),
            sn: TargetSn::parse(b),
            exp_data_sn: u32_at(b, 36),
            bidi_residual: Residual::parse(flags & 0x10 != 0, flags & 0x08 != 0, u32_at(b, 40))
                .ok_or(both)?,
            residual: Residual::parse(flags & 0x04 != 0, flags & 0x02 != 0, u32_at(b, 44))
                .ok_or(both)?,
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        let (bidi, bidi_count) = self.bidi_residual.emit();
        let (flags, count) = self.residual.emit();
        begin(
            b,
            Opcode::ScsiResponse,
            false,
            FINAL | bidi << 2 | flags,
            self.data_len,
        );
        b[2] = self.response.into();
        b[3] = self.status.into();
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.snack_tag);
        self.sn.emit(b);
        put_u32(b, 36, self.exp_data_sn);
        put_u32(b, 40, bidi_count);
        put_u32(b, 44, count);
    }
}

/// Splits the data segment of a SCSI Response or Asynchronous Message into sense data
/// and what follows it (RFC 7143 §11.4.7). An empty segment has neither.
///
/// # Errors
/// [`Error::Truncated`] when the sense length names more bytes than there are.
pub fn split_sense(data: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    const SENSE: Error = Error::Truncated("sense data");
    if data.is_empty() {
        return Ok((&[], &[]));
    }
    if data.len() < 2 {
        return Err(SENSE);
    }
    data[2..]
        .split_at_checked(usize::from(u16_at(data, 0)))
        .ok_or(SENSE)
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::{data_len, initiator_sn, residual, target_sn};
    use super::*;
    use crate::bhs::BHS_LEN;
    use crate::serial::Serial;
    use proptest::prelude::*;

    /// WRITE(10) of one 4 KiB block at LBA 2048 with immediate data, field by field.
    const WRITE: [u8; 48] = [
        0x01, 0xa1, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, // W, F, simple; 4096 bytes
        0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // LUN 1
        0x00, 0x00, 0x00, 0x2a, 0x00, 0x00, 0x10, 0x00, // ITT, expected length
        0x00, 0x00, 0x00, 0x07, 0x12, 0x34, 0x56, 0x78, // CmdSN, ExpStatSN
        0x2a, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, // CDB
        0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ];

    #[test]
    fn command_layout() {
        let command = ScsiCommand::parse(&WRITE).unwrap();
        assert!(command.write && command.is_final && !command.read && !command.immediate);
        assert_eq!(command.attribute, TaskAttribute::Simple);
        assert_eq!((command.data_len, command.expected_len), (4096, 4096));
        assert_eq!((command.lun.number(), command.itt), (Some(1), 0x2a));
        assert_eq!(command.sn.cmd_sn, Serial(7));
        assert_eq!(command.sn.exp_stat_sn, Serial(0x1234_5678));
        let mut out = [0xff; BHS_LEN];
        command.emit(&mut out);
        assert_eq!(out, WRITE);
    }

    #[test]
    fn reserved_attribute_is_refused() {
        let mut b = WRITE;
        b[1] = 0xa5;
        assert_eq!(
            ScsiCommand::parse(&b),
            Err(Error::field("SCSI Command", "ATTR"))
        );
    }

    #[test]
    fn response_with_both_residuals_is_refused() {
        let mut b = [0; BHS_LEN];
        b[..2].copy_from_slice(&[0x21, 0x86]);
        assert!(ScsiResponse::parse(&b).is_err());
        b[1] = 0x98;
        assert!(ScsiResponse::parse(&b).is_err());
        b[1] = 0x82;
        b[47] = 9;
        assert_eq!(
            ScsiResponse::parse(&b).unwrap().residual,
            Residual::Underflow(9)
        );
    }

    #[test]
    fn sense_is_split_off() {
        assert_eq!(split_sense(&[]), Ok((&[][..], &[][..])));
        assert_eq!(split_sense(&[0, 1, 9, 8]), Ok((&[9][..], &[8][..])));
        assert!(split_sense(&[0]).is_err());
        assert!(split_sense(&[0, 3, 1, 2]).is_err());
    }

    fn attribute() -> impl Strategy<Value = TaskAttribute> {
        prop_oneof![
            Just(TaskAttribute::Untagged),
            Just(TaskAttribute::Simple),
            Just(TaskAttribute::Ordered),
            Just(TaskAttribute::HeadOfQueue),
            Just(TaskAttribute::Aca),
        ]
    }

    proptest! {
        #[test]
        fn command_round_trip(
            (immediate, is_final, read, write) in any::<(bool, bool, bool, bool)>(),
            attribute in attribute(),
            (words, data_len) in (any::<u8>(), data_len()),
            (lun, itt, expected_len, cdb) in any::<(u64, u32, u32, [u8; 16])>(),
            sn in initiator_sn(),
        ) {
            let command = ScsiCommand {
                immediate, is_final, read, write, attribute, ahs_len: u16::from(words) * 4,
                data_len, lun: Lun(lun), itt, expected_len, sn, cdb,
            };
            let mut b = [0xff; BHS_LEN];
            command.emit(&mut b);
            prop_assert_eq!(ScsiCommand::parse(&b), Ok(command));
        }

        #[test]
        fn response_round_trip(
            (response, status, itt, snack_tag, exp_data_sn) in any::<(u8, u8, u32, u32, u32)>(),
            (data_len, sn) in (data_len(), target_sn()),
            (bidi_residual, residual) in (residual(), residual()),
        ) {
            let response = ScsiResponse {
                response: response.into(), status: status.into(), data_len, itt, snack_tag, sn,
                exp_data_sn, bidi_residual, residual,
            };
            let mut b = [0xff; BHS_LEN];
            response.emit(&mut b);
            prop_assert_eq!(ScsiResponse::parse(&b), Ok(response));
        }
    }
}
