//! Ends of commands: checks whether they are complete, and continues or ends their tasks.

use alloc::format;
use alloc::string::ToString;

use vcp_iscsi_proto::pdu::{Residual, ResponseCode, ScsiResponse, split_sense};
use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status as ScsiStatus};

use super::Initiator;
use super::session::Fault;
use crate::action::{Action, Level};
use crate::block::{Operation, Request, Status};
use crate::scsi::{Device, Ending, Verdict, judge};
use crate::task::{Command, Data, Owner, Step, Task, TaskId};

impl Initiator {
    /// Handles a SCSI Response (RFC 7143 §11.4).
    pub(super) fn response(
        &mut self,
        now: u64,
        response: &ScsiResponse,
        data: &[u8],
    ) -> Result<(), Fault> {
        let id = self
            .tasks
            .find(response.itt)
            .ok_or_else(|| Fault::stray("a SCSI Response", response.itt))?;
        let progress = &self.tasks.get(id).progress;
        if response.exp_data_sn != 0 && response.exp_data_sn != progress.sequence {
            return Err(format!(
                "a SCSI Response that counts {} data PDUs where there were {}",
                response.exp_data_sn, progress.sequence
            )
            .into());
        }
        if response.response != ResponseCode::Completed {
            let ending = Ending::Failure(response.response);
            return self.settle(now, id, Verdict::Aborted, &ending);
        }
        let (sense, _) = split_sense(data).map_err(|e| e.to_string())?;
        let sense = Sense::parse(sense).ok();
        self.ended(now, id, response.status, response.residual, sense)
    }

    /// Handles the end of a command with a SCSI status. Whatever the status, the command
    /// succeeded only if all of its bytes were moved.
    pub(super) fn ended(
        &mut self,
        now: u64,
        id: TaskId,
        status: ScsiStatus,
        residual: Residual,
        sense: Option<Sense>,
    ) -> Result<(), Fault> {
        let ending = Ending::Status(status, sense);
        self.heed(sense.as_ref());
        let verdict = judge(status, sense.as_ref());
        let task = self.tasks.get(id);
        let ours = matches!(task.owner, Owner::Request(_));
        if verdict == Verdict::Good && ours {
            let sending = self.connection.as_ref().is_some_and(|c| c.is_sending(id));
            let counted = !task.command.counted || residual == Residual::None;
            if !task.is_complete(sending) || !counted {
                let ending = short(task, status, residual);
                return self.settle(now, id, Verdict::Aborted, &ending);
            }
        }
        self.settle(now, id, verdict, &ending)
    }

    /// Continues or ends a task whose command has ended.
    pub(super) fn settle(
        &mut self,
        now: u64,
        id: TaskId,
        verdict: Verdict,
        ending: &Ending,
    ) -> Result<(), Fault> {
        let task = self.tasks.get(id);
        let (owner, step) = (task.owner, task.step);
        if let Some(connection) = &mut self.connection {
            connection.forget(id, task.progress.owes());
        }
        if self.abort.as_ref().is_some_and(|abort| abort.is_of(id)) {
            self.abort_overtaken();
        }
        match (verdict, owner) {
            (_, Owner::Free) => {}
            (_, Owner::Start) => self.unit_started(id, verdict, ending),
            // The command comes again in the next session, as the target is going away.
            _ if self.is_draining() && may_wait(verdict, ending) => self.tasks.requeue(id),
            (_, Owner::Survey(place)) => self.survey_ended(now, id, place, verdict, ending)?,
            _ if ending.is_conflict() && self.first_conflict(id) => self.tasks.requeue(id),
            (Verdict::Again, _) => self.again(id, ending)?,
            (Verdict::Later, _) => self.put_off(now, id, ending)?,
            (Verdict::Busy, _) => self.throttled(now, id, ending)?,
            (Verdict::Start, _) => {
                self.put_off(now, id, ending)?;
                self.start_unit();
            }
            (Verdict::Aborted, _) => self.aborted(now, id, ending)?,
            (Verdict::Changed, _) => {
                self.again(id, ending)?;
                self.look_again();
            }
            (Verdict::Deferred, Owner::Request(request)) => {
                self.earlier_write_failed(now, id, &request, ending)?;
            }
            (Verdict::Good, Owner::Request(request)) => self.advance(id, &request),
            (Verdict::Unsupported, Owner::Request(request)) => {
                self.degrade(id, &request, step, ending);
            }
            (Verdict::Failed(status), Owner::Request(request)) => {
                self.failed(id, &request, status, ending);
            }
            (Verdict::OutOfRange, Owner::Request(request)) => {
                self.failed(id, &request, request.operation.beyond_the_end(), ending);
            }
        }
        self.tell_served();
        self.continue_leave(now);
        Ok(())
    }

    /// Ends a request that has failed for good.
    fn failed(&mut self, id: TaskId, request: &Request, status: Status, ending: &Ending) {
        let line = self.describe(id, ending);
        self.log(Level::Warn, line);
        self.finish(id, request, status);
    }

    /// Whether a command meets a reservation for the first time. The holder may have
    /// given it up since, so the command is sent once more before it is an error.
    fn first_conflict(&mut self, id: TaskId) -> bool {
        !core::mem::replace(&mut self.tasks.get_mut(id).conflicted, true)
    }

    /// Handles the end of START STOP UNIT. The waiting commands will show whether the
    /// unit has started.
    fn unit_started(&mut self, id: TaskId, verdict: Verdict, ending: &Ending) {
        if verdict != Verdict::Good {
            let line = self.describe(id, ending);
            self.log(Level::Warn, line);
        }
        self.tasks.remove(id);
    }

    /// Handles sense data that matters whatever becomes of the command.
    pub(super) fn heed(&mut self, sense: Option<&Sense>) {
        if let Some(sense) = sense
            && sense.asc == Asc::THIN_PROVISIONING_THRESHOLD
        {
            let line = format!("{}: {sense}", self.place());
            self.actions.push_back(Action::LowSpace(line));
        }
    }

    /// Handles a deferred error: something that was answered as done was not. This
    /// command was not carried out and is sent again; the current or next flush reports
    /// the loss. A unit without a cache is sent no flush, and then this request has to
    /// report it.
    fn earlier_write_failed(
        &mut self,
        now: u64,
        id: TaskId,
        request: &Request,
        ending: &Ending,
    ) -> Result<(), Fault> {
        let line = format!("{}: an earlier write has failed", self.describe(id, ending));
        self.log(Level::Error, line);
        let flushes = self.device.as_ref().is_some_and(|d| d.write_cache);
        if request.operation == Operation::Flush || request.fua || !flushes {
            self.finish(id, request, Status::IoError);
            return Ok(());
        }
        self.lost_write = true;
        self.aborted(now, id, ending)
    }

    /// Notes that a part of a request is done.
    fn advance(&mut self, id: TaskId, request: &Request) {
        self.throttle.reset();
        self.lengthy(self.tasks.get(id).command.covers);
        let cache = self.device.as_ref().is_some_and(|d| d.write_cache);
        let task = self.tasks.get_mut(id);
        (task.retries, task.aborted, task.waits) = (0, 0, 0);
        task.conflicted = false;
        task.waiting_since = None;
        if task.step == Step::Body {
            task.done += task.command.covers;
            task.cached |= !task.command.fua;
            if request.operation != Operation::Flush && task.done < request.length {
                return self.tasks.requeue(id);
            }
            // The unit's capabilities may have changed since the command was sent.
            let writes = !matches!(request.operation, Operation::Read | Operation::Flush);
            if request.fua && writes && cache && task.cached {
                task.step = Step::Sync;
                return self.tasks.requeue(id);
            }
        }
        let is_flush = request.operation == Operation::Flush;
        let status = match is_flush && core::mem::take(&mut self.lost_write) {
            true => Status::IoError,
            false => Status::Ok,
        };
        self.finish(id, request, status);
    }

    /// Stops using a command or flag that the logical unit refuses, and logs that.
    fn degrade(&mut self, id: TaskId, request: &Request, step: Step, ending: &Ending) {
        let line = self.describe(id, ending);
        self.log(Level::Warn, line);
        let command = self.tasks.get(id).command;
        let Some(device) = &mut self.device else {
            return;
        };
        let before = device.clone();
        let status = if step == Step::Sync || request.operation == Operation::Flush {
            match device.write_cache_known {
                true => Some(Status::NotSupported),
                // The unit has no command for a cache and never said that it has one.
                false => {
                    device.write_cache = false;
                    Some(Status::Ok)
                }
            }
        } else {
            without(device, request, &command)
        };
        if *device != before {
            self.announce();
        }
        match status {
            Some(Status::Invalid) if self.shorten(id) => self.tasks.requeue(id),
            Some(status) => self.finish(id, request, status),
            None => self.tasks.requeue(id),
        }
    }
}

/// Removes from a device the capability that it just refused; `None` when the request can
/// still be done in another way. The refused command counts, which may not be the one
/// that would be sent by now.
fn without(device: &mut Device, request: &Request, refused: &Command) -> Option<Status> {
    const UNMAP_BIT: u8 = 0x08;
    let discard = request.operation == Operation::Discard;
    match refused.data {
        // This was an UNMAP.
        Data::Parameters(_) => {
            device.max_unmap = 0;
            (!device.write_same_unmaps || device.max_write_same == 0)
                .then_some(Status::NotSupported)
        }
        // This was a WRITE SAME.
        Data::Zeroes if !refused.counted => {
            if refused.cdb[1] & UNMAP_BIT != 0 {
                device.write_same_unmaps = false;
            } else {
                device.max_write_same = 0;
            }
            discard.then_some(Status::NotSupported)
        }
        Data::Out(_) | Data::Zeroes if refused.fua => {
            device.fua = false;
            None
        }
        _ => Some(Status::Invalid),
    }
}

/// The reason why a command with a good status was not carried out: the number of moved
/// bytes, by the target's count and ours.
fn short(task: &Task, status: ScsiStatus, residual: Residual) -> Ending {
    let (command, progress) = (&task.command, &task.progress);
    let ours = if command.is_read() {
        progress.stored
    } else {
        progress.sent
    };
    let moved = match residual {
        Residual::Underflow(count) => ours.min(command.length.saturating_sub(count)),
        Residual::Overflow(count) => command.length.saturating_add(count),
        Residual::None => ours,
    };
    Ending::Short {
        status,
        moved,
        due: command.length,
    }
}

/// Whether an answer of a target that asks for a logout may not be the unit's own.
fn may_wait(verdict: Verdict, ending: &Ending) -> bool {
    let gone = ending
        .sense()
        .is_some_and(|s| s.key == SenseKey::IllegalRequest && s.asc == Asc::LUN_NOT_SUPPORTED);
    gone || matches!(
        verdict,
        Verdict::Again
            | Verdict::Changed
            | Verdict::Later
            | Verdict::Busy
            | Verdict::Start
            | Verdict::Aborted
    )
}
