//! Reads what the target says and checks it.

use std::collections::HashMap;

use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::{DataIn, R2t};
use vcp_iscsi_proto::{BHS_LEN, Bhs, InitiatorPdu, Opcode, RESERVED_TAG, TargetPdu};
use vcp_target::Connection;

use crate::trace::trace;

/// What an initiator remembers of the target's PDUs.
#[derive(Default)]
pub(super) struct Answers {
    /// Less than a PDU of the target.
    partial: Vec<u8>,
    /// Less than a PDU of the initiator.
    unsent: Vec<u8>,
    /// A PDU of the initiator that is on record, and not yet sent whole.
    recorded: bool,
    /// The StatSN that comes next, once one has come.
    stat_sn: Option<u32>,
    /// Requests by their tag.
    asked: HashMap<u32, Asked>,
    /// R2Ts not answered yet.
    pub(super) r2ts: Vec<R2t>,
    /// The last target transfer tag of a NOP-In or Text Response.
    pub(super) ttt: Option<u32>,
}

/// What was asked with one tag.
#[derive(Clone, Copy)]
struct Asked {
    /// Bytes that the command expects, in the greatest of the commands with this tag.
    expected_len: u32,
    /// How many requests had it, less those that were answered.
    open: i32,
}

impl Answers {
    /// Bytes go out to the target: puts on record what may be answered.
    pub(super) fn ask(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        let mut stream = std::mem::take(&mut self.unsent);
        let mut used = 0;
        while let Some(header) = stream[used..].first_chunk::<BHS_LEN>() {
            let bhs = Bhs::parse(header);
            if !std::mem::replace(&mut self.recorded, true) {
                trace!("initiator: {:?}", InitiatorPdu::parse(header));
                self.expect(
                    &bhs,
                    u32::from_be_bytes([header[20], header[21], header[22], header[23]]),
                );
            }
            let total = bhs.layout(false, false).total;
            if stream.len() - used < total {
                break;
            }
            self.recorded = false;
            used += total;
        }
        stream.drain(..used);
        self.unsent = stream;
    }

    /// `expected_len` is what stands where a command has its expected length.
    fn expect(&mut self, bhs: &Bhs, expected_len: u32) {
        let expected_len = match Opcode::parse(bhs.opcode) {
            Ok(Opcode::ScsiCommand) => expected_len,
            Ok(Opcode::DataOut | Opcode::Snack) | Err(_) => return,
            Ok(opcode) if !opcode.from_initiator() => return,
            Ok(_) => 0,
        };
        let asked = self.asked.entry(bhs.itt).or_insert(Asked {
            expected_len,
            open: 0,
        });
        asked.expected_len = asked.expected_len.max(expected_len);
        asked.open += 1;
    }

    /// The last StatSN plus one.
    pub(super) fn exp_stat_sn(&self) -> u32 {
        self.stat_sn.unwrap_or(0)
    }

    /// Takes bytes from the target.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let mut stream = std::mem::take(&mut self.partial);
        let mut used = 0;
        while let Some(header) = stream[used..].first_chunk::<BHS_LEN>() {
            // No digest is ever agreed on.
            let layout = Bhs::parse(header).layout(false, false);
            if stream.len() - used < layout.total {
                break;
            }
            let pdu = TargetPdu::parse(header).expect("a PDU that a target sends");
            self.take(&pdu);
            used += layout.total;
        }
        stream.drain(..used);
        self.partial = stream;
    }

    fn take(&mut self, pdu: &TargetPdu) {
        trace!("target: {pdu:?}");
        self.count(pdu);
        match pdu {
            TargetPdu::DataIn(data) => self.data_in(data),
            TargetPdu::R2t(r2t) => {
                let asked = self.asked(r2t.itt);
                let end = r2t.offset.checked_add(r2t.desired_len);
                assert!(end.is_some_and(|end| end <= asked.expected_len), "{r2t:?}");
                self.r2ts.push(*r2t);
            }
            TargetPdu::ScsiResponse(response) => self.answered(response.itt),
            TargetPdu::TaskResponse(response) => self.answered(response.itt),
            TargetPdu::LogoutResponse(response) => self.answered(response.itt),
            // Whatever is no Login Request is refused by a Login Response, too.
            TargetPdu::LoginResponse(response) if response.status != LoginStatus::Success => {}
            TargetPdu::LoginResponse(response) => self.answered(response.itt),
            TargetPdu::TextResponse(response) => {
                assert!(
                    response.is_final == (response.ttt == RESERVED_TAG),
                    "{response:?}"
                );
                self.ttt = Some(response.ttt);
                self.answered(response.itt);
            }
            TargetPdu::NopIn(nop) if nop.itt == RESERVED_TAG => {
                self.ttt = Some(nop.ttt)
                    .filter(|ttt| *ttt != RESERVED_TAG)
                    .or(self.ttt);
            }
            TargetPdu::NopIn(nop) => self.answered(nop.itt),
            TargetPdu::Reject(reject) => assert!(reject.data_len >= BHS_LEN as u32),
            TargetPdu::AsyncMessage(_) => {}
        }
    }

    /// StatSN goes up by one with every PDU that carries a status, and only with those.
    fn count(&mut self, pdu: &TargetPdu) {
        let numbered = match pdu {
            TargetPdu::DataIn(data) if data.status.is_none() => return,
            TargetPdu::R2t(_) => false,
            TargetPdu::NopIn(nop) => nop.itt != RESERVED_TAG,
            _ => true,
        };
        let stat_sn = pdu.sn().stat_sn.0;
        if let Some(expected) = self.stat_sn {
            assert_eq!(stat_sn, expected, "StatSN of {pdu:?}");
        }
        self.stat_sn = Some(stat_sn.wrapping_add(numbered.into()));
    }

    fn data_in(&mut self, data: &DataIn) {
        let asked = self.asked(data.itt);
        let end = data.offset.checked_add(data.data_len);
        assert!(end.is_some_and(|end| end <= asked.expected_len), "{data:?}");
        if data.status.is_some() {
            self.answered(data.itt);
        }
    }

    fn asked(&self, itt: u32) -> Asked {
        *self
            .asked
            .get(&itt)
            .unwrap_or_else(|| panic!("tag {itt:#x} was never used"))
    }

    fn answered(&mut self, itt: u32) {
        let asked = self.asked.get_mut(&itt);
        let asked = asked.unwrap_or_else(|| panic!("tag {itt:#x} was never used"));
        asked.open -= 1;
        assert!(asked.open >= 0, "tag {itt:#x} is answered once too often");
    }

    /// Whatever the connection's end, all that the target said was whole PDUs, unless
    /// connections were `dropped` without a word.
    pub(super) fn check_end(&self, connection: &Connection, dropped: bool) {
        assert!(dropped || self.partial.is_empty(), "half a PDU");
        assert!(connection.end().is_none() || connection.is_over());
    }
}
