//! Faults of the protocol itself: the behaviour of a hostile or broken target, on demand.
//! This module decides on faults and edits headers; the connection carries the faults
//! out.

use std::sync::{Mutex, PoisonError};

use vcp_iscsi_proto::pdu::RejectReason;
use vcp_iscsi_proto::{BhsBytes, Opcode};

/// A protocol fault at one PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The kind of PDU. Of an initiator's PDUs only [`Misbehaviour::Reject`],
    /// [`Misbehaviour::Omit`], [`Misbehaviour::Silence`] and
    /// [`Misbehaviour::Drop`] make sense.
    pub pdu: Opcode,
    /// The number of the PDU among these, from 1, counted over all connections of the
    /// target.
    pub nth: u64,
    /// Whether it also affects every later one.
    pub onwards: bool,
    /// The misbehaviour.
    pub act: Misbehaviour,
}

impl Fault {
    /// A fault once, at the `nth` PDU of a kind, from 1.
    #[must_use]
    pub const fn once(pdu: Opcode, nth: u64, act: Misbehaviour) -> Self {
        Self {
            pdu,
            nth,
            onwards: false,
            act,
        }
    }

    /// A fault at every PDU of a kind.
    #[must_use]
    pub const fn always(pdu: Opcode, act: Misbehaviour) -> Self {
        Self {
            pdu,
            nth: 1,
            onwards: true,
            act,
        }
    }
}

/// A misbehaviour of a target. Numbers are added to the right value, wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Buffer Offset of a Data-In or R2T.
    Offset(i32),
    /// DataSegmentLength; the bytes behind the header are cut, or zeroes added,
    /// so that the stream stays in step.
    Length(i32),
    /// DataSegmentLength alone: the stream gets out of step.
    LengthField(i32),
    /// Desired Data Transfer Length of an R2T.
    DesiredLength(i32),
    /// DataSN or R2TSN.
    DataSn(i32),
    /// Initiator Task Tag.
    Itt(i32),
    /// Target Transfer Tag.
    Ttt(i32),
    /// StatSN.
    StatSn(i32),
    /// ExpCmdSN and MaxCmdSN.
    CmdSn(i32),
    /// Another opcode in the first byte.
    Opcode(u8),
    /// Flips bits of one header byte, below 48.
    FlipByte {
        /// The offset in the header.
        at: u8,
        /// The bits to flip.
        mask: u8,
    },
    /// A wrong header digest, where there is one.
    HeaderDigest,
    /// A wrong data digest, where there is one.
    DataDigest,
    /// Residual Count, with the underflow bit.
    Residual(u32),
    /// Sends GOOD without residual instead of this Data-In, as if all had been sent.
    StatusEarly,
    /// The PDU is not sent or, from an initiator, ignored.
    Omit,
    /// The PDU is sent twice.
    Twice,
    /// The connection is dropped after the first bytes of the PDU.
    Drop {
        /// The number of its bytes that are sent; 0 for none.
        after: usize,
    },
    /// Nothing is sent from here on, but the connection stays open.
    Silence,
    /// A PDU of the initiator is answered with a Reject.
    Reject(RejectReason),
}

/// The faults of a target and counts of PDUs. Shared by its connections.
#[derive(Debug, Default)]
pub(crate) struct Script {
    inner: Mutex<Inner>,
    /// Whether there are any faults; if not, no lock is taken.
    armed: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    faults: Vec<Fault>,
    seen: std::collections::HashMap<Opcode, u64>,
}

impl Script {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        let script = Self::default();
        script.replace(faults);
        script
    }

    /// Sets the faults; the counters begin anew.
    pub(crate) fn replace(&self, faults: Vec<Fault>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.armed
            .store(!faults.is_empty(), std::sync::atomic::Ordering::Release);
        *inner = Inner {
            faults,
            seen: std::collections::HashMap::new(),
        };
    }

    /// The misbehaviour for the next PDU of a kind, if any.
    pub(crate) fn next(&self, pdu: Opcode) -> Option<Misbehaviour> {
        if !self.armed.load(std::sync::atomic::Ordering::Acquire) {
            return None;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.seen.entry(pdu).or_default();
        *count += 1;
        let count = *count;
        let hit = |f: &&Fault| f.pdu == pdu && (count == f.nth || f.onwards && count > f.nth);
        inner.faults.iter().find(hit).map(|fault| fault.act)
    }
}

/// Adds to the 32-bit field at `at` of a header, wrapping.
fn add(header: &mut BhsBytes, at: usize, delta: i32) {
    let field: [u8; 4] = header[at..at + 4].try_into().expect("four bytes");
    let value = u32::from_be_bytes(field).wrapping_add_signed(delta);
    header[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

impl Misbehaviour {
    /// Edits a header. Misbehaviour that does not concern the header is left to the
    /// sender.
    pub(crate) fn edit(self, header: &mut BhsBytes) {
        match self {
            Self::Offset(delta) => add(header, 40, delta),
            Self::Length(delta) | Self::LengthField(delta) => {
                let length = data_length(header).wrapping_add_signed(delta);
                header[5..8].copy_from_slice(&length.to_be_bytes()[1..]);
            }
            Self::DesiredLength(delta) => add(header, 44, delta),
            Self::DataSn(delta) => add(header, 36, delta),
            Self::Itt(delta) => add(header, 16, delta),
            Self::Ttt(delta) => add(header, 20, delta),
            Self::StatSn(delta) => add(header, 24, delta),
            Self::CmdSn(delta) => {
                add(header, 28, delta);
                add(header, 32, delta);
            }
            Self::Opcode(opcode) => header[0] = opcode & 0x3f,
            Self::FlipByte { at, mask } => header[usize::from(at) % header.len()] ^= mask,
            Self::Residual(count) => {
                header[1] = (header[1] & !0x04) | 0x02;
                header[44..].copy_from_slice(&count.to_be_bytes());
            }
            Self::StatusEarly
            | Self::HeaderDigest
            | Self::DataDigest
            | Self::Omit
            | Self::Twice
            | Self::Drop { .. }
            | Self::Silence
            | Self::Reject(_) => {}
        }
    }
}

/// DataSegmentLength of a header.
pub(crate) fn data_length(header: &BhsBytes) -> u32 {
    u32::from_be_bytes([0, header[5], header[6], header[7]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_kind_by_itself() {
        let omit = |nth| Fault::once(Opcode::DataIn, nth, Misbehaviour::Omit);
        let script = Script::new(vec![
            omit(2),
            Fault::always(Opcode::R2t, Misbehaviour::Twice),
        ]);
        let hits = [
            Opcode::DataIn,
            Opcode::R2t,
            Opcode::DataIn,
            Opcode::DataIn,
            Opcode::R2t,
        ];
        let hits = hits.map(|pdu| script.next(pdu));
        use Misbehaviour::{Omit, Twice};
        assert_eq!(hits, [None, Some(Twice), Some(Omit), None, Some(Twice)]);
    }

    #[test]
    fn edits_the_field_it_names() {
        let mut header = [0; 48];
        header[40..44].copy_from_slice(&7_u32.to_be_bytes());
        Misbehaviour::Offset(-7).edit(&mut header);
        Misbehaviour::Length(512).edit(&mut header);
        assert_eq!(header[40..44], [0; 4]);
        assert_eq!(data_length(&header), 512);
    }
}
