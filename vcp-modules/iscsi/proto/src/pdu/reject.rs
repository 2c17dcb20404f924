//! Reject (RFC 7143 §11.17). Its data segment is the header of the PDU refused.

use super::common::{FINAL, TargetSn, begin, expect};
use crate::bhs::{BHS_LEN, BhsBytes, Opcode, RESERVED_TAG};
use crate::error::Error;
use crate::field::{codes, put_u32, u24_at, u32_at};

codes! {
    /// Why a PDU was refused (RFC 7143 §11.17.1).
    pub enum RejectReason {
        /// The data digest was wrong; the PDU may be sent again.
        DataDigestError = 0x02 => "data digest error",
        /// The SNACK can't be served.
        SnackReject = 0x03 => "SNACK reject",
        /// The PDU breaks the protocol.
        ProtocolError = 0x04 => "protocol error",
        /// The command isn't supported.
        CommandNotSupported = 0x05 => "command not supported",
        /// Too many immediate commands.
        TooManyImmediate = 0x06 => "immediate command reject",
        /// The task is in progress.
        TaskInProgress = 0x07 => "task in progress",
        /// The DataACK SNACK is invalid.
        InvalidDataAck = 0x08 => "invalid data ACK",
        /// A field of the PDU is invalid.
        InvalidPduField = 0x09 => "invalid PDU field",
        /// The target can't generate the target transfer tag now.
        LongOperation = 0x0a => "long operation reject",
        /// Formerly: the negotiation is reset.
        NegotiationReset = 0x0b => "negotiation reset",
        /// The target waits for a logout.
        WaitingForLogout = 0x0c => "waiting for logout",
    }
}

/// Reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub reason: RejectReason,
    /// Length of the data segment: at least the 48 bytes of the header refused.
    pub data_len: u32,
    /// StatSN, ExpCmdSN and MaxCmdSN.
    pub sn: TargetSn,
    /// Next DataSN or R2TSN; valid with a Data/R2T SNACK or data digest error.
    pub data_sn: u32,
}

impl Reject {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::Reject)?;
        Ok(Self {
            reason: b[2].into(),
            data_len: u24_at(b, 5),
            sn: TargetSn::parse(b),
            data_sn: u32_at(b, 36),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(b, Opcode::Reject, false, FINAL, self.data_len);
        b[2] = self.reason.into();
        put_u32(b, 16, RESERVED_TAG);
        self.sn.emit(b);
        put_u32(b, 36, self.data_sn);
    }

    /// The header of the PDU refused: the first 48 bytes of the data segment.
    ///
    /// # Errors
    /// [`Error::Truncated`].
    pub fn rejected(data: &[u8]) -> Result<&BhsBytes, Error> {
        data.first_chunk::<BHS_LEN>()
            .ok_or(Error::Truncated("header of the rejected PDU"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::{data_len, target_sn};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names() {
        assert_eq!(
            alloc::format!("{}", RejectReason::from(4)),
            "protocol error"
        );
        assert_eq!(alloc::format!("{}", RejectReason::from(0x77)), "code 0x77");
        assert!(Reject::rejected(&[0; 47]).is_err());
        assert!(Reject::rejected(&[0; 60]).is_ok());
    }

    proptest! {
        #[test]
        fn round_trip((reason, data_sn) in any::<(u8, u32)>(), data_len in data_len(), sn in target_sn()) {
            let reject = Reject { reason: reason.into(), data_len, sn, data_sn };
            let mut b = [0xff; BHS_LEN];
            reject.emit(&mut b);
            prop_assert_eq!(&b[16..20], &[0xff; 4]);
            prop_assert_eq!(Reject::parse(&b), Ok(reject));
        }
    }
}
