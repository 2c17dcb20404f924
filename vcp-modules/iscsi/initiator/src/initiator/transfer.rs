//! Data of commands, byte for byte: a Data-In must continue the data before it, and an
//! R2T must ask for the next data (RFC 7143 §11.7, §11.8; both orders were negotiated as
//! "in order").

use alloc::format;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::pdu::{DataIn, R2t};

use super::Initiator;
use super::session::Fault;
use crate::connection::Sink;
use crate::task::{Data, Owner};

impl Initiator {
    /// Checks the header of a Data-In against its command and returns where its data
    /// goes.
    pub(super) fn data_in(&mut self, data: &DataIn) -> Result<Sink, Fault> {
        if self.connection.is_none() {
            return Ok(Sink::Collect);
        }
        let id = self
            .tasks
            .find(data.itt)
            .ok_or_else(|| Fault::stray("Data-In", data.itt))?;
        let task = self.tasks.get_mut(id);
        if !task.command.is_read() {
            return Err("Data-In for a command that reads nothing".into());
        }
        let progress = &mut task.progress;
        if data.data_sn != progress.sequence {
            return Err(format!(
                "Data-In with DataSN {} where {} is due",
                data.data_sn, progress.sequence
            )
            .into());
        }
        if data.offset != progress.received {
            return Err(format!(
                "Data-In for offset {} where {} is due",
                data.offset, progress.received
            )
            .into());
        }
        if data.data_len > task.command.length - progress.received {
            return Err("Data-In beyond the end of what was asked for".into());
        }
        // The A bit requests something that does not exist at error recovery level 0, and
        // has to be ignored there (RFC 7143 §11.7.2).
        progress.sequence = progress.sequence.wrapping_add(1);
        // A sequence may be longer than MaxBurstLength: common targets ignore that limit,
        // and every byte has its place even so.
        progress.received += data.data_len;
        Ok(match (task.command.data, task.owner) {
            (Data::In(span), _) => Sink::Memory(id, span.part(data.offset, data.data_len)),
            (_, Owner::Survey(place)) => Sink::Answer(id, place, data.offset),
            _ => Sink::Collect,
        })
    }

    /// Handles the end of a Data-In, which may end its command.
    pub(super) fn data_in_end(&mut self, now: u64, data: &DataIn) -> Result<(), Fault> {
        let Some(status) = data.status else {
            return Ok(());
        };
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        connection.unconfirmed.get_or_insert(now);
        if !connection.numbers.status(&data.sn) {
            return Err(format!("Data-In with StatSN {} out of order", data.sn.stat_sn).into());
        }
        let id = self
            .tasks
            .find(data.itt)
            .ok_or_else(|| Fault::stray("Data-In", data.itt))?;
        self.ended(now, id, status, data.residual, None)
    }

    /// Handles the target's request for part of a write's data.
    pub(super) fn r2t(&mut self, r2t: &R2t) -> Result<(), Fault> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let id = self
            .tasks
            .find(r2t.itt)
            .ok_or_else(|| Fault::stray("R2T", r2t.itt))?;
        let task = self.tasks.get_mut(id);
        if !task.command.is_write() {
            return Err("R2T for a command that writes nothing".into());
        }
        let progress = &mut task.progress;
        if r2t.r2t_sn != progress.sequence {
            return Err(format!("R2TSN {} where {} is due", r2t.r2t_sn, progress.sequence).into());
        }
        if r2t.offset != progress.asked {
            return Err(format!(
                "R2T for offset {} where {} is due",
                r2t.offset, progress.asked
            )
            .into());
        }
        if r2t.desired_len > task.command.length - progress.asked {
            return Err("R2T beyond the end of the data".into());
        }
        if r2t.desired_len > connection.params.max_burst {
            return Err("R2T for more than MaxBurstLength".into());
        }
        if progress.owed >= connection.params.max_outstanding_r2t {
            return Err("more R2Ts at a time than MaxOutstandingR2T".into());
        }
        if r2t.lun != progress.lun && r2t.lun != Lun::default() {
            return Err("R2T for another logical unit".into());
        }
        progress.sequence = progress.sequence.wrapping_add(1);
        progress.owed += 1;
        progress.asked += r2t.desired_len;
        let range = (r2t.offset, progress.asked);
        connection.push_burst(id, r2t.itt, r2t.ttt, r2t.lun, range);
        Ok(())
    }
}
