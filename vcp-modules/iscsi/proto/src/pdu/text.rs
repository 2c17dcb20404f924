//! Text Request and Response (RFC 7143 §11.10, §11.11). The keys are in [`crate::text`].

use super::common::{FINAL, InitiatorSn, TargetSn, begin, expect, flag};
use crate::bhs::{BhsBytes, Opcode};
use crate::error::Error;
use crate::field::{put_u32, put_u64, u24_at, u32_at, u64_at};
use crate::lun::Lun;

const CONTINUE: u8 = 0x40;

/// Text Request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextRequest {
    /// The request doesn't use up its CmdSN.
    pub immediate: bool,
    /// The initiator is ready to end the negotiation.
    pub is_final: bool,
    /// The text goes on in the next request. Excludes `is_final`.
    pub is_continued: bool,
    /// The length of the text in bytes.
    pub data_len: u32,
    /// LUN of the response being answered, otherwise zero.
    pub lun: Lun,
    /// Initiator task tag, one for the whole exchange.
    pub itt: u32,
    /// Tag of the response being answered; [`RESERVED_TAG`](crate::RESERVED_TAG) begins
    /// a new exchange.
    pub ttt: u32,
    /// CmdSN and ExpStatSN.
    pub sn: InitiatorSn,
}

impl TextRequest {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`], [`Error::Field`] when it is both final and continued.
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::TextRequest)?;
        let (is_final, is_continued) = bits(b, "Text Request")?;
        Ok(Self {
            immediate: b[0] & 0x40 != 0,
            is_final,
            is_continued,
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ttt: u32_at(b, 20),
            sn: InitiatorSn::parse(b),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        let flags = flag(self.is_final, FINAL) | flag(self.is_continued, CONTINUE);
        begin(b, Opcode::TextRequest, self.immediate, flags, self.data_len);
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ttt);
        self.sn.emit(b);
    }
}

/// Text Response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextResponse {
    /// The exchange ends here.
    pub is_final: bool,
    /// The text goes on in the next response. Excludes `is_final`.
    pub is_continued: bool,
    /// The length of the text in bytes.
    pub data_len: u32,
    /// A LUN that the next request must repeat.
    pub lun: Lun,
    /// Initiator task tag of the exchange.
    pub itt: u32,
    /// Tag that the next request must repeat; [`RESERVED_TAG`](crate::RESERVED_TAG) at
    /// the end.
    pub ttt: u32,
    /// StatSN, ExpCmdSN and MaxCmdSN.
    pub sn: TargetSn,
}

impl TextResponse {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::WrongOpcode`], [`Error::Field`] when it is both final and continued.
    pub fn parse(b: &BhsBytes) -> Result<Self, Error> {
        expect(b, Opcode::TextResponse)?;
        let (is_final, is_continued) = bits(b, "Text Response")?;
        Ok(Self {
            is_final,
            is_continued,
            data_len: u24_at(b, 5),
            lun: Lun(u64_at(b, 8)),
            itt: u32_at(b, 16),
            ttt: u32_at(b, 20),
            sn: TargetSn::parse(b),
        })
    }

    /// Writes all 48 bytes of the header.
    pub fn emit(&self, b: &mut BhsBytes) {
        let flags = flag(self.is_final, FINAL) | flag(self.is_continued, CONTINUE);
        begin(b, Opcode::TextResponse, false, flags, self.data_len);
        put_u64(b, 8, self.lun.0);
        put_u32(b, 16, self.itt);
        put_u32(b, 20, self.ttt);
        self.sn.emit(b);
    }
}

fn bits(b: &BhsBytes, structure: &'static str) -> Result<(bool, bool), Error> {
    match (b[1] & FINAL != 0, b[1] & CONTINUE != 0) {
        (true, true) => Err(Error::field(structure, "F and C bits")),
        bits => Ok(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::strategies::{data_len, initiator_sn, target_sn};
    use super::*;
    use crate::bhs::BHS_LEN;
    use proptest::prelude::*;

    #[test]
    fn final_and_continued_is_refused() {
        let mut b = [0; BHS_LEN];
        b[..2].copy_from_slice(&[0x04, 0xc0]);
        assert!(TextRequest::parse(&b).is_err());
        b[0] = 0x24;
        assert!(TextResponse::parse(&b).is_err());
        b[1] = 0x40;
        assert!(TextResponse::parse(&b).unwrap().is_continued);
    }

    proptest! {
        #[test]
        fn round_trips(
            (immediate, is_final, is_continued) in any::<(bool, bool, bool)>(),
            (lun, itt, ttt) in any::<(u64, u32, u32)>(),
            (data_len, isn, tsn) in (data_len(), initiator_sn(), target_sn()),
        ) {
            let (is_continued, lun) = (is_continued && !is_final, Lun(lun));
            let mut b = [0xff; BHS_LEN];
            let request = TextRequest {
                immediate, is_final, is_continued, data_len, lun, itt, ttt, sn: isn,
            };
            request.emit(&mut b);
            prop_assert_eq!(TextRequest::parse(&b), Ok(request));
            let response =
                TextResponse { is_final, is_continued, data_len, lun, itt, ttt, sn: tsn };
            response.emit(&mut b);
            prop_assert_eq!(TextResponse::parse(&b), Ok(response));
        }
    }
}
