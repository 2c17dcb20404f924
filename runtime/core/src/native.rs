//! VCPs compiled into the host binary: the baseline that the sandbox is measured against.
//!
//! For measurements only. Such a VCP runs in the host's own protection domain: what
//! it breaks is the host. Nothing limits or meters it: it has no fuel, no linear
//! memory and no core dumps, no fault can be injected into it, and it neither hands
//! over nor is it reloaded. All else is as for any other VCP: the channel processor,
//! the request table, the clients and the link, so that the two differ in nothing but the
//! sandbox. No command line leads here, and none may.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use crate::bindings::block::{
    Completion, Geometry, Modifiers, Notice, Operation, Request, Status,
};
pub use crate::bindings::control::{Areas, Command, Start};
pub use crate::bindings::processor::{Effects, Events, Network};
pub use crate::bindings::types::{Instant, Span};

/// Entries of the frame queues (`vcp:net/frames`).
pub mod frames {
    pub use crate::bindings::frames::{Checksum, Link, Outgoing, Received};
}

/// Entries of the stream queues (`vcp:net/streams`).
pub mod streams {
    pub use crate::bindings::streams::{CloseOp, ConnectOp, Event, Received, SendOp};
}

use crate::logging::line;

/// An instance of a VCP that is compiled in: the exports of a component, and the
/// bytes that its spans name.
///
/// The host does what it does with a guest: it calls `init` once and `process` from
/// then on, and touches the bytes only between calls. A panic ends the instance, as a
/// trap does.
pub trait NativeVcp: Send {
    /// Starts it; a VCP of the world `device` has no network.
    ///
    /// # Errors
    /// Why it can't, in one line for the operator.
    fn init(&mut self, start: &Start, network: Option<&Network>) -> Result<Areas, String>;

    /// Takes one batch of events, and returns one batch of effects. A VCP of the world
    /// `device` gets commands and requests only, and gives completions and notices only.
    fn process(&mut self, events: &Events) -> Effects;

    /// The bytes that a span names: exactly `span.length` of them, or `None` when it
    /// reaches outside.
    fn bytes(&self, span: Span) -> Option<&[u8]>;

    /// As [`NativeVcp::bytes`], to write.
    fn bytes_mut(&mut self, span: Span) -> Option<&mut [u8]>;
}

/// Makes instances, not started yet.
pub(crate) type Make = Arc<dyn Fn() -> Box<dyn NativeVcp> + Send + Sync>;

/// A call of a native VCP panicked. The message is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub(crate) struct Panicked(String);

/// Makes a call, and stops a panic on its way to the channel.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    // Only the instance may be broken, and that is not called again.
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| Panicked(line(message(&*payload))))
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
