//! Ends of commands: whether they add up, and what becomes of their tasks.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;

use vcp_iscsi_proto::pdu::{Residual, ResponseCode, ScsiResponse, split_sense};
use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status as ScsiStatus};

use super::session::{Fault, FaultKind};
use super::{Initiator, Phase};
use crate::action::{Action, Level};
use crate::block::{Operation, Request, Status};
use crate::scsi::{Device, Ending, Next, Survey, Verdict, judge, needs_sync};
use crate::task::{Owner, Step, Task, TaskId};

impl Initiator {
    /// A SCSI Response (RFC 7143 §11.4).
    pub(super) fn response(
        &mut self,
        now: u64,
        response: &ScsiResponse,
        data: &[u8],
    ) -> Result<(), Fault> {
        let id = self
            .tasks
            .find(response.itt)
            .ok_or("a SCSI Response for a command that is not under way")?;
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

    /// A command has ended with a SCSI status. Whatever that says, it is done only if
    /// all of its bytes were moved.
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

    /// What becomes of a task whose command has ended.
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
            (Verdict::Again | Verdict::Changed, Owner::Survey(place))
                if self.takes_attention(place, ending.sense()) =>
            {
                self.survey_answer(id, place, Verdict::Good, ending)?;
            }
            // It comes again in the next session; the target is on its way out.
            _ if self.is_draining() && may_wait(verdict, ending) => self.tasks.requeue(id),
            (Verdict::Again, _) | (Verdict::Changed | Verdict::Aborted, Owner::Survey(_)) => {
                self.again(id, ending)?
            }
            (Verdict::Later, _) => self.put_off(now, id, ending)?,
            (Verdict::Busy, _) => self.throttled(now, id, ending)?,
            (Verdict::Start, _) => {
                self.put_off(now, id, ending)?;
                self.start_unit();
            }
            (_, Owner::Survey(place)) => self.survey_answer(id, place, verdict, ending)?,
            (Verdict::Aborted, _) => self.aborted(now, id, ending)?,
            (Verdict::Changed, _) => {
                self.again(id, ending)?;
                self.look_again();
            }
            (Verdict::Good, Owner::Request(request)) => self.advance(id, &request),
            (Verdict::Unsupported, Owner::Request(request)) => {
                self.degrade(id, &request, step, ending);
            }
            (Verdict::Failed(status), Owner::Request(request)) => {
                let line = self.describe(id, ending);
                self.log(Level::Warn, line);
                self.finish(id, &request, status);
            }
        }
        self.tell_served();
        self.continue_leave(now);
        Ok(())
    }

    /// The logical unit was told to start. Whether it has, the commands that wait for
    /// it find out.
    fn unit_started(&mut self, id: TaskId, verdict: Verdict, ending: &Ending) {
        if verdict != Verdict::Good {
            let line = self.describe(id, ending);
            self.log(Level::Warn, line);
        }
        self.tasks.remove(id);
    }

    /// Sense data that is of interest whatever becomes of the command.
    pub(super) fn heed(&mut self, sense: Option<&Sense>) {
        if let Some(sense) = sense
            && sense.asc == Asc::THIN_PROVISIONING_THRESHOLD
        {
            let line = format!("{}: {sense}", self.place());
            self.actions.push_back(Action::LowSpace(line));
        }
    }

    /// A part of a request is done.
    fn advance(&mut self, id: TaskId, request: &Request) {
        self.throttle.reset();
        let sync = self
            .device
            .as_ref()
            .is_some_and(|device| needs_sync(device, request));
        let task = self.tasks.get_mut(id);
        (task.retries, task.aborted, task.waits) = (0, 0, 0);
        task.waiting_since = None;
        if task.step == Step::Body {
            task.done += task.command.covers;
            if request.operation != Operation::Flush && task.done < request.length {
                return self.tasks.requeue(id);
            }
            if sync {
                task.step = Step::Sync;
                return self.tasks.requeue(id);
            }
        }
        self.finish(id, request, Status::Ok);
    }

    /// The logical unit does not do what it was asked for: does without it from
    /// here on, and says so.
    fn degrade(&mut self, id: TaskId, request: &Request, step: Step, ending: &Ending) {
        let line = self.describe(id, ending);
        self.log(Level::Warn, line);
        let Some(device) = &mut self.device else {
            return;
        };
        let before = device.clone();
        let status = if step == Step::Sync || request.operation == Operation::Flush {
            match device.write_cache_known {
                true => Some(Status::NotSupported),
                // It has no command for a cache and never said that it has one.
                false => {
                    device.write_cache = false;
                    Some(Status::Ok)
                }
            }
        } else {
            without(device, request)
        };
        if *device != before {
            self.announce();
        }
        match status {
            Some(status) => self.finish(id, request, status),
            None => self.tasks.requeue(id),
        }
    }

    /// Tells the caller what the logical unit is now.
    pub(super) fn announce(&mut self) {
        if let (Some(device), Phase::Ready) = (&self.device, &self.phase) {
            self.actions
                .push_back(Action::Ready(device.geometry(&self.config)));
        }
    }

    /// Asks all questions at once, before whatever waits.
    pub(super) fn begin_survey(&mut self, survey: Survey) {
        self.survey = Some(Box::new(survey));
        for place in Survey::places().rev() {
            self.tasks.add_front(Owner::Survey(place));
        }
    }

    fn takes_attention(&self, place: u8, sense: Option<&Sense>) -> bool {
        sense.is_some_and(|sense| sense.key == SenseKey::UnitAttention)
            && self
                .survey
                .as_ref()
                .is_some_and(|s| s.takes_attention(place))
    }

    /// The logical unit says that it has changed: asks again, beside the requests.
    pub(super) fn look_again(&mut self) {
        if self.survey.is_none() && matches!(self.phase, Phase::Ready) {
            self.log(
                Level::Info,
                format!("{}: the logical unit has changed", self.place()),
            );
            self.begin_survey(Survey::new(self.config.lun));
        }
    }

    pub(super) fn survey_answer(
        &mut self,
        id: TaskId,
        place: u8,
        verdict: Verdict,
        ending: &Ending,
    ) -> Result<(), Fault> {
        let received = self.tasks.get(id).progress.stored;
        let Some(survey) = &mut self.survey else {
            return Ok(());
        };
        match survey.answer(place, verdict, received, ending) {
            Ok(Next::Question) => {
                let task = self.tasks.get_mut(id);
                (task.retries, task.waits) = (0, 0);
                task.waiting_since = None;
                self.tasks.requeue(id);
                Ok(())
            }
            Ok(Next::Answers) => {
                self.tasks.remove(id);
                Ok(())
            }
            Ok(Next::Known(device)) => {
                self.tasks.remove(id);
                self.survey = None;
                self.adopt(device)
            }
            Err(error) => Err(Fault {
                reason: error.0,
                kind: FaultKind::Refusal,
            }),
        }
    }

    /// Everything is known, for the first time or once more.
    fn adopt(&mut self, mut device: Device) -> Result<(), Fault> {
        device.limit_transfer(&self.config);
        let changed = match &self.device {
            None => true,
            Some(known) => {
                if let Some(reason) = known.differs(&device) {
                    let reason = format!("logical unit {}: {reason}", self.config.lun);
                    return Err(Fault {
                        reason,
                        kind: FaultKind::Fatal,
                    });
                }
                *known != device
            }
        };
        self.device = Some(device);
        if !matches!(self.phase, Phase::Ready) {
            self.ready();
        } else if changed {
            self.announce();
        }
        Ok(())
    }
}

/// Takes from a device what it just refused; `None` when the request can still be
/// done in another way.
fn without(device: &mut Device, request: &Request) -> Option<Status> {
    match request.operation {
        Operation::Write if request.fua && device.fua => {
            device.fua = false;
            None
        }
        Operation::Discard if device.max_unmap > 0 => {
            device.max_unmap = 0;
            (!device.write_same_unmaps || device.max_write_same == 0)
                .then_some(Status::NotSupported)
        }
        Operation::Discard => {
            device.write_same_unmaps = false;
            Some(Status::NotSupported)
        }
        Operation::WriteZeroes if device.max_write_same > 0 => {
            let unmapping =
                device.write_same_unmaps && device.unmapped_is_zero && !request.no_unmap;
            if unmapping {
                device.write_same_unmaps = false;
            } else {
                device.max_write_same = 0;
            }
            None
        }
        Operation::WriteZeroes if request.fua && device.fua => {
            device.fua = false;
            None
        }
        _ => Some(Status::Invalid),
    }
}

/// Why a command that ended well was not carried out: what was moved, as far as the
/// target and we agree.
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

/// Whether what a target says while it wants to be left is no answer of the unit's.
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
