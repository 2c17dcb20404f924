//! Sending read data and its status (RFC 7143 §11.7).

use vcp_iscsi_proto::pdu::{DataIn, Residual, TargetSn};
use vcp_iscsi_proto::scsi::Status;
use vcp_iscsi_proto::{Lun, RESERVED_TAG, Serial};

use super::super::wire::Wire;
use super::FullFeature;
use super::task::{Sending, Source, Work};
use crate::lun::{LogicalUnit, Refusal, Sense};
use crate::script::Misbehaviour;

impl FullFeature {
    /// Makes Data-Ins as long as the output has room.
    pub(in super::super) fn pump(&mut self, wire: &mut Wire) {
        while !wire.output.is_full()
            && let Some(&itt) = self.sending.front()
        {
            if self.send_one(wire, itt) {
                self.sending.pop_front();
            }
        }
    }

    /// Sends one Data-In; true when there is nothing more to send for the task.
    fn send_one(&mut self, wire: &mut Wire, itt: u32) -> bool {
        let Some(mut task) = self.tasks.remove(&itt) else {
            return true;
        };
        let Work::Send(sending) = &task.work else {
            return true;
        };
        let p = &self.session.parameters;
        let left = sending.length - sending.sent;
        let burst_left = p.max_burst - sending.sent % p.max_burst;
        let data_len = left.min(p.max_send).min(burst_left);
        let (is_last, is_burst_end) = (data_len == left, data_len == burst_left);
        let offset = sending.sent;
        if is_last {
            // This comes first, so that the status offers the task's place in the window.
            self.vacate(&mut task);
        }
        let collapse = is_last && wire.target.config().policy.collapse_status;
        let sn = self.sn(wire);
        let pdu = DataIn {
            is_final: is_last || is_burst_end,
            acknowledge: false,
            status: collapse.then_some(Status::Good),
            data_len,
            lun: Lun(0),
            itt,
            ttt: RESERVED_TAG,
            sn: TargetSn {
                stat_sn: if collapse { sn.stat_sn } else { Serial(0) },
                ..sn
            },
            data_sn: task.data_sn,
            offset,
            residual: if collapse {
                task.residual()
            } else {
                Residual::None
            },
        };
        let residual = task.residual();
        let Work::Send(sending) = &mut task.work else {
            return true;
        };
        let unit = task.unit.as_deref();
        let sent = wire
            .output
            .push_with(&pdu.into(), |out| sending.fill(unit, data_len, out));
        match sent {
            Ok(Some(Misbehaviour::StatusEarly)) => {
                self.vacate(&mut task);
                self.respond(wire, &task, Ok(()), Residual::None);
                true
            }
            Ok(_) => {
                sending.sent += data_len;
                task.data_sn += 1;
                if !is_last {
                    self.tasks.insert(itt, task);
                } else if collapse {
                    self.stat_sn = self.stat_sn.next();
                } else {
                    self.respond(wire, &task, Ok(()), residual);
                }
                is_last
            }
            Err(refusal) => {
                self.vacate(&mut task);
                self.respond(wire, &task, Err(refusal), residual);
                true
            }
        }
    }
}

impl Sending {
    /// Appends the next bytes.
    fn fill(
        &self,
        unit: Option<&LogicalUnit>,
        length: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let (start, length) = (self.sent as usize, length as usize);
        match (&self.source, unit) {
            (Source::Medium(offset), Some(unit)) => {
                unit.read(offset + u64::from(self.sent), length, out)
            }
            (Source::Medium(_), None) => Err(Sense::NO_SUCH_UNIT.into()),
            (Source::Bytes(bytes), _) => {
                out.extend_from_slice(&bytes[start..start + length]);
                Ok(())
            }
        }
    }
}
