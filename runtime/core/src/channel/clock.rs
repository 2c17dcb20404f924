//! Requests that can't be answered for now, and those that waited too long. `vcp-supervisor`
//! says how long each may wait, the table keeps the times, and what is due is answered here.
//! An instance that answers nothing and does not say why is detected here, too.

use vcp_queue::{Blame, Finished, Status};
use vcp_supervisor::{Cause, Phase};

use super::Channel;
use crate::clock::now;
use crate::event::Event;
use crate::fault::Fault;
use crate::logging::line;
use crate::settings::nanoseconds;

impl Channel {
    /// Starts the clocks of all requests so far: the device can't answer them for now.
    pub(super) fn run_clocks(&mut self, time: u64) {
        if self.leaving() {
            return;
        }
        if let Some(deadline) = self.supervisor.request_deadline(time) {
            self.table.set_deadline(deadline);
        }
    }

    /// Starts the clocks of requests that came meanwhile.
    pub(super) fn run_clocks_of_new(&mut self) {
        if self.supervisor.phase() != Phase::Ready && self.table.has_timeless() {
            self.run_clocks(now());
        }
    }

    /// The cause of the instance's death, as far as it is known. Otherwise the requests that
    /// it held are blamed.
    pub(super) fn cause_of(&mut self, fault: &Fault) -> Cause {
        if std::mem::take(&mut self.injected) || *fault == Fault::Injected {
            return Cause::Injected;
        }
        // An error of its configuration, or of what it finds, would be there the next time
        // too.
        if matches!(fault, Fault::Init(_)) {
            return Cause::GaveUp;
        }
        self.table.blame(match fault {
            Fault::Stalled { .. } => Blame::Hang,
            _ => Blame::Crash,
        });
        match (self.table.tries_suspect(), self.setup.fails_poison) {
            (true, true) => Cause::Culprit,
            (true, false) => Cause::Suspect,
            (false, _) => Cause::Fault,
        }
    }

    /// Fails the request that the last instance held alone when it died, after others had
    /// died with it. All other requests go on.
    pub(super) fn fail_poison(&mut self, fault: &Fault) {
        let Some(poison) = self.table.condemn(Status::IoError) else {
            return;
        };
        let client = self.clients.name(poison.client);
        self.emit(Event::Poison {
            operation: poison.operation,
            offset: poison.offset,
            length: poison.length,
            client: line(client.as_deref().unwrap_or("gone")),
            fault: fault.clone(),
        });
        self.answer_all(poison.finished.into_iter().collect());
    }

    /// The device says that it can't serve, or not everything.
    pub(super) fn on_suspended(&mut self, time: u64) {
        if self.supervisor.phase() != Phase::Suspended {
            self.suspended_at = self.table.newest_tag();
        }
        self.supervisor.suspended(time);
        self.run_clocks(time);
        self.table.acquit();
        self.again |= self.table.has_waiting();
    }

    /// The instance answered requests; `newest` is the newest of their tags.
    pub(super) fn on_answers(&mut self, newest: u64, time: u64) {
        // Answers to requests from before it was suspended do not say how it is now.
        if self.supervisor.phase() == Phase::Suspended && newest > self.suspended_at {
            self.supervisor.answered(time);
        }
    }

    /// Ends the requests whose time is up, and no others. An instance that still
    /// holds one of them makes way for a fresh one, so that it can't reach the device
    /// later; what it held beside them is offered again.
    pub(super) async fn expire_due(&mut self, time: u64) {
        if self.table.next_deadline().is_none_or(|due| time < due) {
            return;
        }
        let expired = self.table.expire(time, Status::IoError);
        self.answer_all(expired.finished);
        self.tell_expired(expired.count);
        if expired.issued {
            self.replace_instance().await;
        }
    }

    /// The device has been away for too long: ends everything. An instance that
    /// still holds some of it makes way for a fresh one.
    pub(super) async fn expire(&mut self) {
        let failed = self.table.len();
        self.refuse_all(Status::IoError);
        self.tell_expired(failed);
        self.replace_instance().await;
    }

    async fn replace_instance(&mut self) {
        if self.guest.is_some() {
            self.drop_instance();
            self.start_instance().await;
        }
        self.publish();
    }

    fn tell_expired(&self, failed: usize) {
        let why = match &*self.why {
            "" => "no instance was ready in time",
            why => why,
        };
        self.emit(Event::Expired {
            failed,
            refusing: self.supervisor.refuses(),
            why: why.to_owned(),
        });
    }

    /// When the instance must have answered a request, or, if it was started again, have
    /// said how it is. (A VCP that never served may be one that finds out rather than
    /// serves.) A suspended instance does not hang: its requests have their own deadlines.
    pub(super) fn progress_deadline(&self) -> Option<u64> {
        let limit = nanoseconds(self.setup.progress?);
        let since = match self.supervisor.phase() {
            Phase::Ready if self.table.outstanding() > 0 => self.progress_at,
            Phase::Starting if self.supervisor.served() => self.supervisor.started_at(),
            _ => return None,
        };
        Some(since.saturating_add(limit))
    }

    pub(super) fn check_progress(&mut self) -> Result<(), Fault> {
        if self.guest.is_none() || self.progress_deadline().is_none_or(|at| now() < at) {
            return Ok(());
        }
        let limit = self.setup.progress.unwrap_or_default();
        Err(match self.table.outstanding() {
            _ if !self.ready_now => Fault::NotReady { limit },
            held => Fault::Stalled { limit, held },
        })
    }

    /// Sends answers without data.
    pub(super) fn answer_all(&mut self, finished: Vec<Finished>) {
        let mut finished: Vec<_> = finished.into_iter().map(|f| (f, &[][..])).collect();
        self.clients
            .answer(&mut finished, &mut self.table, &self.poller);
    }
}
