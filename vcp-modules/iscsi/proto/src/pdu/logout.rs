//! Logout Request and Response (RFC 7143 §11.14, §11.15).

use super::common::{FINAL, InitiatorSn, TargetSn, begin, expect};
use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;
use crate::field::{codes, put_u16, put_u32, u16_at, u24_at, u32_at};

codes! {
    /// The object of a logout (RFC 7143 §11.14.1).
    pub enum LogoutReason {
        /// The session and all its commands.
        CloseSession = 0 => "close the session",
        /// One connection and its commands.
        CloseConnection = 1 => "close the connection",
        /// A failed connection, whose commands are continued elsewhere.
        RemoveForRecovery = 2 => "remove the connection for recovery",
    }
}

codes! {
    /// Outcome of a logout (RFC 7143 §11.15.1).
    pub enum LogoutCode {
        /// Done.
        Closed = 0 => "connection or session closed successfully",
        /// The session has no such connection.
        NoConnection = 1 => "CID not found",
        /// Recovery isn't supported.
        NoRecovery = 2 => "connection recovery is not supported",
        /// The cleanup failed.
        CleanupFailed = 3 => "cleanup failed",
    }
}

/// Logout Request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogoutRequest {
    /// The request doesn't use up its CmdSN.
    pub immediate: bool,
    /// The object of the logout; seven bits.
    pub reason: LogoutReason,
    /// Length of the data segment; 0 from a sound initiator.
    pub data_len: u32,
    /// Initiator task tag.
    pub itt: u32,
    /// The connection to close; ignored when the session ends.
    pub cid: u16,
    /// CmdSN and ExpStatSN.
    pub sn: InitiatorSn,
}

impl LogoutRequest {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::LogoutRequest)?;
        Ok(Self {
            immediate: b[0] & 0x40 != 0,
            reason: (b[1] & 0x7f).into(),
            data_len: u24_at(b, 5),
            itt: u32_at(b, 16),
            cid: u16_at(b, 20),
            sn: InitiatorSn::parse(b),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        let reason = u8::from(self.reason) & 0x7f;
        begin(
            b,
            Opcode::LogoutRequest,
            self.immediate,
            FINAL | reason,
            self.data_len,
        );
        put_u32(b, 16, self.itt);
        put_u16(b, 20, self.cid);
        self.sn.emit(b);
    }
}

/// Logout Response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogoutResponse {
    /// Outcome.
    pub code: LogoutCode,
    /// Length of the data segment; 0 from a sound target.
    pub data_len: u32,
    /// Initiator task tag of the request.
    pub itt: u32,
    /// StatSN, ExpCmdSN and MaxCmdSN.
    pub sn: TargetSn,
    /// Seconds to wait before connecting again.
    pub time2wait: u16,
    /// Seconds after `time2wait` for which the target keeps the session's tasks.
    pub time2retain: u16,
}

impl LogoutResponse {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`].
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::LogoutResponse)?;
        Ok(Self {
            code: b[2].into(),
            data_len: u24_at(b, 5),
            itt: u32_at(b, 16),
            sn: TargetSn::parse(b),
            time2wait: u16_at(b, 40),
            time2retain: u16_at(b, 42),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        begin(b, Opcode::LogoutResponse, false, FINAL, self.data_len);
        b[2] = self.code.into();
        put_u32(b, 16, self.itt);
        self.sn.emit(b);
        put_u16(b, 40, self.time2wait);
        put_u16(b, 42, self.time2retain);
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
        fn round_trips(
            (immediate, itt, cid, code) in any::<(bool, u32, u16, u8)>(),
            (time2wait, time2retain, reason) in (any::<u16>(), any::<u16>(), 0u8..0x80),
            (data_len, isn, tsn) in (data_len(), initiator_sn(), target_sn()),
        ) {
            let mut b = [0xff; BHS_LEN];
            let request =
                LogoutRequest { immediate, reason: reason.into(), data_len, itt, cid, sn: isn };
            request.emit(&mut b);
            prop_assert_eq!(LogoutRequest::parse(&b), Ok(request));
            let response = LogoutResponse {
                code: code.into(), data_len, itt, sn: tsn, time2wait, time2retain,
            };
            response.emit(&mut b);
            prop_assert_eq!(LogoutResponse::parse(&b), Ok(response));
        }
    }
}
