//! Ends of commands: whether they add up, and what becomes of their tasks.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;

use vcp_iscsi_proto::pdu::{Residual, ResponseCode, ScsiResponse, split_sense};
use vcp_iscsi_proto::scsi::{Sense, SenseKey, Status as ScsiStatus};

use super::session::{Fault, FaultKind};
use super::{Initiator, Phase};
use crate::action::{Action, Level};
use crate::block::{Operation, Request, Status};
use crate::scsi::{Device, Next, Survey, Verdict, judge, needs_sync};
use crate::task::{Owner, Step, TaskId};
use crate::timer::Timer;

/// Times that a command is sent again after being turned away.
const MAX_RETRIES: u8 = 8;
/// How long a busy target is waited for, in nanoseconds.
const LONGEST_WAIT: u64 = 60_000_000_000;

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
            self.log(
                Level::Warn,
                format!("a command failed in the target: {}", response.response),
            );
            return self.settle(now, id, Verdict::Again, Residual::None, None);
        }
        let (sense, _) = split_sense(data).map_err(|e| e.to_string())?;
        let sense = Sense::parse(sense).ok();
        self.ended(now, id, response.status, response.residual, sense)
    }

    /// A command has ended with a SCSI status: checks that the bytes add up.
    pub(super) fn ended(
        &mut self,
        now: u64,
        id: TaskId,
        status: ScsiStatus,
        residual: Residual,
        sense: Option<Sense>,
    ) -> Result<(), Fault> {
        let task = self.tasks.get(id);
        let (command, progress) = (&task.command, &task.progress);
        let expected = match residual {
            Residual::Underflow(count) if count > command.length => {
                return Err("a residual count that is more than the whole".into());
            }
            Residual::Underflow(count) => command.length - count,
            Residual::None | Residual::Overflow(_) => command.length,
        };
        let ours = matches!(task.owner, Owner::Request(_));
        if status == ScsiStatus::Good && command.is_read() {
            let short = progress.received < expected;
            if progress.received > expected || short && ours {
                return Err(format!(
                    "a read ended well with {} bytes where {expected} are due",
                    progress.received
                )
                .into());
            }
        }
        if status == ScsiStatus::Good && command.is_write() && residual == Residual::None {
            let sending = self.connection.as_ref().is_some_and(|c| c.is_sending(id));
            if progress.sent < command.length || sending {
                return Err("a write ended well before its data was sent".into());
            }
        }
        let verdict = judge(status, sense.as_ref());
        self.settle(now, id, verdict, residual, sense)
    }

    /// What becomes of a task whose command has ended.
    pub(super) fn settle(
        &mut self,
        now: u64,
        id: TaskId,
        verdict: Verdict,
        residual: Residual,
        sense: Option<Sense>,
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
            (Verdict::Again | Verdict::Changed, Owner::Survey(place))
                if self.takes_attention(place, sense) =>
            {
                self.survey_answer(id, place, Verdict::Good, None)?;
            }
            (Verdict::Again, _) | (Verdict::Changed, Owner::Survey(_)) => self.again(id)?,
            (Verdict::Later, _) => self.later(now, id)?,
            (_, Owner::Survey(place)) => self.survey_answer(id, place, verdict, sense)?,
            (Verdict::Changed, _) => {
                self.again(id)?;
                self.look_again();
            }
            (Verdict::Good, Owner::Request(request)) => {
                // Of other commands the bytes are parameters, which some targets
                // do not count.
                let moves_data = matches!(request.operation, Operation::Read | Operation::Write);
                if residual == Residual::None || !moves_data {
                    self.advance(id, &request);
                } else {
                    self.log(
                        Level::Warn,
                        "a command moved other bytes than it was to".into(),
                    );
                    self.finish(id, request.tag, Status::IoError);
                }
            }
            (Verdict::Unsupported, Owner::Request(request)) => self.degrade(id, &request, step),
            (Verdict::Failed(status), Owner::Request(request)) => {
                self.log_failure(&request, sense);
                self.finish(id, request.tag, status);
            }
            (_, Owner::Free) => {}
        }
        self.continue_leave(now);
        Ok(())
    }

    /// A part of a request is done.
    fn advance(&mut self, id: TaskId, request: &Request) {
        self.throttle.reset();
        let sync = self
            .device
            .as_ref()
            .is_some_and(|device| needs_sync(device, request));
        let task = self.tasks.get_mut(id);
        task.retries = 0;
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
        self.finish(id, request.tag, Status::Ok);
    }

    fn finish(&mut self, id: TaskId, tag: u64, status: Status) {
        self.tasks.remove(id);
        self.complete(tag, status);
    }

    /// The same command again, at once.
    pub(super) fn again(&mut self, id: TaskId) -> Result<(), Fault> {
        let task = self.tasks.get_mut(id);
        task.retries += 1;
        if task.retries > MAX_RETRIES {
            return self.give_up(id, "a command was turned away too often");
        }
        self.tasks.requeue(id);
        Ok(())
    }

    /// The same command again, after a while in which nothing else is sent either:
    /// the target has enough to do.
    pub(super) fn later(&mut self, now: u64, id: TaskId) -> Result<(), Fault> {
        let task = self.tasks.get_mut(id);
        let since = *task.waiting_since.get_or_insert(now);
        if now.saturating_sub(since) > LONGEST_WAIT {
            return self.give_up(id, "the target stayed busy too long");
        }
        self.tasks.requeue(id);
        if !self.timers.is_set(Timer::Throttle) {
            let delay = self.throttle.delay();
            self.timers.set(Timer::Throttle, now + delay);
        }
        Ok(())
    }

    fn give_up(&mut self, id: TaskId, why: &str) -> Result<(), Fault> {
        match self.tasks.get(id).owner {
            Owner::Request(request) => {
                self.log(Level::Error, format!("{}: {why}", self.place()));
                self.finish(id, request.tag, Status::IoError);
                Ok(())
            }
            Owner::Survey(place) => {
                self.survey_answer(id, place, Verdict::Failed(Status::IoError), None)
            }
            Owner::Free => Ok(()),
        }
    }

    /// The logical unit does not do what it was asked for: does without it from
    /// here on, and says so.
    fn degrade(&mut self, id: TaskId, request: &Request, step: Step) {
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
            Some(status) => self.finish(id, request.tag, status),
            None => self.tasks.requeue(id),
        }
    }

    /// Tells the caller what the logical unit is now.
    fn announce(&mut self) {
        if let (Some(device), Phase::Ready) = (&self.device, &self.phase) {
            self.actions
                .push_back(Action::Ready(device.geometry(&self.config)));
        }
    }

    fn log_failure(&mut self, request: &Request, sense: Option<Sense>) {
        let what = match sense {
            Some(sense) => sense.to_string(),
            None => "no sense data".into(),
        };
        self.log(
            Level::Warn,
            format!(
                "{}: {:?} of {} bytes at {}: {what}",
                self.place(),
                request.operation,
                request.length,
                request.offset
            ),
        );
    }

    /// Asks all questions at once, before whatever waits.
    pub(super) fn begin_survey(&mut self, survey: Survey) {
        self.survey = Some(Box::new(survey));
        for place in Survey::places().rev() {
            self.tasks.add_front(Owner::Survey(place));
        }
    }

    fn takes_attention(&self, place: u8, sense: Option<Sense>) -> bool {
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

    fn survey_answer(
        &mut self,
        id: TaskId,
        place: u8,
        verdict: Verdict,
        sense: Option<Sense>,
    ) -> Result<(), Fault> {
        let received = self.tasks.get(id).progress.received;
        let Some(survey) = &mut self.survey else {
            return Ok(());
        };
        match survey.answer(place, verdict, received, sense) {
            Ok(Next::Question) => {
                let task = self.tasks.get_mut(id);
                task.retries = 0;
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
