//! Fields that several PDUs share, and the first eight bytes of all of them.

use crate::bhs::{BHS_LEN, BhsBytes, MAX_DATA_LEN, Opcode};
use crate::error::Error;
use crate::field::{put_u24, put_u32, u32_at};
use crate::serial::Serial;

/// The sequence numbers of a request (RFC 7143 §4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InitiatorSn {
    /// The request's number; an immediate request carries the next one without using
    /// it up.
    pub cmd_sn: Serial,
    /// The StatSN that the initiator expects next; acknowledges all before.
    pub exp_stat_sn: Serial,
}

impl InitiatorSn {
    pub(super) fn parse(b: &BhsBytes) -> Self {
        Self {
            cmd_sn: Serial(u32_at(b, 24)),
            exp_stat_sn: Serial(u32_at(b, 28)),
        }
    }

    pub(super) fn emit(&self, b: &mut BhsBytes) {
        put_u32(b, 24, self.cmd_sn.0);
        put_u32(b, 28, self.exp_stat_sn.0);
    }
}

/// The sequence numbers in everything that a target sends (RFC 7143 §4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TargetSn {
    /// The response's number.
    pub stat_sn: Serial,
    /// The CmdSN that the target expects next.
    pub exp_cmd_sn: Serial,
    /// The last CmdSN that the target has room for.
    pub max_cmd_sn: Serial,
}

impl TargetSn {
    pub(super) fn parse(b: &BhsBytes) -> Self {
        Self {
            stat_sn: Serial(u32_at(b, 24)),
            exp_cmd_sn: Serial(u32_at(b, 28)),
            max_cmd_sn: Serial(u32_at(b, 32)),
        }
    }

    pub(super) fn emit(&self, b: &mut BhsBytes) {
        put_u32(b, 24, self.stat_sn.0);
        put_u32(b, 28, self.exp_cmd_sn.0);
        put_u32(b, 32, self.max_cmd_sn.0);
    }
}

/// How the bytes moved differ from the expected data transfer length
/// (RFC 7143 §11.4.5). The two flags exclude each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Residual {
    /// All bytes were moved.
    #[default]
    None,
    /// This many bytes were not moved because there was no room for them.
    Overflow(u32),
    /// This many of the expected bytes were not moved.
    Underflow(u32),
}

impl Residual {
    /// From the overflow and underflow flags and the count beside them; `None` when
    /// both flags are set.
    pub(super) const fn parse(overflow: bool, underflow: bool, count: u32) -> Option<Self> {
        match (overflow, underflow) {
            (false, false) => Some(Self::None),
            (true, false) => Some(Self::Overflow(count)),
            (false, true) => Some(Self::Underflow(count)),
            (true, true) => None,
        }
    }

    /// The flag bits as shifted for the second byte (O = 4, U = 2), and the count.
    pub(super) const fn emit(self) -> (u8, u32) {
        match self {
            Self::None => (0, 0),
            Self::Overflow(count) => (0x04, count),
            Self::Underflow(count) => (0x02, count),
        }
    }
}

pub(super) const IMMEDIATE: u8 = 0x40;
pub(super) const FINAL: u8 = 0x80;

pub(super) fn expect(b: &BhsBytes, opcode: Opcode) -> Result<(), Error> {
    let found = b[0] & 0x3f;
    if found == opcode as u8 {
        Ok(())
    } else {
        Err(Error::WrongOpcode {
            expected: opcode as u8,
            found,
        })
    }
}

/// Clears the header and writes opcode, immediate bit, second byte and data length.
pub(super) fn begin(b: &mut BhsBytes, opcode: Opcode, immediate: bool, flags: u8, data_len: u32) {
    debug_assert!(
        data_len <= MAX_DATA_LEN,
        "a data segment's length has 24 bits"
    );
    *b = [0; BHS_LEN];
    b[0] = opcode as u8 | if immediate { IMMEDIATE } else { 0 };
    b[1] = flags;
    put_u24(b, 5, data_len);
}

pub(super) const fn flag(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

#[cfg(test)]
pub(super) mod strategies {
    //! Arbitrary field values for the round trips of every PDU.

    use super::*;
    use proptest::prelude::*;

    pub(in crate::pdu) fn initiator_sn() -> impl Strategy<Value = InitiatorSn> {
        any::<(u32, u32)>().prop_map(|(c, e)| InitiatorSn {
            cmd_sn: Serial(c),
            exp_stat_sn: Serial(e),
        })
    }

    pub(in crate::pdu) fn target_sn() -> impl Strategy<Value = TargetSn> {
        any::<(u32, u32, u32)>().prop_map(|(s, e, m)| TargetSn {
            stat_sn: Serial(s),
            exp_cmd_sn: Serial(e),
            max_cmd_sn: Serial(m),
        })
    }

    pub(in crate::pdu) fn residual() -> impl Strategy<Value = Residual> {
        prop_oneof![
            Just(Residual::None),
            any::<u32>().prop_map(Residual::Overflow),
            any::<u32>().prop_map(Residual::Underflow),
        ]
    }

    pub(in crate::pdu) fn data_len() -> impl Strategy<Value = u32> {
        0..=MAX_DATA_LEN
    }
}
