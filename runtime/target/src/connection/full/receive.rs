//! Write data: Data-Out, and the R2Ts that ask for it (RFC 7143 §11.7, §11.8).

use vcp_iscsi_proto::RESERVED_TAG;
use vcp_iscsi_proto::pdu::{DataOut, R2t, RejectReason};

use super::super::input::Pdu;
use super::super::wire::{End, Wire};
use super::task::{Receiving, Sequence, Sink, Task, Work};
use super::{FullFeature, MAX_ENDED};
use crate::lun::{LogicalUnit, Sense};

impl FullFeature {
    pub(super) fn data_out(
        &mut self,
        wire: &mut Wire,
        pdu: &Pdu<'_>,
        data: &DataOut,
    ) -> Result<(), End> {
        let in_order = self.session.parameters.data_pdu_in_order;
        let Some(task) = self.tasks.get_mut(&data.itt) else {
            return self.stray(wire, pdu, data);
        };
        let lun = task.lun;
        let Task {
            work: Work::Receive(receiving),
            unit,
            ..
        } = task
        else {
            return Err(wire.violated(format!(
                "Data-Out for ITT {:#x}, which awaits none (RFC 7143 §11.7)",
                data.itt
            )));
        };
        let Some(sequence) = receiving.sequence(data.ttt) else {
            return Err(wire.violated(format!(
                "Data-Out with TTT {:#x}, which asks for nothing (RFC 7143 §11.7.4)",
                data.ttt
            )));
        };
        if data.ttt != RESERVED_TAG && data.lun != lun {
            return Err(wire.violated("Data-Out does not repeat the R2T's LUN (RFC 7143 §11.7.4)"));
        }
        let in_turn = sequence.count(data.data_sn);
        let ended = sequence
            .accept(data, in_order)
            .map_err(|text| wire.violated(text))?;
        if let Err(text) = in_turn {
            wire.violate(text);
            receiving.failure.get_or_insert(Sense::CRC_ERROR.into());
        }
        receiving.take(unit.as_deref(), data.offset, pdu.data);
        if ended {
            receiving.close(data.ttt);
            self.advance(wire, data.itt);
        }
        Ok(())
    }

    /// Handles data for an unknown task, which may have been aborted meanwhile.
    fn stray(&mut self, wire: &mut Wire, pdu: &Pdu<'_>, data: &DataOut) -> Result<(), End> {
        if !self.ended.contains(&data.itt) {
            let itt = data.itt;
            wire.violate(format!(
                "Data-Out for unknown ITT {itt:#x} (RFC 7143 §11.7)"
            ));
            self.reject(wire, pdu.header, RejectReason::InvalidPduField);
        }
        Ok(())
    }

    /// Handles damaged data: the command fails once the rest has come.
    pub(super) fn damaged_data(&mut self, wire: &mut Wire, data: &DataOut) -> Result<(), End> {
        let in_order = self.session.parameters.data_pdu_in_order;
        let Some(Task {
            work: Work::Receive(receiving),
            ..
        }) = self.tasks.get_mut(&data.itt)
        else {
            return Ok(());
        };
        receiving.failure.get_or_insert(Sense::CRC_ERROR.into());
        let Some(sequence) = receiving.sequence(data.ttt) else {
            return Ok(());
        };
        // The sequence fails already, so its DataSN does not matter.
        let _ = sequence.count(data.data_sn);
        if sequence
            .accept(data, in_order)
            .map_err(|text| wire.violated(text))?
        {
            receiving.close(data.ttt);
            self.advance(wire, data.itt);
        }
        Ok(())
    }

    /// Asks for more data, or ends the task when all has come.
    pub(super) fn advance(&mut self, wire: &mut Wire, itt: u32) {
        while let Some(asked) = self.next_r2t(itt) {
            let ttt = self.new_ttt();
            let sn = self.sn(wire);
            let task = self.tasks.get_mut(&itt).expect("it has just been asked");
            let Work::Receive(receiving) = &mut task.work else {
                return;
            };
            receiving.asked = asked.end;
            receiving.r2ts.push(Sequence {
                ttt,
                start: asked.start,
                end: asked.end,
                received: 0,
                data_sn: 0,
            });
            let r2t = R2t {
                data_len: 0,
                lun: task.lun,
                itt,
                ttt,
                sn,
                r2t_sn: task.data_sn,
                offset: asked.start,
                desired_len: asked.end - asked.start,
            };
            task.data_sn += 1;
            wire.send(r2t, b"");
        }
        let Some(Task {
            work: Work::Receive(receiving),
            ..
        }) = self.tasks.get(&itt)
        else {
            return;
        };
        if receiving.unsolicited.is_none() && receiving.r2ts.is_empty() {
            self.finish_receiving(wire, itt);
        }
    }

    /// The next range to ask for, if it is time to.
    fn next_r2t(&self, itt: u32) -> Option<std::ops::Range<u32>> {
        let p = &self.session.parameters;
        let Task {
            work: Work::Receive(receiving),
            ..
        } = self.tasks.get(&itt)?
        else {
            return None;
        };
        let room = receiving.r2ts.len() < p.max_outstanding_r2t as usize;
        let wanted = receiving.asked < receiving.length && receiving.failure.is_none();
        if !room || !wanted || receiving.unsolicited.is_some() {
            return None;
        }
        let length = p.max_burst.min(receiving.length - receiving.asked);
        Some(receiving.asked..receiving.asked + length)
    }

    /// Ends a task whose data has all come.
    fn finish_receiving(&mut self, wire: &mut Wire, itt: u32) {
        let Some(task) = self.tasks.get_mut(&itt) else {
            return;
        };
        let Work::Receive(receiving) = &mut task.work else {
            return;
        };
        if let (None, Sink::Later { delay, .. }) = (receiving.failure, &receiving.sink) {
            self.delayed.push((wire.now + *delay, itt));
            task.work = receiving.sink.land();
            return;
        }
        let outcome = match (receiving.failure, &task.unit, &receiving.sink) {
            (Some(refusal), _, _) => Err(refusal),
            (None, Some(unit), Sink::Medium { fua, .. }) => unit.finish_write(*fua),
            (None, Some(unit), Sink::Parameters(list)) => unit.finish(&task.cdb, list),
            (None, _, _) => Ok(()),
        };
        let delay = task
            .unit
            .as_ref()
            .map(|unit| unit.delay(&task.cdb))
            .unwrap_or_default();
        task.work = Work::Respond(outcome);
        if delay.is_zero() {
            self.respond_now(wire, itt);
        } else {
            self.delayed.push((wire.now + delay, itt));
        }
    }

    /// Writes delayed data to the medium.
    pub(super) fn land(&mut self, wire: &mut Wire, itt: u32) {
        let nexus = self.nexus();
        let Some(task) = self.tasks.get_mut(&itt) else {
            return;
        };
        let (Work::Land { offset, bytes, fua }, Some(unit)) = (&task.work, &task.unit) else {
            return;
        };
        let outcome = match unit.land(nexus, *offset, bytes) {
            Ok(true) => unit.finish_write(*fua),
            // The session is over, and this connection is about to learn of it.
            Ok(false) => {
                self.remove(itt);
                return;
            }
            Err(refusal) => Err(refusal),
        };
        task.work = Work::Respond(outcome);
        self.respond_now(wire, itt);
    }

    /// Sends a delayed response.
    pub(super) fn respond_now(&mut self, wire: &mut Wire, itt: u32) {
        let Some(task) = self.remove(itt) else { return };
        let Work::Respond(outcome) = task.work else {
            return;
        };
        let residual = task.residual();
        self.respond(wire, &task, outcome, residual);
    }

    /// Remembers a task whose data may still be under way.
    pub(super) fn note_ended(&mut self, itt: u32) {
        if self.ended.len() == MAX_ENDED {
            self.ended.pop_front();
        }
        self.ended.push_back(itt);
    }
}

impl Receiving {
    /// Keeps the part of the data that the command uses.
    pub(super) fn take(&mut self, unit: Option<&LogicalUnit>, offset: u32, data: &[u8]) {
        let room = self.length.saturating_sub(offset) as usize;
        let data = &data[..room.min(data.len())];
        if data.is_empty() || self.failure.is_some() {
            return;
        }
        let done = match (&mut self.sink, unit) {
            (Sink::Medium { offset: base, .. }, Some(unit)) => {
                unit.write(*base + u64::from(offset), data)
            }
            (Sink::Parameters(list) | Sink::Later { bytes: list, .. }, _) => {
                list[offset as usize..][..data.len()].copy_from_slice(data);
                Ok(())
            }
            _ => Ok(()),
        };
        self.failure = done.err();
    }

    fn sequence(&mut self, ttt: u32) -> Option<&mut Sequence> {
        if ttt == RESERVED_TAG {
            return self.unsolicited.as_mut();
        }
        self.r2ts.iter_mut().find(|sequence| sequence.ttt == ttt)
    }

    /// Ends a sequence.
    fn close(&mut self, ttt: u32) {
        if ttt == RESERVED_TAG {
            if let Some(sequence) = self.unsolicited.take() {
                self.asked = sequence.end;
            }
        } else {
            self.r2ts.retain(|sequence| sequence.ttt != ttt);
        }
    }

    /// Whether any sequence of the initiator is open.
    pub(super) fn is_open(&self) -> bool {
        self.unsolicited.is_some() || !self.r2ts.is_empty()
    }
}

impl Sequence {
    /// Checks a DataSN. One out of order means that PDUs were lost, and fails the command
    /// only (RFC 7143 §7.9).
    fn count(&mut self, data_sn: u32) -> Result<(), String> {
        let due = std::mem::replace(&mut self.data_sn, data_sn.wrapping_add(1));
        if data_sn == due {
            return Ok(());
        }
        Err(format!(
            "Data-Out with DataSN {data_sn} where {due} is due (RFC 7143 §11.7.5)"
        ))
    }

    /// Checks a Data-Out against its sequence; true when it is the last.
    fn accept(&mut self, data: &DataOut, in_order: bool) -> Result<bool, String> {
        let rule = |ok: bool, text: &str| {
            if ok {
                Ok(())
            } else {
                Err(format!("Data-Out of ITT {:#x} {text}", data.itt))
            }
        };
        let end = data.offset.checked_add(data.data_len);
        let inside = data.offset >= self.start && end.is_some_and(|end| end <= self.end);
        rule(inside, "goes beyond what was asked for (RFC 7143 §11.7.6)")?;
        let next = self.start + self.received;
        let ordered = !in_order || data.offset == next;
        rule(ordered, "is out of order by its offset (RFC 7143 §13.18)")?;
        let room = self.end - next;
        rule(
            data.data_len <= room,
            "repeats data of its sequence (RFC 7143 §11.7.6)",
        )?;
        self.received += data.data_len;
        let complete = self.start + self.received == self.end;
        rule(
            !data.is_final || complete,
            "ends its sequence too early (RFC 7143 §11.7.1)",
        )?;
        rule(
            data.is_final || !complete,
            "lacks the F bit at the end of its sequence (RFC 7143 §11.7.1)",
        )?;
        Ok(data.is_final)
    }
}
