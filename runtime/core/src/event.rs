//! What happens to a VCP, for those who watch it.

use std::time::Duration;

use vcp_queue::{Geometry, Operation};

use crate::fault::Fault;

/// What happens to a VCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It serves requests.
    Ready(Geometry),
    /// It can't serve requests for now, or not all of them; the reason in one line.
    Suspended(String),
    /// It serves, but the space behind it runs out; its message in one line.
    LowSpace(String),
    /// Its instance died.
    Fault {
        /// What it died of.
        fault: Fault,
        /// The instance that died.
        generation: u32,
        /// What comes next.
        next: Next,
    },
    /// Requests waited for too long, and were answered with an error.
    Expired {
        /// The number of requests.
        failed: usize,
        /// Whether the device is away, so that all others are refused until it is ready
        /// again. Otherwise the others go on.
        refusing: bool,
        /// Why it could not answer them when it last said so, in one line.
        why: String,
    },
    /// Every instance that was given this request died, the last of it alone: it was
    /// answered with an error.
    Poison {
        /// The request's operation.
        operation: Operation,
        /// Bytes from the start of the device.
        offset: u64,
        /// The length in bytes.
        length: u32,
        /// The client's name, in one line.
        client: String,
        /// The fault of the last instance.
        fault: Fault,
    },
    /// Another module has taken its place.
    Reloaded(Reloaded),
    /// The reloaded module was no good, and the one before it is back; the reason in one
    /// line.
    RolledBack(String),
    /// It answers a question in its configuration, in one line.
    Found(String),
    /// It won't serve again unless it is restarted or reloaded; the reason in one line.
    Failed(String),
    /// Its thread has ended. The last event.
    Stopped,
}

/// What follows a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another instance, after this delay.
    Restart(Duration),
    /// An instance of the module before, which is back.
    RollBack,
    /// Nothing: it is held, as `Failed` will say.
    Hold,
    /// Nothing: it was stopping anyway.
    Stop,
}

/// How a reload went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reloaded {
    /// The generation of the new instance.
    pub generation: u32,
    /// Whether it has the state of the one before, or started anew.
    pub handed_over: bool,
    /// How long no request was given to any instance.
    pub pause: Duration,
    /// How many requests were replayed.
    pub replayed: usize,
}

/// The result of a rescan. Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescanned {
    /// The size that was known before.
    pub before: u64,
    /// The size now.
    pub size: u64,
    /// Whether anything about the device has changed.
    pub changed: bool,
}

/// Why there was no rescan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RescanError {
    /// There is no instance that serves, or it ceased to while it looked.
    #[error("there is no device to look at")]
    NotServing,
    /// Too many rescans are waiting for an answer already.
    #[error("too many are waiting for an answer already")]
    Busy,
}

/// Why a reload did not happen, or was taken back. One line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The module could not be started; the one before runs on undisturbed.
    #[error("the new module could not be started: {0}")]
    NotStarted(Fault),
    /// The device is in the memory of the one before, and could not be handed over: that
    /// one runs on undisturbed.
    #[error("the new module can't take the device over, and the one before runs on: {0}")]
    NotTakenOver(String),
    /// The new module took over, but died or was not ready in time, and the one before is
    /// back.
    #[error("rolled back: {0}")]
    RolledBack(String),
    /// There is a reload under way.
    #[error("another reload is under way")]
    Busy,
    /// The VCP is stopping, has lost its link, or it or the new module is compiled into
    /// the host.
    #[error("the VCP {0}")]
    NotNow(&'static str),
    /// Its link is gone, and could not be opened now.
    #[error("the link is gone: {0}")]
    Link(String),
}

/// Why there is no fresh instance. One line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestartError {
    /// The VCP is stopping.
    #[error("it is stopping")]
    Stopping,
    /// Its link is gone, and could not be opened now.
    #[error("the link is gone: {0}")]
    Link(String),
}

/// Why no fault was injected. One line each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// There is no instance: the next is not there yet, or none will be.
    #[error("there is no instance to fail")]
    NoInstance,
    /// What is compiled into the host can't be made to fail.
    #[error("it is compiled into the host and can't be made to fail")]
    Native,
}
