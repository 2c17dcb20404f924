//! Reloads: another module takes the place of the one that runs, while clients wait for as
//! short as can be. The new instance is made beside the old one. The old one finishes what
//! it holds and hands over its state, if both can, and the new one goes on. If that dies
//! within its time of trial, the old module comes back.

use std::time::Duration;

use tokio::sync::oneshot;
use vcp_supervisor::Phase;

use super::Channel;
use super::prepare::{Prepared, Purpose};
use super::relink::Waiting;
use crate::clock::now;
use crate::event::{Event, ReloadError, Reloaded};
use crate::guest::{Blueprint, Guest, Handed, Refusal};
use crate::logging::{line, quoted};
use crate::module::Module;
use crate::status::ReloadState;

/// How soon an instance with nothing to hand over yet is asked again, in nanoseconds.
const ASK_AGAIN: u64 = 1_000_000;

type Answer = oneshot::Sender<Result<Reloaded, ReloadError>>;

/// A reload under way.
pub(super) struct Reload {
    blueprint: Blueprint,
    answer: Answer,
    stage: Stage,
}

enum Stage {
    /// The new instance is being made.
    Preparing,
    /// The new instance is made; the old one finishes.
    Draining(Box<Draining>),
    /// The new instance has taken over, and is not ready yet.
    Taking {
        began: u64,
        handed_over: bool,
        replayed: usize,
    },
}

struct Draining {
    guest: Guest,
    generation: u32,
    /// The round of preparations that it belongs to.
    round: u64,
    began: u64,
    /// When the old one must have finished: what is left then is replayed.
    until: u64,
    /// When the old one is asked for its state next.
    ask_at: u64,
}

impl Channel {
    pub(super) fn begin_reload(&mut self, module: Module, answer: Answer) {
        let refused = if self.leaving() {
            Some(ReloadError::NotNow("is stopping"))
        } else if module.is_native() || self.setup.blueprint.module.is_native() {
            Some(ReloadError::NotNow("is compiled into the host"))
        } else if self.reload.is_some() {
            Some(ReloadError::Busy)
        } else {
            None
        };
        if let Some(error) = refused {
            let _ = answer.send(Err(error));
            return;
        }
        if self.link_is_gone() {
            return self.want_link(Waiting::Reload { module, answer });
        }
        let blueprint = Blueprint::new(self.setup.plan.clone(), module);
        self.forget_spare();
        self.reload = Some(Reload {
            blueprint: blueprint.clone(),
            answer,
            stage: Stage::Preparing,
        });
        self.prepare(Purpose::Reload, blueprint);
        self.publish();
    }

    pub(super) async fn reload_prepared(&mut self, prepared: Prepared) {
        let Some(mut reload) = self.reload.take() else {
            return;
        };
        match prepared.result {
            Err(death) => {
                // The running instance goes on as if nothing had happened.
                let _ = reload
                    .answer
                    .send(Err(ReloadError::NotStarted(death.fault)));
                self.want_spare();
            }
            // If the old one died meanwhile, its successor has this generation, and the
            // switch makes another instance.
            Ok(guest) => {
                let began = now();
                reload.stage = Stage::Draining(Box::new(Draining {
                    guest: *guest,
                    generation: prepared.generation,
                    round: prepared.round,
                    began,
                    until: began + self.setup.drain,
                    ask_at: began,
                }));
                self.reload = Some(reload);
                self.table.set_draining(true);
                self.try_switch().await;
            }
        }
        self.publish();
    }

    pub(super) fn reload_deadline(&self) -> Option<u64> {
        match &self.reload.as_ref()?.stage {
            Stage::Draining(draining) if self.table.outstanding() == 0 => Some(draining.ask_at),
            Stage::Draining(draining) => Some(draining.until),
            _ => None,
        }
    }

    /// Switches, if the old instance is done or its time is up.
    pub(super) async fn try_switch(&mut self) {
        let time = now();
        let Some(Reload {
            stage: Stage::Draining(draining),
            ..
        }) = &mut self.reload
        else {
            return;
        };
        let running = self.guest.is_some() && self.supervisor.phase() != Phase::Held;
        let over = time >= draining.until || !running;
        if !over && (self.table.outstanding() > 0 || time < draining.ask_at) {
            return;
        }
        draining.ask_at = time + ASK_AGAIN;
        let takes = draining.guest.hands_over();
        let asked = self.ready_now
            && self.supervisor.phase() == Phase::Ready
            && self.table.outstanding() == 0
            && draining.generation == self.supervisor.generation() + 1;
        let old = self.guest.as_mut().filter(|old| asked && old.hands_over());
        let taken = match old {
            Some(old) => Some(old.snapshot(time).await),
            None => None,
        };
        let vcp = &*self.setup.plan.name;
        let handed = match taken {
            Some(Ok(Ok(handed))) if let Some(why) = handed.too_long() => {
                if handed.only_copy {
                    return self.call_off(&why);
                }
                tracing::warn!(vcp, "the state was not handed over: {why}");
                None
            }
            Some(Ok(Ok(handed))) if takes => Some(handed),
            Some(Ok(Ok(handed))) if handed.only_copy => {
                return self.call_off("it takes nothing over");
            }
            Some(Ok(Err(Refusal::Never(why)))) => return self.call_off(&why),
            // It will have something to hand over in a moment.
            Some(Ok(Err(Refusal::NotNow(why)))) if !over => {
                tracing::debug!(vcp, "nothing to hand over yet: {why}");
                return;
            }
            // Whether its state was the only copy can't be known, and no instance goes on
            // after a trap: its successor starts anew.
            Some(Err(fault)) => {
                let why = fault.to_string();
                tracing::warn!(vcp, "the state was not handed over: {}", quoted(&why));
                None
            }
            Some(Ok(Err(Refusal::NotNow(why)))) => {
                tracing::warn!(vcp, "the state was not handed over: {}", quoted(&why));
                None
            }
            // Nothing is handed over, and the successor starts anew.
            _ => None,
        };
        self.switch(time, handed).await;
    }

    /// Calls the reload off: the running instance alone has its state, and goes on.
    fn call_off(&mut self, why: &str) {
        self.table.set_draining(false);
        self.again = true;
        if let Some(reload) = self.reload.take() {
            if let Stage::Draining(draining) = reload.stage {
                self.bury_later(draining.guest);
            }
            let why = ReloadError::NotTakenOver(line(why));
            let _ = reload.answer.send(Err(why));
        }
        self.want_spare();
        self.publish();
    }

    /// The new instance takes over.
    async fn switch(&mut self, time: u64, handed: Option<Handed>) {
        let Some(Reload {
            stage: Stage::Draining(draining),
            ..
        }) = &mut self.reload
        else {
            return;
        };
        let held = self.table.outstanding();
        // A new instance that does not take the state is left half made.
        let only_copy = handed.as_ref().is_some_and(|handed| handed.only_copy);
        let restored = match handed {
            Some(handed) => Some(match draining.guest.restore(time, handed.state).await {
                Ok(done) => done,
                Err(fault) => Err(fault.to_string()),
            }),
            None => None,
        };
        if let Some(Err(why)) = &restored
            && only_copy
        {
            return self.call_off(why);
        }
        let Some(Reload {
            blueprint,
            answer,
            stage: Stage::Draining(draining),
        }) = self.reload.take()
        else {
            return;
        };
        let Draining {
            guest,
            generation,
            round,
            began,
            ..
        } = *draining;
        let handed_over = matches!(restored, Some(Ok(())));
        let next = self.supervisor.generation() + 1;
        let told = guest.identity == self.setup.plan.identity() && self.spare.is_of(round);
        let successor = match restored {
            Some(Err(why)) => {
                let vcp = &*self.setup.plan.name;
                tracing::warn!(vcp, "the state was not taken over: {}", quoted(&why));
                blueprint.build(next, time).await
            }
            // Another instance was started meanwhile and has its number, or the device's
            // identity became known or changed.
            None if generation != next || !told => blueprint.build(next, time).await,
            _ => Ok(guest),
        };
        if handed_over {
            // Its streams are the successor's.
            if let Some(old) = self.guest.take() {
                self.bury_later(old);
            }
        } else {
            self.drop_instance();
            self.table.restart();
        }
        self.table.set_draining(false);
        let before = std::mem::replace(&mut self.setup.blueprint, blueprint.clone());
        // A module on trial is not one to go back to.
        self.previous.get_or_insert(before);
        self.supervisor.started_on_trial(time);
        let replayed = if handed_over { 0 } else { held };
        self.reload = Some(Reload {
            blueprint,
            answer,
            stage: Stage::Taking {
                began,
                handed_over,
                replayed,
            },
        });
        match successor {
            Ok(guest) => self.install(guest),
            // Burying may switch again, so this future is boxed.
            Err(death) => Box::pin(self.bury(death)).await,
        }
    }

    /// The instance that took over serves.
    pub(super) fn reload_ready(&mut self) {
        let Some(reload) = self.reload.take() else {
            return;
        };
        let Stage::Taking {
            began,
            handed_over,
            replayed,
        } = reload.stage
        else {
            self.reload = Some(reload);
            return;
        };
        let reloaded = Reloaded {
            generation: self.supervisor.generation(),
            handed_over,
            pause: Duration::from_nanos(now().saturating_sub(began)),
            replayed,
        };
        let _ = reload.answer.send(Ok(reloaded));
        self.emit(Event::Reloaded(reloaded));
        self.want_spare();
    }

    /// The module on trial is no good: the one before it comes back. Its instance is gone
    /// already, and the supervisor has the next one due.
    pub(super) fn roll_back(&mut self, why: &str) {
        self.forget_spare();
        self.table.set_draining(false);
        if let Some(reload) = self.reload.take() {
            let error = ReloadError::RolledBack(why.to_owned());
            let _ = reload.answer.send(Err(error));
        }
        if let Some(previous) = self.previous.take() {
            self.setup.blueprint = previous;
        }
        self.emit(Event::RolledBack(why.to_owned()));
        self.publish();
    }

    /// The module on trial has proved itself.
    pub(super) fn settle(&mut self) {
        self.previous = None;
        self.settled = self.table.geometry().cloned();
        if let Some(geometry) = &self.settled {
            let identity = geometry.identity.clone();
            self.identify(&identity);
        }
        self.publish();
    }

    /// Cancels the reload; `why` says what the VCP does or has.
    pub(super) fn cancel_reload(&mut self, why: &'static str) {
        self.forget_spare();
        self.table.set_draining(false);
        if let Some(reload) = self.reload.take() {
            let _ = reload.answer.send(Err(ReloadError::NotNow(why)));
        }
    }

    pub(super) fn reload_state(&self) -> ReloadState {
        match self.reload.as_ref().map(|reload| &reload.stage) {
            Some(Stage::Preparing) => ReloadState::Preparing,
            Some(Stage::Draining(_)) => ReloadState::Draining,
            Some(Stage::Taking { .. }) => ReloadState::Trial,
            None if self.supervisor.on_trial() => ReloadState::Trial,
            None => ReloadState::None,
        }
    }
}
