//! Requests that end sessions. A target may go deaf, reset the connection or break
//! the protocol whenever it meets a certain command; sent again and again, that
//! command would end every session and keep all others from being served.
//!
//! A request whose command was under way when [`SUSPECT`] sessions in a row ended is sent
//! alone from then on: in one session before the others, in the next after them, so that
//! neither keeps the other waiting for long. A harmless request is then answered. If
//! sessions end while it is alone, repeatedly and for a while, it is the culprit: it is
//! answered with an error, and the others go on.

use alloc::format;

use super::session::{Fault, FaultKind};
use super::{Initiator, MS, Phase};
use crate::action::Level;
use crate::block::{Request, Status};
use crate::timer::Timer;

/// The number of sessions in a row that may end with a command under way before it is
/// sent alone.
const SUSPECT: u8 = 3;
/// The same number for a while after a culprit was found: similar requests may come
/// again.
const SUSPECT_SOONER: u8 = 2;
/// The length of that while, in nanoseconds.
const WARY: u64 = 60_000 * MS;
/// The number of sessions that have to end with a request alone, and for how long, in
/// nanoseconds, sessions have to end with it, before it is taken for the culprit:
/// sessions also end when a target restarts or somebody else takes them.
const ALONE: u8 = 2;
const PROVED_AFTER: u64 = 5000 * MS;
/// The life of a session from which it is no sign of trouble, in nanoseconds; longer than
/// the longest delay between two sessions.
const STEADY: u64 = 10_000 * MS;
/// The number of sessions in a row that end from outside, each soon after it served, from
/// which another initiator is suspected of taking them.
const TAKEN: u32 = 3;

impl Initiator {
    /// Judges the requests under way at the end of a session. Returns the culprit, which
    /// has no answer yet.
    pub(super) fn session_ended(&mut self, now: u64, fault: &Fault) -> Option<Request> {
        let ready_at = self.ready_at.take()?;
        self.hurry = false;
        self.judge_session(now, ready_at, fault);
        let ours = matches!(fault.kind, FaultKind::Asked(_) | FaultKind::Renewal);
        if ours || self.is_stopping() || !matches!(self.phase, Phase::Ready) {
            return None;
        }
        if let FaultKind::Stray(itt) = fault.kind {
            self.tasks.count_loss_of(now, itt);
            return None;
        }
        let alone = self.tasks.alone();
        self.tasks.count_loss(now);
        let wary = self
            .found_out_at
            .is_some_and(|at| now.saturating_sub(at) < WARY);
        self.hurry = wary || alone.is_some();
        let limit = if wary { SUSPECT_SOONER } else { SUSPECT };
        self.tasks.suspect_after(limit);
        let (id, task) = alone.map(|id| (id, self.tasks.get(id)))?;
        let for_long = now.saturating_sub(task.lost_since) >= PROVED_AFTER;
        let proved = task.lost_alone >= ALONE && (wary || for_long);
        let request = *task.request().filter(|_| proved)?;
        self.found_out_at = Some(now);
        self.tasks.remember(request);
        self.tasks.suspect_after(SUSPECT_SOONER);
        let task = self.tasks.get(id);
        let opcode = vcp_iscsi_proto::scsi::Opcode(task.command.cdb[0]);
        let line = format!(
            "{}: {opcode} of {} bytes at {} ended {} sessions in a row, {} of them alone ({}); given up",
            self.place(),
            request.length,
            request.offset,
            task.lost,
            task.lost_alone,
            fault.reason
        );
        self.log(Level::Error, line);
        Some(request)
    }

    /// Sets, in a new session, how long requests similar to a culprit are still sent
    /// alone.
    pub(super) fn stay_wary(&mut self, now: u64) {
        match self.found_out_at.map(|at| at.saturating_add(WARY)) {
            Some(until) if until > now => self.timers.set(Timer::Wary, until),
            _ => self.tasks.forget_culprits(),
        }
    }

    /// Removes the culprit from the requests that are sent again.
    pub(super) fn convict(&mut self, request: &Request) {
        if self.tasks.take_queued(request.tag) {
            self.complete(request, super::answer::Moved::NONE, Status::IoError);
        }
    }

    /// Lets delays grow from session to session until one has proved itself.
    fn judge_session(&mut self, now: u64, ready_at: u64, fault: &Fault) {
        let lived = now.saturating_sub(ready_at);
        let idle = self.tasks.is_empty();
        if lived >= STEADY && (self.answered || idle) {
            self.reconnect.reset();
            self.taken = 0;
            return;
        }
        let outside = fault.kind == FaultKind::Closed;
        let served = self.answered || idle;
        if lived >= STEADY || !outside || !served {
            self.taken = 0;
            return;
        }
        self.taken += 1;
        // If the same request was under way each time, it may be the culprit.
        if self.taken == TAKEN && !self.tasks.any_lost(TAKEN as u8 - 1) {
            let line = format!(
                "{}: the target ended {TAKEN} sessions in a row soon after they were ready; \
                 if another host logs in as {} with ISID {}, the two take the session from \
                 each other: give each an initiator-name or isid of its own",
                self.place(),
                self.config.names.initiator_on_wire(),
                self.config.isid
            );
            self.log(Level::Warn, line);
        }
    }
}
