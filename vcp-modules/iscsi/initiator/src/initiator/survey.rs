//! Finding out about the logical unit: at the start of a session, and beside the requests
//! when the unit reports a change, when the caller asks for it, and periodically.
//!
//! The unit's answers are believed; what it can't answer is asked again, in the same
//! session. Only a unit that identifies itself as another is fatal.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use vcp_iscsi_proto::scsi::SenseKey;

use super::session::{Fault, FaultKind};
use super::{Initiator, MS, Phase};
use crate::action::{Action, Level};
use crate::backoff::Backoff;
use crate::scsi::{Difference, Ending, Found, Next, Survey, Verdict};
use crate::task::{Owner, TaskId};
use crate::timer::Timer;

/// The state that is kept from one survey to the next.
#[derive(Debug)]
pub(super) struct Asking {
    /// The delay after a survey without a result.
    backoff: Backoff,
    /// The time and result of the first such survey.
    since: Option<u64>,
    told: Option<String>,
    rescan: Rescan,
}

/// Whether the caller wants to be told of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rescan {
    No,
    /// Yes, of the result of the next survey.
    Next,
    /// Yes, of the result of the current survey.
    Now,
}

impl Asking {
    pub(super) fn new() -> Self {
        Self {
            backoff: Backoff::new(100 * MS, 5000 * MS),
            since: None,
            told: None,
            rescan: Rescan::No,
        }
    }

    /// Notes that the unit's properties are known.
    fn settled(&mut self) {
        self.backoff.reset();
        self.since = None;
        self.told = None;
        if self.rescan == Rescan::Now {
            self.rescan = Rescan::No;
        }
    }
}

impl Initiator {
    /// Examines the logical unit again, and gives `Ready` with the result, even if
    /// nothing has changed. If it is not served just now, it is examined once it is.
    pub fn rescan(&mut self, _now: u64) {
        if matches!(self.phase, Phase::Ready) {
            self.asking.rescan = Rescan::Next;
            self.survey_again();
        }
    }

    /// Asks all questions, before anything that waits.
    pub(super) fn begin_survey(&mut self) {
        let served = self.device.is_some() || self.config.predecessor;
        if self.asking.rescan == Rescan::Next {
            self.asking.rescan = Rescan::Now;
        }
        self.ask(Survey::new(self.config.lun, self.lun, served));
    }

    fn ask(&mut self, survey: Survey) {
        self.timers.stop(Timer::Survey);
        for place in survey.places().rev() {
            self.tasks.add_front(Owner::Survey(place));
        }
        self.survey = Some(Box::new(survey));
    }

    /// Begins a survey beside the requests, unless there is one.
    fn survey_again(&mut self) {
        if self.survey.is_none() && self.leave.is_none() {
            self.begin_survey();
        }
    }

    /// Asks again, beside the requests, as the logical unit reports a change. A unit that
    /// could not answer the last time is given time.
    pub(super) fn look_again(&mut self) {
        let waits = self.timers.is_set(Timer::Survey);
        if self.survey.is_none() && matches!(self.phase, Phase::Ready) && !waits {
            self.log(
                Level::Info,
                format!("{}: the logical unit has changed", self.place()),
            );
            self.survey_again();
        }
    }

    /// Asks the unanswered questions again, as the time has come.
    pub(super) fn survey_due(&mut self, now: u64) {
        if matches!(self.phase, Phase::Surveying) {
            let timeout = self.config.timing.login_timeout;
            self.timers.set(Timer::Login, now.saturating_add(timeout));
        }
        if self.is_serving() {
            self.survey_again();
        }
    }

    /// Checks the capacity, as the time has come.
    pub(super) fn capacity_due(&mut self, now: u64) {
        self.watch_capacity(now);
        let idle = self.survey.is_none() && !self.timers.is_set(Timer::Survey);
        if let (Phase::Ready, Some(device), true) = (&self.phase, &self.device, idle)
            && self.leave.is_none()
        {
            self.ask(Survey::of_capacity(self.config.lun, self.lun, device));
        }
    }

    pub(super) fn watch_capacity(&mut self, now: u64) {
        match self.config.timing.capacity_interval {
            0 => {}
            interval => self
                .timers
                .set(Timer::Capacity, now.saturating_add(interval)),
        }
    }

    /// Handles the answer to a question of the survey, or its failure.
    pub(super) fn survey_ended(
        &mut self,
        now: u64,
        id: TaskId,
        place: u8,
        verdict: Verdict,
        ending: &Ending,
    ) -> Result<(), Fault> {
        if matches!(self.phase, Phase::Surveying) {
            // Only a unit that stays silent is not waited for.
            let timeout = self.config.timing.login_timeout;
            self.timers.set(Timer::Login, now.saturating_add(timeout));
        }
        let Some(survey) = &mut self.survey else {
            self.tasks.remove(id);
            return Ok(());
        };
        let attention = ending
            .sense()
            .is_some_and(|sense| sense.key == SenseKey::UnitAttention);
        if verdict == Verdict::Changed {
            survey.alarm();
        }
        match verdict {
            Verdict::Again | Verdict::Changed if attention && survey.takes_attention(place) => {
                self.survey_answer(id, place, Verdict::Good, ending)
            }
            Verdict::Again | Verdict::Changed | Verdict::Aborted => self.again(id, ending),
            // Our own questions may be too many at a time.
            Verdict::Busy => self.throttled(now, id, ending),
            Verdict::Start => {
                self.put_off(now, id, ending)?;
                self.start_unit();
                Ok(())
            }
            _ => self.survey_answer(id, place, verdict, ending),
        }
    }

    pub(super) fn survey_answer(
        &mut self,
        id: TaskId,
        place: u8,
        verdict: Verdict,
        ending: &Ending,
    ) -> Result<(), Fault> {
        // Answers are handled as soon as they arrive.
        let now = self.last_heard;
        let received = self.tasks.get(id).progress.stored;
        let Some(survey) = &mut self.survey else {
            self.tasks.remove(id);
            return Ok(());
        };
        let next = survey.answer(place, verdict, received, ending);
        if let Ok(Next::Question) = next {
            let task = self.tasks.get_mut(id);
            (task.retries, task.waits) = (0, 0);
            task.waiting_since = None;
            self.tasks.requeue(id);
            return Ok(());
        }
        self.tasks.remove(id);
        match next {
            Ok(Next::Question | Next::Answers) => Ok(()),
            Ok(Next::Ask(places)) => {
                for place in places.into_iter().rev() {
                    self.tasks.add_front(Owner::Survey(place));
                }
                Ok(())
            }
            Ok(Next::Known(found)) => self.adopt(now, found),
            Ok(Next::Unclear(reason)) => self.unclear(now, reason, None),
            Ok(Next::Looked(changed)) => {
                self.survey = None;
                match (changed, self.asking.rescan) {
                    (true, _) => self.look_again(),
                    (false, Rescan::Next) => self.survey_again(),
                    (false, _) => {}
                }
                Ok(())
            }
            Err(error) => Err(Fault {
                reason: error.0,
                kind: FaultKind::Refusal,
            }),
        }
    }

    /// Adopts a complete result, for the first time or again.
    fn adopt(&mut self, now: u64, mut found: Found) -> Result<(), Fault> {
        let difference = match &self.device {
            Some(known) => {
                let difference = known.differs(&found.device);
                found.device.complete(known, found.gaps);
                difference
            }
            None if !self.config.identity.is_empty() => {
                found.device.is_known_as(&self.config.identity)
            }
            None if found.device.identity.is_unclear() => Difference::Unclear,
            None => Difference::None,
        };
        match difference {
            Difference::None => {
                self.settle_for(now, found);
                Ok(())
            }
            Difference::Unclear => self.unclear(now, found.unnamed.clone(), Some(found)),
            Difference::Is(reason) => Err(Fault {
                reason: format!("logical unit {}: {reason}", self.config.lun),
                kind: FaultKind::Fatal,
            }),
        }
    }

    /// Handles a unit that does not tell what is needed, if only its identity: it is
    /// asked again after a while. In a new session requests wait for that; in a serving
    /// one they do not. A unit that was never served is served without an identity in the
    /// end, unless its identity is known.
    fn unclear(&mut self, now: u64, reason: String, found: Option<Found>) -> Result<(), Fault> {
        self.survey = None;
        let again = now.saturating_add(self.asking.backoff.delay());
        if self.device.is_none() {
            let since = *self.asking.since.get_or_insert(now);
            let patience = since.saturating_add(self.config.timing.login_timeout);
            match found {
                Some(found) if again >= patience && self.config.identity.is_empty() => {
                    self.settle_for(now, found);
                    return Ok(());
                }
                None if again >= patience && !self.config.predecessor => {
                    return Err(Fault::refusal(reason));
                }
                _ => {}
            }
        }
        if self.asking.rescan == Rescan::Now {
            self.asking.rescan = Rescan::Next;
        }
        self.timers.stop(Timer::Login);
        self.timers.set(Timer::Survey, again);
        self.tell_unclear(reason);
        Ok(())
    }

    /// Reports why requests wait, or that the unit does not answer beside them; once for
    /// each reason.
    fn tell_unclear(&mut self, reason: String) {
        if self.asking.told.as_ref() == Some(&reason) {
            return;
        }
        let line = format!("{}: {reason}", self.place());
        self.asking.told = Some(reason);
        let serves = self.device.is_some() || self.config.predecessor;
        if serves && !matches!(self.phase, Phase::Ready) {
            self.suspended = true;
            self.actions.push_back(Action::Suspended(line));
        } else {
            self.log(Level::Warn, line);
        }
    }

    /// Accepts this as the unit's properties.
    fn settle_for(&mut self, now: u64, found: Found) {
        self.survey = None;
        let Found {
            mut device, lun, ..
        } = found;
        device.limit_transfer(&self.config);
        self.lun = lun;
        self.longest_before = None;
        let wanted = self.asking.rescan == Rescan::Now;
        let changed = self.device.replace(device) != self.device;
        self.asking.settled();
        self.watch_capacity(now);
        if !matches!(self.phase, Phase::Ready) {
            self.ready();
        } else if changed || wanted {
            self.announce();
        }
        if self.asking.rescan == Rescan::Next {
            self.survey_again();
        }
    }

    /// Reports the logical unit's properties to the caller. A caller that was told that
    /// requests wait is told that they no longer do.
    pub(super) fn announce(&mut self) {
        if self.suspended {
            return;
        }
        if let (Some(device), Phase::Ready) = (&self.device, &self.phase) {
            self.actions
                .push_back(Action::Ready(device.geometry(&self.config)));
        }
    }
}
