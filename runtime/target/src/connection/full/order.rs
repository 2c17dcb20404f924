//! The order of commands: CmdSN, its window, and the PDUs that wait for a gap to close
//! (RFC 7143 §4.2.2.1).

use vcp_iscsi_proto::pdu::InitiatorSn;
use vcp_iscsi_proto::{BHS_LEN, Bhs, BhsBytes, InitiatorPdu, Serial};

use super::super::input::Pdu;
use super::super::opcode_name;
use super::super::wire::{End, Wire};
use super::FullFeature;

/// The most bytes of commands that wait for an earlier CmdSN.
const MAX_HELD: usize = 64 << 20;

/// A PDU that came before an earlier CmdSN, or data that belongs to such a PDU.
pub(super) struct Held {
    cmd_sn: Serial,
    pub(super) itt: u32,
    /// Whether it is Data-Out for an earlier entry.
    is_data: bool,
    header: BhsBytes,
    additional: Vec<u8>,
    data: Vec<u8>,
}

/// The place of a CmdSN in the order.
pub(super) enum Place {
    Next,
    Ahead,
    Outside,
}

impl Held {
    fn size(&self) -> usize {
        BHS_LEN + self.additional.len() + self.data.len()
    }
}

impl FullFeature {
    /// Notes that a task has been aborted before its command came, or came in turn: its
    /// CmdSN counts as received (RFC 7143 §7.11). Returns false if that cannot be.
    pub(super) fn plug(&mut self, itt: u32, cmd_sn: Serial) -> bool {
        let pending = self.exp_cmd_sn.le(cmd_sn) && cmd_sn.lt(self.next_cmd_sn);
        if !pending || cmd_sn.gt(self.max_cmd_sn) || self.plugged.contains(&cmd_sn) {
            return false;
        }
        self.held.retain(|held| held.itt != itt);
        self.held_bytes = self.held.iter().map(Held::size).sum();
        self.plugged.push(cmd_sn);
        true
    }

    /// Handles the PDU whose CmdSN is next.
    pub(super) fn in_turn(
        &mut self,
        wire: &mut Wire,
        pdu: &Pdu<'_>,
        parsed: InitiatorPdu,
    ) -> Result<(), End> {
        self.current = Some(self.exp_cmd_sn);
        self.exp_cmd_sn = self.exp_cmd_sn.next();
        let done = self.dispatch(wire, pdu, parsed);
        self.current = None;
        done
    }

    pub(super) fn check_immediate(&self, wire: &Wire, header: &BhsBytes, sn: InitiatorSn) {
        if sn.cmd_sn != self.next_cmd_sn {
            wire.violate(format!(
                "immediate {} with CmdSN {} where {} is due (RFC 7143 §4.2.2.1)",
                opcode_name(header),
                sn.cmd_sn,
                self.next_cmd_sn
            ));
        }
    }

    pub(super) fn note_cmd_sn(&mut self, cmd_sn: Serial) {
        if self.next_cmd_sn.le(cmd_sn) {
            self.next_cmd_sn = cmd_sn.next();
        }
    }

    pub(super) fn place(&self, cmd_sn: Serial) -> Place {
        if cmd_sn == self.exp_cmd_sn {
            // A command beyond the window is ignored even so.
            return if cmd_sn.le(self.max_cmd_sn) {
                Place::Next
            } else {
                Place::Outside
            };
        }
        let inside = self.exp_cmd_sn.lt(cmd_sn) && cmd_sn.le(self.max_cmd_sn);
        let taken = self.held.iter().any(|h| !h.is_data && h.cmd_sn == cmd_sn);
        if inside && !taken {
            Place::Ahead
        } else {
            Place::Outside
        }
    }

    pub(super) fn hold(
        &mut self,
        wire: &Wire,
        pdu: &Pdu<'_>,
        cmd_sn: Serial,
        is_data: bool,
    ) -> Result<(), End> {
        let held = Held {
            cmd_sn,
            itt: Bhs::parse(pdu.header).itt,
            is_data,
            header: *pdu.header,
            additional: pdu.additional.to_vec(),
            data: pdu.data.to_vec(),
        };
        self.held_bytes += held.size();
        if self.held_bytes > MAX_HELD {
            return Err(wire.violated("too much data behind a CmdSN that does not come"));
        }
        if !is_data {
            self.note_cmd_sn(cmd_sn);
        }
        self.held.push(held);
        Ok(())
    }

    /// Handles the PDUs that waited for the CmdSN that has just come.
    pub(super) fn release(&mut self, wire: &mut Wire) -> Result<(), End> {
        while !self.held.is_empty() || !self.plugged.is_empty() {
            if let Some(at) = self.plugged.iter().position(|&sn| sn == self.exp_cmd_sn) {
                self.plugged.swap_remove(at);
                self.exp_cmd_sn = self.exp_cmd_sn.next();
                continue;
            }
            let next = |h: &Held| !h.is_data && h.cmd_sn == self.exp_cmd_sn;
            let Some(at) = self.held.iter().position(next) else {
                break;
            };
            let (itt, cmd_sn) = (self.held[at].itt, self.held[at].cmd_sn);
            let mine = |h: &mut Held| h.itt == itt && (h.is_data || h.cmd_sn == cmd_sn);
            let mine: Vec<Held> = self.held.extract_if(at.., mine).collect();
            for held in mine {
                self.held_bytes -= held.size();
                let (header, additional, data) = (&held.header, &held.additional, &held.data);
                let pdu = Pdu {
                    header,
                    additional,
                    data,
                    data_intact: true,
                };
                let parsed = InitiatorPdu::parse(header).expect("parsed before it was held");
                if held.is_data {
                    self.dispatch(wire, &pdu, parsed)?;
                } else {
                    self.in_turn(wire, &pdu, parsed)?;
                }
            }
        }
        Ok(())
    }
}

/// The CmdSN and ExpStatSN of a PDU that has both, and whether it is immediate.
pub(super) fn sequence(pdu: &InitiatorPdu) -> Option<(InitiatorSn, bool)> {
    match pdu {
        InitiatorPdu::NopOut(p) => Some((p.sn, p.immediate)),
        InitiatorPdu::ScsiCommand(p) => Some((p.sn, p.immediate)),
        InitiatorPdu::TaskRequest(p) => Some((p.sn, p.immediate)),
        InitiatorPdu::TextRequest(p) => Some((p.sn, p.immediate)),
        InitiatorPdu::LogoutRequest(p) => Some((p.sn, p.immediate)),
        InitiatorPdu::LoginRequest(p) => Some((p.sn, true)),
        InitiatorPdu::DataOut(_) | InitiatorPdu::Snack(_) => None,
    }
}
