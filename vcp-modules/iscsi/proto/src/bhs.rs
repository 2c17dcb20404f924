//! The common part of all PDUs: the opcode, the lengths, and the places of the header,
//! its digest, the data segment and its digest on the stream (RFC 7143 §11.2).

use crate::error::Error;
use crate::field::{u24_at, u32_at};

/// Length of the basic header segment in bytes.
pub const BHS_LEN: usize = 48;

/// The basic header segment: how every PDU begins.
pub type BhsBytes = [u8; BHS_LEN];

/// The longest data segment that its 24-bit length can name.
pub const MAX_DATA_LEN: u32 = 0x00ff_ffff;

/// The reserved initiator or target task tag ("no tag").
pub const RESERVED_TAG: u32 = 0xffff_ffff;

/// Length of a header or data digest in bytes.
pub const DIGEST_LEN: usize = 4;

/// The opcodes of RFC 7143 §11.2.1.2, without the immediate bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// NOP-Out, from the initiator.
    NopOut = 0x00,
    /// SCSI Command, from the initiator.
    ScsiCommand = 0x01,
    /// Task Management Function Request, from the initiator.
    TaskRequest = 0x02,
    /// Login Request, from the initiator.
    LoginRequest = 0x03,
    /// Text Request, from the initiator.
    TextRequest = 0x04,
    /// SCSI Data-Out, from the initiator.
    DataOut = 0x05,
    /// Logout Request, from the initiator.
    LogoutRequest = 0x06,
    /// SNACK Request, from the initiator.
    Snack = 0x10,
    /// NOP-In, from the target.
    NopIn = 0x20,
    /// SCSI Response, from the target.
    ScsiResponse = 0x21,
    /// Task Management Function Response, from the target.
    TaskResponse = 0x22,
    /// Login Response, from the target.
    LoginResponse = 0x23,
    /// Text Response, from the target.
    TextResponse = 0x24,
    /// SCSI Data-In, from the target.
    DataIn = 0x25,
    /// Logout Response, from the target.
    LogoutResponse = 0x26,
    /// Ready To Transfer, from the target.
    R2t = 0x31,
    /// Asynchronous Message, from the target.
    AsyncMessage = 0x32,
    /// Reject, from the target.
    Reject = 0x3f,
}

impl Opcode {
    /// The opcode in the low six bits of a header's first byte.
    ///
    /// # Errors
    /// [`Error::UnknownOpcode`], also for the vendor-specific codes.
    pub const fn parse(byte: u8) -> Result<Self, Error> {
        Ok(match byte & 0x3f {
            0x00 => Self::NopOut,
            0x01 => Self::ScsiCommand,
            0x02 => Self::TaskRequest,
            0x03 => Self::LoginRequest,
            0x04 => Self::TextRequest,
            0x05 => Self::DataOut,
            0x06 => Self::LogoutRequest,
            0x10 => Self::Snack,
            0x20 => Self::NopIn,
            0x21 => Self::ScsiResponse,
            0x22 => Self::TaskResponse,
            0x23 => Self::LoginResponse,
            0x24 => Self::TextResponse,
            0x25 => Self::DataIn,
            0x26 => Self::LogoutResponse,
            0x31 => Self::R2t,
            0x32 => Self::AsyncMessage,
            0x3f => Self::Reject,
            other => return Err(Error::UnknownOpcode(other)),
        })
    }

    /// True for a PDU that an initiator sends.
    #[must_use]
    pub const fn from_initiator(self) -> bool {
        (self as u8) < 0x20
    }
}

/// The lengths and tags of a PDU whose contents aren't looked at yet. Parsing can't
/// fail, so that a PDU with an unknown opcode can be skipped and rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bhs {
    /// The opcode's six bits, known or not.
    pub opcode: u8,
    /// The immediate bit: the request doesn't advance CmdSN.
    pub immediate: bool,
    /// The final bit of the second byte; its meaning depends on the opcode.
    pub is_final: bool,
    /// TotalAHSLength in bytes (on the wire: in words of four bytes), at most 1020.
    pub ahs_len: usize,
    /// DataSegmentLength in bytes without padding, at most [`MAX_DATA_LEN`].
    pub data_len: u32,
    /// Initiator task tag.
    pub itt: u32,
}

impl Bhs {
    /// Parses the fields that every PDU has.
    #[must_use]
    pub fn parse(b: &BhsBytes) -> Self {
        Self {
            opcode: b[0] & 0x3f,
            immediate: b[0] & 0x40 != 0,
            is_final: b[1] & 0x80 != 0,
            ahs_len: usize::from(b[4]) * 4,
            data_len: u24_at(b, 5),
            itt: u32_at(b, 16),
        }
    }

    /// The layout of this PDU on a connection with or without digests.
    #[must_use]
    pub const fn layout(&self, header_digest: bool, data_digest: bool) -> Layout {
        Layout::new(self.ahs_len, self.data_len, header_digest, data_digest)
    }
}

/// The places of a PDU's parts, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Length of the basic and additional header segments, which the header digest
    /// covers.
    pub header_len: usize,
    /// Offset of the data segment: the header and its digest, if any.
    pub data_start: usize,
    /// Length of the data segment without padding.
    pub data_len: usize,
    /// Bytes of padding after the data segment, 0 to 3. The data digest covers them.
    pub padding: usize,
    /// Length of the whole PDU with digests and padding.
    pub total: usize,
}

impl Layout {
    /// The layout of a PDU with `ahs_len` bytes of additional headers and `data_len`
    /// bytes of data. A PDU without data has no data digest (RFC 7143 §11.7.3).
    #[must_use]
    pub const fn new(
        ahs_len: usize,
        data_len: u32,
        header_digest: bool,
        data_digest: bool,
    ) -> Self {
        let header_len = BHS_LEN + ahs_len;
        let data_start = header_len + if header_digest { DIGEST_LEN } else { 0 };
        let data_len = data_len as usize;
        let padding = padding(data_len);
        let data_end = data_start + data_len + padding;
        let digest = if data_digest && data_len > 0 {
            DIGEST_LEN
        } else {
            0
        };
        Self {
            header_len,
            data_start,
            data_len,
            padding,
            total: data_end + digest,
        }
    }

    /// Offset just behind the data segment and its padding: the data digest, if any.
    #[must_use]
    pub const fn data_end(&self) -> usize {
        self.data_start + self.data_len + self.padding
    }

    /// True when a data digest follows the data segment.
    #[must_use]
    pub const fn has_data_digest(&self) -> bool {
        self.total > self.data_end()
    }
}

/// Bytes that fill `len` up to a multiple of four: 0 to 3.
#[must_use]
pub const fn padding(len: usize) -> usize {
    len.wrapping_neg() & 3
}

/// `len` with its padding.
#[must_use]
pub const fn padded(len: usize) -> usize {
    len + padding(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        let plain = Layout::new(0, 5, false, false);
        assert_eq!((plain.data_start, plain.padding, plain.total), (48, 3, 56));
        assert!(!plain.has_data_digest());
        let full = Layout::new(8, 4, true, true);
        assert_eq!(
            (full.header_len, full.data_start, full.data_end()),
            (56, 60, 64)
        );
        assert_eq!(full.total, 68);
        assert!(full.has_data_digest());
        // No data, no digest of it.
        assert_eq!(Layout::new(0, 0, true, true).total, 52);
    }

    #[test]
    fn opcodes_come_back() {
        let known = (0..64).filter_map(|b| Opcode::parse(b).ok().map(|op| (b, op)));
        let mut count = 0;
        for (byte, opcode) in known {
            assert_eq!(opcode as u8, byte);
            assert_eq!(opcode.from_initiator(), byte < 0x20);
            count += 1;
        }
        assert_eq!(count, 18);
        assert_eq!(Opcode::parse(0x1c), Err(Error::UnknownOpcode(0x1c)));
        assert_eq!(Opcode::parse(0x41), Ok(Opcode::ScsiCommand));
    }

    #[test]
    fn common_fields() {
        let mut b = [0; BHS_LEN];
        b[..8].copy_from_slice(&[0x41, 0x80, 0, 0, 2, 0x01, 0x02, 0x03]);
        b[16..20].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
        let bhs = Bhs::parse(&b);
        assert_eq!((bhs.opcode, bhs.immediate, bhs.is_final), (1, true, true));
        assert_eq!(
            (bhs.ahs_len, bhs.data_len, bhs.itt),
            (8, 0x010203, 0xdead_beef)
        );
    }
}
