//! The traits that a VCP implements, and the single place of its instance in a component.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use crate::block::Request;
use crate::control::{Areas, Command, Start};
use crate::types::Instant;
use crate::{device, processor};

/// A VCP of the world `device`.
pub trait Device: Sized {
    /// Starts it; the error is one line for the operator.
    fn start(start: Start) -> Result<(Self, Areas), String>;
    /// Processes a batch of events and returns a batch of effects.
    fn process(
        &mut self,
        now: Instant,
        commands: &[Command],
        requests: &[Request],
    ) -> device::Effects;
}

/// A VCP of the world `processor`.
pub trait Processor: Sized {
    /// Starts it; the error is one line for the operator.
    fn start(start: Start, network: processor::Network) -> Result<(Self, Areas), String>;
    /// Processes a batch of events and returns a batch of effects.
    fn process(&mut self, events: &processor::Events) -> processor::Effects;
}

/// A VCP that hands its state to the next version of itself in a hot reload
/// (`vcp:io/handover`).
pub trait Handover {
    /// Whether the device's contents exist nowhere else. A successor without them can't
    /// serve, so a reload in which they are not handed over is called off, and this
    /// instance goes on. Asked before each [`snapshot`](Self::snapshot).
    fn only_copy(&self) -> bool {
        false
    }

    /// The state, in a private format of this VCP's versions; it should begin with its
    /// kind and version. Called between two calls of `process` with no request
    /// outstanding. After a success nothing else is called, except on the [only
    /// copy](Self::only_copy), if the state was not taken.
    ///
    /// # Errors
    /// Why there is nothing to hand over just now, in one line; the VCP goes on.
    fn snapshot(&mut self, now: Instant) -> Result<Vec<u8>, String>;

    /// Takes over the result of another instance's `snapshot`, after `start` and before
    /// the first `process`, which gives `ready`. The state may come from anywhere and
    /// must be checked like all foreign input.
    ///
    /// # Errors
    /// The problem, in one line; this instance is then dropped.
    fn restore(&mut self, now: Instant, state: &[u8]) -> Result<(), String>;
}

/// The VCP of a component, set by `init` and used by every call after it.
pub struct Instance<T>(RefCell<Option<T>>);

// SAFETY: only components have an `Instance` in a static, and a component of
// these worlds has one thread.
unsafe impl<T> Sync for Instance<T> {}

impl<T> Instance<T> {
    /// Makes an empty place.
    #[expect(clippy::new_without_default, reason = "made in statics only")]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// Stores the VCP.
    pub fn set(&self, vcp: T) {
        *self.0.borrow_mut() = Some(vcp);
    }

    /// Calls `f` with the VCP. If the host has not called `init` before, this traps.
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(self
            .0
            .borrow_mut()
            .as_mut()
            .expect("the host calls init before process"))
    }
}
