//! The supervisor of one VCP.

use crate::Policy;
use crate::outage::{GRACE, Outage};
use crate::suspects::Trials;

/// Where a VCP is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// An instance is there that has not been ready yet.
    Starting,
    /// It serves.
    Ready,
    /// It is there and can't serve, or not everything: the path to the device is
    /// gone, or the device puts off what it is asked.
    Suspended,
    /// The last instance died; the next is due at this time.
    Restarting {
        /// The time when it is due.
        at: u64,
    },
    /// There is no instance, and none will be unless someone asks for it.
    Held,
}

/// What ended an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A fault of its own.
    Fault,
    /// A fault, while a request that others died of was tried by itself.
    Suspect,
    /// As `Suspect`, but that request is answered now: nothing has to wait for it.
    Culprit,
    /// An operator asked for it.
    Injected,
    /// It said itself that it won't serve without a change of configuration.
    GaveUp,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Nothing before [`Supervisor::next_deadline`].
    Wait,
    /// Start the next instance of the module now.
    Start,
    /// Leave the VCP without an instance, and refuse what clients ask.
    Hold,
    /// The module on trial is no good: drop its instance if there is one, and
    /// start one of the module before it.
    RollBack,
    /// The module on trial has proved itself: the one before it can go.
    Settle,
    /// Requests that instances died of may be tried once more.
    Try,
    /// The device has been away for too long, and answered nothing meanwhile:
    /// answer what waits with an error and start a fresh instance in place of one
    /// that may still hold some of it.
    Expire,
}

/// A module that was just put in the place of another.
#[derive(Debug, Clone, Copy)]
enum Trial {
    /// It must be ready by this time.
    Starting { until: u64 },
    /// It was ready, and must live until this time.
    Probation { until: u64 },
}

/// Decides what becomes of one VCP. Tell it what happens; after that, and at
/// [`next_deadline`](Self::next_deadline), ask it what to do.
#[derive(Debug)]
pub struct Supervisor {
    policy: Policy,
    phase: Phase,
    generation: u32,
    started_at: u64,
    /// Whether any instance was ever ready.
    served: bool,
    backoff: u64,
    /// Restarts in a row of instances that did not live for `min_run`.
    in_a_row: u32,
    outage: Outage,
    suspects: Trials,
    trial: Option<Trial>,
}

impl Supervisor {
    /// Makes the supervisor of a VCP that has no instance yet: the first is due at once.
    pub fn new(policy: Policy) -> Self {
        Self {
            backoff: policy.backoff_min,
            suspects: Trials::new(&policy),
            policy,
            phase: Phase::Restarting { at: 0 },
            generation: 0,
            started_at: 0,
            served: false,
            in_a_row: 0,
            outage: Outage::default(),
            trial: None,
        }
    }

    /// Where the VCP is in its life.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The generation of the instance that is there, or was last; 0 before the first.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether any instance was ever ready.
    pub fn served(&self) -> bool {
        self.served
    }

    /// When the instance was started.
    pub fn started_at(&self) -> u64 {
        self.started_at
    }

    /// Whether the device has been away for so long that nothing waits any more:
    /// requests are to be refused until an instance is ready.
    pub fn refuses(&self) -> bool {
        self.outage.expired || self.phase == Phase::Held
    }

    /// Whether a module is on trial.
    pub fn on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Notes that the next instance is being started. Returns its generation.
    pub fn started(&mut self, now: u64) -> u32 {
        self.generation += 1;
        self.started_at = now;
        self.phase = Phase::Starting;
        self.generation
    }

    /// Notes that the next instance is being started, of a module that takes the place of
    /// another and has to prove itself. Returns its generation.
    pub fn started_on_trial(&mut self, now: u64) -> u32 {
        let until = now.saturating_add(self.policy.ready_within);
        self.trial = Some(Trial::Starting { until });
        self.in_a_row = 0;
        self.backoff = self.policy.backoff_min;
        self.started(now)
    }

    /// Notes that the instance serves.
    pub fn ready(&mut self, now: u64) {
        self.phase = Phase::Ready;
        self.served = true;
        self.outage.over();
        if let Some(Trial::Starting { .. }) = self.trial {
            let until = now.saturating_add(self.policy.probation);
            self.trial = Some(Trial::Probation { until });
        }
    }

    /// Notes that the instance can't serve for the time being.
    pub fn suspended(&mut self, now: u64) {
        self.phase = Phase::Suspended;
        self.outage.suspended(now);
    }

    /// Notes that the instance answered a request that it was given after it said that it
    /// can't serve: some it can.
    pub fn answered(&mut self, now: u64) {
        if self.phase == Phase::Suspended {
            self.outage.answered(now);
        }
    }

    /// Whether requests are being answered, as far as is known: all of them, or some.
    pub fn answers(&self) -> bool {
        match self.phase {
            Phase::Ready => true,
            Phase::Suspended => self.outage.answering,
            _ => false,
        }
    }

    /// Whether requests that instances died of may be tried now.
    pub fn tries_suspects(&self) -> bool {
        self.suspects.at.is_none()
    }

    /// Until when an unanswered request may wait if it can't be answered now; `None` if it
    /// can, or if there is no such time. Only its answer ends that: neither another instance
    /// nor one that is ready makes it later.
    pub fn request_deadline(&self, now: u64) -> Option<u64> {
        let timeout = self.policy.replacement_timeout?;
        let wait = match self.phase {
            Phase::Suspended => timeout,
            Phase::Starting if !self.served => return None,
            Phase::Starting | Phase::Restarting { .. } => timeout.max(GRACE),
            Phase::Ready | Phase::Held => return None,
        };
        Some(now.saturating_add(wait))
    }

    /// Notes that the link is gone, and the instance with it: an outage. The next instance
    /// comes when [`Supervisor::started`] says so; a VCP that is held stays so. Returns
    /// whether the module on trial makes way.
    pub fn cut_off(&mut self, now: u64) -> Decision {
        let on_trial = self.trial.take().is_some();
        if self.phase != Phase::Held {
            self.suspended(now);
            self.outage.answering = false;
        }
        if on_trial {
            Decision::RollBack
        } else {
            Decision::Wait
        }
    }

    /// Notes that the instance is gone. Returns what follows.
    pub fn ended(&mut self, now: u64, cause: Cause) -> Decision {
        if self.trial.take().is_some() {
            self.phase = Phase::Restarting { at: now };
            return Decision::RollBack;
        }
        let hopeless = match cause {
            Cause::GaveUp => true,
            Cause::Fault => !self.served,
            Cause::Injected | Cause::Suspect | Cause::Culprit => false,
        };
        if hopeless || !self.policy.restart {
            return self.hold();
        }
        self.outage.died(now);
        // Here it is known which request killed it, and only that has to wait.
        if cause == Cause::Suspect {
            self.suspects.killed(now, &self.policy);
        }
        if matches!(cause, Cause::Suspect | Cause::Culprit) {
            self.phase = Phase::Restarting { at: now };
            return Decision::Wait;
        }
        let delay = if now.saturating_sub(self.started_at) >= self.policy.min_run {
            self.in_a_row = 0;
            self.backoff = self.policy.backoff_min;
            0
        } else {
            if self
                .policy
                .limit
                .is_some_and(|limit| self.in_a_row >= limit)
            {
                return self.hold();
            }
            self.in_a_row += 1;
            let delay = self.backoff;
            self.backoff = (delay.saturating_mul(2)).min(self.policy.backoff_max);
            delay
        };
        self.phase = Phase::Restarting {
            at: now.saturating_add(delay),
        };
        Decision::Wait
    }

    /// Takes a VCP out of service until [`Supervisor::revive`] or a module on
    /// trial.
    pub fn hold(&mut self) -> Decision {
        self.phase = Phase::Held;
        self.trial = None;
        self.outage.over();
        Decision::Hold
    }

    /// Makes a VCP that is held, or that waits for its restart, run again at once.
    pub fn revive(&mut self, now: u64) {
        if matches!(self.phase, Phase::Held | Phase::Restarting { .. }) {
            self.in_a_row = 0;
            self.backoff = self.policy.backoff_min;
            self.phase = Phase::Restarting { at: now };
        }
    }

    /// When to ask [`Supervisor::due`] again if nothing happens before.
    pub fn next_deadline(&self) -> Option<u64> {
        let restart = match self.phase {
            Phase::Restarting { at } => Some(at),
            _ => None,
        };
        let trial = self.trial.map(|trial| match trial {
            Trial::Starting { until } | Trial::Probation { until } => until,
        });
        let outage = self.outage.deadline(self.policy.replacement_timeout);
        let suspects = self.suspects.at;
        [restart, trial, outage, suspects]
            .into_iter()
            .flatten()
            .min()
    }

    /// What is due at this time; one thing at a time, until it is `Wait`.
    pub fn due(&mut self, now: u64) -> Decision {
        match self.trial {
            Some(Trial::Starting { until }) if now >= until => {
                self.trial = None;
                self.phase = Phase::Restarting { at: now };
                return Decision::RollBack;
            }
            Some(Trial::Probation { until }) if now >= until => {
                self.trial = None;
                return Decision::Settle;
            }
            _ => {}
        }
        let expires = self.outage.deadline(self.policy.replacement_timeout);
        if expires.is_some_and(|at| now >= at) {
            self.outage.expired = true;
            return Decision::Expire;
        }
        if self.suspects.at.is_some_and(|at| now >= at) {
            self.suspects.at = None;
            return Decision::Try;
        }
        match self.phase {
            Phase::Restarting { at } if now >= at => Decision::Start,
            _ => Decision::Wait,
        }
    }
}
