//! What the responder says about a command, true or not.

use vcp_iscsi_proto::bhs::RESERVED_TAG;
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status as ScsiStatus};
use vcp_iscsi_proto::{Lun, TargetPdu};

use super::{Note, Peer};
use crate::moved::ledger::Outcome;
use crate::moved::pattern::Source;
use crate::moved::settings::Settings;

/// A Data-In, or an R2T, and how far it is from what is due.
#[derive(Debug, Clone, Copy)]
pub(in crate::moved) struct Chunk {
    pub(in crate::moved) length: u32,
    pub(in crate::moved) offset_skew: i32,
    pub(in crate::moved) number_skew: i32,
    /// It says of itself that it is the last, and isn't, or the other way round.
    pub(in crate::moved) final_skew: bool,
    /// The command ends with it.
    pub(in crate::moved) end: Option<(ScsiStatus, Residual, Outcome)>,
}

impl Chunk {
    /// So many bytes, where they belong.
    pub(in crate::moved) fn of(length: u32) -> Self {
        Self {
            length,
            offset_skew: 0,
            number_skew: 0,
            final_skew: false,
            end: None,
        }
    }
}

/// A SCSI Response.
#[derive(Debug, Clone)]
pub(in crate::moved) struct Response {
    pub(in crate::moved) code: ResponseCode,
    pub(in crate::moved) status: ScsiStatus,
    pub(in crate::moved) sense: Vec<u8>,
    pub(in crate::moved) residual: Residual,
    /// How far its count of Data-Ins or R2Ts is from the truth.
    pub(in crate::moved) count_skew: i32,
    pub(in crate::moved) outcome: Outcome,
}

impl Response {
    /// A status and nothing else.
    pub(in crate::moved) fn of(status: ScsiStatus, outcome: Outcome) -> Self {
        Self {
            code: ResponseCode::Completed,
            status,
            sense: Vec::new(),
            residual: Residual::None,
            count_skew: 0,
            outcome,
        }
    }

    pub(super) fn illegal(asc: Asc) -> Self {
        let sense = Sense::new(SenseKey::IllegalRequest, asc).emit_fixed();
        Self {
            sense: sense.to_vec(),
            ..Self::of(ScsiStatus::CheckCondition, Outcome::Unsupported)
        }
    }
}

impl Peer {
    /// A Data-In; without `data` with bytes that belong to the attempt.
    pub(in crate::moved) fn data_in(&mut self, at: usize, chunk: &Chunk, data: Option<&[u8]>) {
        let sn = match chunk.end {
            Some(_) => self.status(),
            None => self.numbers(),
        };
        let task = &mut self.tasks[at];
        let offset = task.at.wrapping_add_signed(chunk.offset_skew);
        let end = offset.wrapping_add(chunk.length);
        let pdu = DataIn {
            is_final: (end == task.length) != chunk.final_skew || chunk.end.is_some(),
            acknowledge: false,
            status: chunk.end.map(|(status, _, _)| status),
            data_len: 0,
            lun: Lun::default(),
            itt: task.itt,
            ttt: RESERVED_TAG,
            sn,
            data_sn: task.sequence.wrapping_add_signed(chunk.number_skew),
            offset,
            residual: chunk
                .end
                .map_or(Residual::None, |(_, residual, _)| residual),
        };
        task.sequence = pdu.data_sn.wrapping_add(1);
        task.at = end;
        task.answered = chunk.end.is_some();
        let (id, read) = (task.id, task.read);
        if let Some(data) = data {
            return self.send(pdu, data);
        }
        let mut data = vec![0; chunk.length as usize];
        Source::Attempt(id).fill(offset, &mut data);
        let note = Note {
            attempt: id,
            data: (read && offset <= end).then_some((offset, end)),
            end: chunk.end.map(|(_, _, outcome)| outcome),
        };
        self.push(pdu.into(), &data, note);
    }

    /// Data-Ins as long as the initiator takes them, the last with a status if there is
    /// one to tell.
    pub(in crate::moved) fn data_ins(
        &mut self,
        at: usize,
        length: u32,
        settings: &Settings,
        end: Option<(ScsiStatus, Residual, Outcome)>,
    ) {
        let mut rest = length;
        while rest > settings.max_send {
            self.data_in(at, &Chunk::of(settings.max_send), None);
            rest -= settings.max_send;
        }
        if rest > 0 || end.is_some() {
            let chunk = Chunk {
                end,
                ..Chunk::of(rest)
            };
            self.data_in(at, &chunk, None);
        }
    }

    /// Asks for data.
    pub(in crate::moved) fn r2t(&mut self, at: usize, chunk: &Chunk) {
        let (sn, ttt) = (self.numbers(), self.next_ttt);
        self.next_ttt += 1;
        let task = &mut self.tasks[at];
        let offset = task.at.wrapping_add_signed(chunk.offset_skew);
        let pdu = R2t {
            data_len: 0,
            lun: task.lun,
            itt: task.itt,
            ttt,
            sn,
            r2t_sn: task.sequence.wrapping_add_signed(chunk.number_skew),
            offset,
            desired_len: chunk.length,
        };
        task.sequence = pdu.r2t_sn.wrapping_add(1);
        task.at = offset.wrapping_add(chunk.length);
        task.open.push((ttt, offset, task.at));
        self.send(pdu, &[]);
    }

    pub(in crate::moved) fn respond(&mut self, at: usize, response: &Response) {
        let sn = self.status();
        let task = &mut self.tasks[at];
        task.answered = true;
        let note = Note {
            attempt: task.id,
            data: None,
            end: Some(response.outcome),
        };
        let pdu = ScsiResponse {
            response: response.code,
            status: response.status,
            data_len: 0,
            itt: task.itt,
            snack_tag: 0,
            sn,
            exp_data_sn: task.sequence.wrapping_add_signed(response.count_skew),
            bidi_residual: Residual::None,
            residual: response.residual,
        };
        let mut data = Vec::new();
        if !response.sense.is_empty() {
            data.extend_from_slice(&(response.sense.len() as u16).to_be_bytes());
            data.extend_from_slice(&response.sense);
        }
        // Nobody keeps an account of the survey's questions.
        let survey = note.attempt == usize::MAX;
        let note = if survey { Note::default() } else { note };
        self.push(TargetPdu::from(pdu), &data, note);
    }

    pub(in crate::moved) fn reject(&mut self, at: usize, reason: RejectReason) {
        let sn = self.status();
        let task = &mut self.tasks[at];
        task.answered = true;
        let note = Note {
            attempt: task.id,
            data: None,
            end: Some(Outcome::Failed),
        };
        let header = task.header;
        let pdu = Reject {
            reason,
            data_len: 0,
            sn,
            data_sn: 0,
        };
        self.push(pdu.into(), &header, note);
    }
}
