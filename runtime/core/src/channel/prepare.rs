//! Instances made on another thread while this one serves: spares, and those of
//! a module that is about to take over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::{Channel, Command};
use crate::clock::now;
use crate::fault::Fault;
use crate::guest::{Blueprint, Death, Guest};
use crate::logging::quoted;
use crate::processor::pace::block_on;

/// What an instance is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To take over when the running instance dies.
    Spare,
    /// To take the place of the running instance.
    Reload,
}

/// An instance that was made on another thread, or why it was not.
pub(crate) struct Prepared {
    pub(super) purpose: Purpose,
    pub(super) generation: u32,
    /// The round of preparations that it belongs to; those of earlier rounds are of no use.
    pub(super) round: u64,
    pub(super) result: Result<Box<Guest>, Death>,
}

/// The spare instance.
#[derive(Default)]
pub(super) struct Spare {
    guest: Option<(u32, Box<Guest>)>,
    /// One is being made.
    pending: bool,
    /// Counts up whenever earlier preparations are of no use any more.
    round: u64,
}

impl Spare {
    pub(super) fn is_ready(&self) -> bool {
        self.guest.is_some()
    }

    /// Whether what was prepared in this round is still of use.
    pub(super) fn is_of(&self, round: u64) -> bool {
        self.round == round
    }
}

/// Bytes at the start of the data area that are touched beforehand: what small
/// requests at some depth use.
const TOUCHED: u32 = 4 << 20;

/// The delay of jobs that can wait, so that they keep out of the way of an instance that has
/// just taken over.
const REST: Duration = Duration::from_millis(10);

impl Channel {
    /// Has an instance made by another thread; it arrives as a command.
    pub(super) fn prepare(&mut self, purpose: Purpose, blueprint: Blueprint) {
        let generation = self.supervisor.generation() + 1;
        let round = self.spare.round;
        let (own, waker) = (self.own.clone(), self.poller.waker());
        let rest = match purpose {
            Purpose::Spare => REST,
            Purpose::Reload => Duration::ZERO,
        };
        self.hands.give(rest, move || {
            let made = catch_unwind(AssertUnwindSafe(|| make(&blueprint, generation)));
            let panicked = || Fault::Instantiate("the host panicked".to_owned()).into();
            let prepared = Prepared {
                purpose,
                generation,
                round,
                result: made.unwrap_or_else(|_| Err(panicked())),
            };
            // A VCP that has ended meanwhile needs no instance.
            let _ = own.send(Command::Prepared(prepared));
            waker.wake();
        });
    }

    /// Sees to it that there is a spare while the VCP serves.
    pub(super) fn want_spare(&mut self) {
        let wanted = self.setup.spare && self.ready_now && self.reload.is_none();
        if !wanted || self.leaving() || self.spare.pending || self.spare.guest.is_some() {
            return;
        }
        self.spare.pending = true;
        self.prepare(Purpose::Spare, self.setup.blueprint.clone());
    }

    /// The spare of this generation, if there is one.
    pub(super) fn take_spare(&mut self, generation: u32) -> Option<Guest> {
        let (of, guest) = self.spare.guest.take()?;
        if of == generation && guest.identity == self.setup.plan.identity() {
            return Some(*guest);
        }
        self.bury_later(*guest);
        None
    }

    /// Takes an instance apart, which means giving back its memory and takes longer than
    /// making one: not on the data path.
    pub(super) fn bury_later(&mut self, guest: Guest) {
        self.hands.give(REST, move || drop(guest));
    }

    /// Discards the spare, and one that is being made.
    pub(super) fn forget_spare(&mut self) {
        if let Some((_, guest)) = self.spare.guest.take() {
            self.bury_later(*guest);
        }
        self.spare.pending = false;
        self.spare.round += 1;
    }

    /// Tells all instances to come which device it is. A spare that was told otherwise is
    /// discarded.
    pub(super) fn identify(&mut self, identity: &str) {
        if self.setup.plan.set_identity(identity) {
            // The instance of a reload is checked when it is to take over.
            self.forget_spare();
            self.want_spare();
        }
    }

    pub(super) async fn on_prepared(&mut self, prepared: Prepared) {
        if prepared.purpose == Purpose::Reload {
            return self.reload_prepared(prepared).await;
        }
        if prepared.round != self.spare.round {
            if let Ok(guest) = prepared.result {
                self.bury_later(*guest);
            }
            return;
        }
        self.spare.pending = false;
        match prepared.result {
            Ok(guest) if prepared.generation == self.supervisor.generation() + 1 => {
                self.spare.guest = Some((prepared.generation, guest));
                self.publish();
            }
            // The instance that it was to succeed is gone already.
            Ok(guest) => {
                self.bury_later(*guest);
                self.want_spare();
            }
            Err(death) => {
                let vcp = &*self.setup.plan.name;
                tracing::warn!(vcp, "no spare: {}", quoted(&death.fault.to_string()));
            }
        }
    }
}

fn make(blueprint: &Blueprint, generation: u32) -> Result<Box<Guest>, Death> {
    let guest = block_on(blueprint.build(generation, now()))?;
    guest.touch(TOUCHED);
    Ok(Box::new(guest))
}
