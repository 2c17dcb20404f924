//! Instances of a VCP: their start, their death, and what follows. `vcp-supervisor` decides
//! what follows; it is done here.

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use vcp_queue::{Area, Status};
use vcp_supervisor::{Cause, Decision, Phase};

use super::Channel;
use super::relink::Waiting;
use crate::clock::now;
use crate::event::{Event, InjectError, Next, RestartError};
use crate::fault::Fault;
use crate::guest::{Autopsy, Death, Guest, Injection};
use crate::report::CrashReport;
use crate::status::State;

impl Channel {
    /// Does what is due.
    pub(super) async fn supervise(&mut self, time: u64) {
        loop {
            match self.supervisor.due(time) {
                Decision::Wait => break,
                // One start a turn, so that a command to stop is heard in between.
                Decision::Start => {
                    self.start_instance().await;
                    break;
                }
                Decision::Hold => self.hold("it was held".to_owned()),
                Decision::RollBack => {
                    let within = Duration::from_nanos(self.setup.policy.ready_within);
                    self.drop_instance();
                    self.table.restart();
                    self.roll_back(&format!("it was not ready within {within:?}"));
                }
                Decision::Settle => self.settle(),
                Decision::Try => self.table.set_trials(true),
                Decision::Expire => self.expire().await,
            }
        }
        if self.supervisor.refuses() && !self.table.is_empty() {
            self.refuse_all(Status::IoError);
        }
    }

    /// Starts the next instance of the module: the spare, if there is one.
    pub(super) async fn start_instance(&mut self) {
        let generation = self.supervisor.started(now());
        match self.take_spare(generation) {
            Some(guest) => self.install(guest),
            None => match self.setup.blueprint.build(generation, now()).await {
                Ok(guest) => self.install(guest),
                Err(death) => self.bury(death).await,
            },
        }
    }

    /// Makes this guest the VCP's instance from now on.
    pub(super) fn install(&mut self, guest: Guest) {
        let data = guest.areas.data;
        self.area = Area::new(data.address, data.length);
        let depth = self
            .setup
            .plan
            .allowance
            .queue_depth
            .load(Ordering::Relaxed);
        self.table.set_depth(depth.min(guest.queue_depth) as usize);
        self.tell_memory(&guest);
        self.guest = Some(guest);
        self.ready_now = false;
        self.stalling = false;
        self.corrupting = false;
        let generation = self.supervisor.generation();
        let counters = &self.shared.counters;
        counters.generation.store(generation, Ordering::Relaxed);
        // The first call is due at once.
        self.deadline = Some(0);
        self.publish();
    }

    /// The instance died, or is to be treated as dead.
    pub(super) async fn on_fault(&mut self, fault: Fault) {
        let autopsy = match &mut self.guest {
            Some(guest) => guest.autopsy().await,
            None => Autopsy::default(),
        };
        self.bury(Death { fault, autopsy }).await;
    }

    /// The instance is gone. Its memory goes with it; what it had not answered
    /// stays in the table for the next one.
    pub(super) async fn bury(&mut self, death: Death) {
        let fault = death.fault.clone();
        let held = self.table.outstanding();
        self.drop_instance();
        if self.supervisor.phase() == Phase::Held || self.link_is_gone() {
            // This is the death of an instance that was given up in the same turn.
            return;
        }
        self.keep_report(death, held);
        let cause = self.cause_of(&fault);
        self.table.restart();
        let counters = &self.shared.counters;
        counters.faults.fetch_add(1, Ordering::Relaxed);
        let generation = self.supervisor.generation();
        if self.leaving() {
            let next = Next::Stop;
            self.emit(Event::Fault {
                fault,
                generation,
                next,
            });
            self.end_leaving();
            return;
        }
        let time = now();
        let decision = self.supervisor.ended(time, cause);
        self.table.set_trials(self.supervisor.tries_suspects());
        self.why = fault.to_string();
        self.run_clocks(time);
        self.emit(Event::Fault {
            fault: fault.clone(),
            generation,
            next: self.next_after(decision),
        });
        if cause == Cause::Culprit && decision == Decision::Wait {
            self.fail_poison(&fault);
        }
        match decision {
            Decision::Hold => self.hold(fault.to_string()),
            Decision::RollBack => self.roll_back(&fault.to_string()),
            // If another instance was to take over anyway, it does so now.
            _ => self.try_switch().await,
        }
        self.publish();
    }

    fn next_after(&self, decision: Decision) -> Next {
        match (decision, self.supervisor.phase()) {
            (Decision::RollBack, _) => Next::RollBack,
            (_, Phase::Restarting { at }) => {
                Next::Restart(Duration::from_nanos(at.saturating_sub(now())))
            }
            _ => Next::Hold,
        }
    }

    /// Drops the instance, with all that it leaves behind in the host.
    pub(super) fn drop_instance(&mut self) {
        if let Some(guest) = self.guest.take() {
            self.bury_later(guest);
        }
        self.ready_now = false;
        self.stalling = false;
        self.corrupting = false;
        self.deadline = None;
        self.commands.clear();
        self.forget_rescans();
        if let Some(streams) = &mut self.streams {
            streams.reset(&self.poller);
        }
    }

    /// The instance won't serve again by itself. Unless the module is rolled back,
    /// everything is answered with an error from now on.
    pub(super) fn die(&mut self, why: String) {
        self.drop_instance();
        self.table.restart();
        if self.leaving() {
            self.end_leaving();
            self.emit(Event::Failed(why));
            return;
        }
        match self.supervisor.ended(now(), Cause::GaveUp) {
            Decision::RollBack => self.roll_back(&why),
            _ => self.hold(why),
        }
        self.publish();
    }

    /// Holds the VCP: it has no instance, and all requests are answered with an error.
    pub(super) fn hold(&mut self, why: String) {
        self.supervisor.hold();
        self.refuse_all(Status::IoError);
        self.why.clone_from(&why);
        self.emit(Event::Failed(why));
        self.publish();
    }

    /// Starts a fresh instance for an operator, and answers with its generation. That is no
    /// fault, so no policy is asked.
    pub(super) async fn restart(&mut self, answer: oneshot::Sender<Result<u32, RestartError>>) {
        if self.leaving() {
            // The receiver may be gone, here and below; then nobody waits for this.
            let _ = answer.send(Err(RestartError::Stopping));
            return;
        }
        if self.link_is_gone() {
            return self.want_link(Waiting::Restart(answer));
        }
        self.drop_instance();
        self.table.restart();
        // The operator accepts whatever device is there now.
        self.identify("");
        self.supervisor.revive(now());
        self.start_instance().await;
        let _ = answer.send(Ok(self.supervisor.generation()));
        self.publish();
    }

    /// Sets the operator's limit of memory.
    pub(super) fn set_memory(&mut self, bytes: Option<usize>) {
        self.setup.plan.allowance.set_memory(bytes);
        if let Some(mut guest) = self.guest.take() {
            guest.set_memory(bytes);
            self.tell_memory(&guest);
            self.guest = Some(guest);
        }
        // A spare that was made with the limit before is of no use.
        self.forget_spare();
        self.want_spare();
    }

    /// Publishes the instance's limit of memory.
    fn tell_memory(&self, guest: &Guest) {
        let limit = guest.memory_limit() as u64;
        let counter = &self.shared.counters.memory_limit;
        counter.store(limit, Ordering::Relaxed);
    }

    /// Sets the depth of the queue.
    pub(super) fn set_queue_depth(&mut self, depth: usize) {
        let allowance = &self.setup.plan.allowance;
        let told = u32::try_from(depth).unwrap_or(u32::MAX);
        allowance.queue_depth.store(told, Ordering::Relaxed);
        let known = self.guest.as_ref().map_or(told, |guest| guest.queue_depth);
        self.table.set_depth(told.min(known) as usize);
        self.again = true;
    }

    /// Injects a fault for an operator, and answers with the generation of the instance.
    pub(super) async fn inject(
        &mut self,
        what: Injection,
        answer: oneshot::Sender<Result<u32, InjectError>>,
    ) -> Result<(), Fault> {
        let Some(guest) = &mut self.guest else {
            let _ = answer.send(Err(InjectError::NoInstance));
            return Ok(());
        };
        if guest.is_native() {
            let _ = answer.send(Err(InjectError::Native));
            return Ok(());
        }
        let _ = answer.send(Ok(self.supervisor.generation()));
        self.injected = true;
        match what {
            Injection::Kill => return Err(Fault::Injected),
            Injection::Crossing(crossing) => {
                self.setup.plan.boundary.arm(crossing);
                return Err(Fault::Injected);
            }
            Injection::Cut(fuel) => guest.cut(fuel),
            Injection::Stall => self.stalling = true,
            // Its next batch has a bad descriptor in it; it is called at once.
            Injection::BadDescriptor => {
                self.corrupting = true;
                self.deadline = Some(0);
            }
            _ => return Err(guest.sabotage(what).await),
        }
        Ok(())
    }

    fn keep_report(&mut self, death: Death, held: usize) {
        self.crashes += 1;
        let Death { fault, autopsy } = death;
        let at = now();
        self.shared.status().last_fault = Some(fault.to_string());
        let started = self.supervisor.started_at();
        let report = CrashReport {
            number: self.crashes,
            time: SystemTime::now(),
            generation: self.supervisor.generation(),
            module: self.setup.blueprint.module.name().to_owned(),
            injected: self.injected || fault == Fault::Injected,
            fault,
            backtrace: autopsy.backtrace,
            said: autopsy.said,
            ran: Duration::from_nanos(at.saturating_sub(started)),
            ready: matches!(self.supervisor.phase(), Phase::Ready | Phase::Suspended),
            fuel: autopsy.fuel,
            memory: autopsy.memory,
            held,
            unanswered: self.table.len(),
            at,
            recent: self.journal.all(),
            core: autopsy.core,
        };
        self.shared.add_report(report, self.setup.keep);
    }

    /// Publishes how the VCP is.
    pub(super) fn publish(&self) {
        let mut status = self.shared.status();
        let generation = self.supervisor.generation();
        if status.generation != generation {
            status.generation = generation;
            status.since = SystemTime::now();
        }
        status.state = if self.leaving() {
            State::Stopping
        } else {
            match self.supervisor.phase() {
                Phase::Starting => State::Starting,
                Phase::Ready => State::Ready,
                Phase::Suspended => State::Suspended(self.why.clone()),
                Phase::Restarting { .. } => State::Restarting,
                Phase::Held => State::Held(self.why.clone()),
            }
        };
        status.refusing = self.supervisor.refuses();
        status.module = self.setup.blueprint.module.name().to_owned();
        status.spare = self.spare.is_ready();
        status.reload = self.reload_state();
        status.previous = self
            .previous
            .as_ref()
            .map(|blueprint| blueprint.module.name().to_owned());
    }
}
