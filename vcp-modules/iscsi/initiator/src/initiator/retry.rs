//! Commands that were not carried out: which are retried, when, where, and when that
//! ends.
//!
//! | why | what becomes of the command |
//! |---|---|
//! | a condition that is gone with its report (UNIT ATTENTION) | at once again, [`MAX_RETRIES`] times |
//! | somebody else has a reservation (RESERVATION CONFLICT) | at once again, once (see `completion`) |
//! | the target puts it off (BUSY, NOT READY), or says nothing | again with growing delays, for as long as the caller lets its request wait; told as an outage from [`PATIENCE`] on |
//! | something between here and there (a Reject, ABORTED COMMAND, bytes missing) | again on this session, once on another, then an error |
//! | the session ends each time with it | see `suspect` |

use alloc::format;
use alloc::string::String;

use super::session::{Fault, FaultKind};
use super::{Initiator, MS, Phase};
use crate::action::{Action, Level};
use crate::block::Status;
use crate::scsi::{Ending, Verdict};
use crate::task::{Owner, TaskId};
use crate::timer::Timer;

/// The most retries after a condition that is gone.
const MAX_RETRIES: u8 = 8;
/// The number of failures on one session before another is tried.
const ON_ONE_SESSION: u8 = 5;
/// The least time between sessions that are given up for the sake of one command, in
/// nanoseconds: others use them too.
const RENEWAL_INTERVAL: u64 = 60_000 * MS;
/// The first and the longest delay before a deferred command is sent again.
const FIRST_DELAY: u64 = 10 * MS;
const LONGEST_DELAY: u64 = 1000 * MS;
/// How long a request is deferred before the caller is told.
const PATIENCE: u64 = 1000 * MS;
/// How long a question of the survey is deferred before it counts as not answered.
const SURVEY_PATIENCE: u64 = 3000 * MS;

/// A delay that doubles each time.
fn delay(times: u8) -> u64 {
    (FIRST_DELAY << times.min(16)).min(LONGEST_DELAY)
}

impl Initiator {
    /// Sends the same command again, at once.
    pub(super) fn again(&mut self, id: TaskId, ending: &Ending) -> Result<(), Fault> {
        let task = self.tasks.get_mut(id);
        task.retries += 1;
        if task.retries > MAX_RETRIES {
            return self.give_up(id, ending, "turned away too often");
        }
        self.tasks.requeue(id);
        Ok(())
    }

    /// Sends the same command again, after a while.
    pub(super) fn put_off(&mut self, now: u64, id: TaskId, ending: &Ending) -> Result<(), Fault> {
        let task = self.tasks.get_mut(id);
        let since = *task.waiting_since.get_or_insert(now);
        let until = now + delay(task.waits);
        task.waits = task.waits.saturating_add(1);
        let waited = now.saturating_sub(since);
        match task.owner {
            Owner::Survey(_) if waited > SURVEY_PATIENCE => {
                return self.give_up(id, ending, "put off for too long");
            }
            Owner::Request(_) if waited >= PATIENCE => self.tell_waiting(id, ending),
            _ => {}
        }
        self.park(id, until);
        Ok(())
    }

    /// Does as [`put_off`](Self::put_off), and sends nothing else meanwhile: the target
    /// is overloaded.
    pub(super) fn throttled(&mut self, now: u64, id: TaskId, ending: &Ending) -> Result<(), Fault> {
        if !self.timers.is_set(Timer::Throttle) {
            let delay = self.throttle.delay();
            self.timers.set(Timer::Throttle, now + delay);
        }
        self.put_off(now, id, ending)
    }

    /// Retries a command that was not answered and has been aborted.
    pub(super) fn unanswered(&mut self, now: u64, id: TaskId) -> Result<(), Fault> {
        let task = self.tasks.get_mut(id);
        task.waiting_since.get_or_insert(task.progress.sent_at);
        self.put_off(now, id, &Ending::Unanswered)
    }

    /// Retries a command that was not carried out for a reason on the way: here, then on
    /// another session, then it fails.
    pub(super) fn aborted(&mut self, now: u64, id: TaskId, ending: &Ending) -> Result<(), Fault> {
        let task = self.tasks.get_mut(id);
        task.aborted = task.aborted.saturating_add(1);
        let times = task.aborted;
        if times == 1 {
            let line = format!("{}; trying again", self.describe(id, ending));
            self.log(Level::Warn, line);
            self.tasks.requeue(id);
        } else if times < ON_ONE_SESSION {
            self.park(id, now + delay(times - 2));
        } else if times == ON_ONE_SESSION && self.may_renew(now) {
            return Err(Fault {
                reason: format!("not carried out {times} times, trying another session: {ending}"),
                kind: FaultKind::Renewal,
            });
        } else {
            return self.give_up(id, ending, "not carried out, here or on another session");
        }
        Ok(())
    }

    fn may_renew(&mut self, now: u64) -> bool {
        let due = self
            .renewed_at
            .is_none_or(|at| now.saturating_sub(at) >= RENEWAL_INTERVAL);
        if due {
            self.renewed_at = Some(now);
        }
        due
    }

    /// Parks a task until a time.
    fn park(&mut self, id: TaskId, until: u64) {
        self.tasks.park(id, until);
        self.set_park_timer();
    }

    /// Resumes tasks that were parked long enough.
    pub(super) fn unpark(&mut self, now: u64) {
        self.tasks.unpark(now);
        self.set_park_timer();
    }

    fn set_park_timer(&mut self) {
        match self.tasks.next_parked() {
            Some(until) => self.timers.set(Timer::Park, until),
            None => self.timers.stop(Timer::Park),
        }
    }

    fn give_up(&mut self, id: TaskId, ending: &Ending, why: &str) -> Result<(), Fault> {
        match self.tasks.get(id).owner {
            Owner::Request(request) => {
                let line = format!("{}; {why}", self.describe(id, ending));
                self.log(Level::Error, line);
                self.finish(id, &request, Status::IoError);
                Ok(())
            }
            Owner::Survey(place) => {
                self.survey_answer(id, place, Verdict::Failed(Status::IoError), ending)
            }
            Owner::Start => {
                self.tasks.remove(id);
                Ok(())
            }
            Owner::Free => Ok(()),
        }
    }

    /// Reports an outage when a target answers but defers a command: its client waits.
    fn tell_waiting(&mut self, id: TaskId, ending: &Ending) {
        if self.suspended || !matches!(self.phase, Phase::Ready) {
            return;
        }
        self.suspended = true;
        let line = format!("{}; waiting", self.describe(id, ending));
        self.actions.push_back(Action::Suspended(line));
    }

    /// Reports an outage when a target answers pings, but lets no command be sent.
    pub(super) fn tell_closed(&mut self) {
        if self.suspended || !matches!(self.phase, Phase::Ready) {
            return;
        }
        self.suspended = true;
        let line = format!("{}: its command window is closed; waiting", self.place());
        self.actions.push_back(Action::Suspended(line));
    }

    /// Ensures that an outage is reported if requests can't be sent for a while.
    pub(super) fn expect_window(&mut self, now: u64) {
        let closed = self
            .connection
            .as_ref()
            .is_some_and(|c| !c.numbers.window_open());
        if closed && !self.timers.is_set(Timer::Watch) && self.tasks.waiting().next().is_some() {
            self.timers.set(Timer::Watch, now + PATIENCE);
        }
    }

    /// Reports the end of an outage once nothing is deferred any more.
    pub(super) fn tell_served(&mut self) {
        if self.suspended && matches!(self.phase, Phase::Ready) && !self.tasks.any_put_off() {
            self.suspended = false;
            self.announce();
        }
    }

    /// Starts the unit, as it demands before it does anything: once in a session.
    pub(super) fn start_unit(&mut self) {
        if self.config.start_unit && !core::mem::replace(&mut self.started_unit, true) {
            self.log(
                Level::Info,
                format!("{}: the logical unit wants to be started", self.place()),
            );
            self.tasks.add_front(Owner::Start);
        }
    }

    /// Describes a command and how it ended, for messages.
    pub(super) fn describe(&self, id: TaskId, ending: &Ending) -> String {
        let task = self.tasks.get(id);
        let opcode = vcp_iscsi_proto::scsi::Opcode(task.command.cdb[0]);
        match task.owner {
            Owner::Request(request) => format!(
                "{}: {opcode} of {} bytes at {}: {ending}",
                self.place(),
                request.length,
                request.offset
            ),
            _ => format!("{}: {opcode}: {ending}", self.place()),
        }
    }
}
