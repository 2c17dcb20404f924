//! An iSCSI initiator without I/O: block requests on one side, the bytes of a TCP
//! connection on the other (RFC 7143, SBC-3).
//!
//! [`Initiator`] is one disk: it logs in, finds out about the logical unit, serves
//! requests, and reconnects when the connection is lost. [`Discovery`] asks a portal for
//! its targets. Both are event machines in the shape of quinn-proto: no I/O, no clock, no
//! threads; time is an argument, and the caller's memory is accessed through [`Memory`].
//! How each requirement of the RFC is met, and which test shows it, is in
//! `docs/rfc7143.md`.
//!
//! | module | subject |
//! |---|---|
//! | `block`, `action`, `config` | the caller's interface |
//! | `initiator` | the session: phases, incoming and outgoing PDUs |
//! | `discovery` | the discovery session |
//! | `login` | stages, security and operational negotiation |
//! | `connection`, `control`, `wire` | one connection: framing, digests, numbers |
//! | `task` | the slab of commands under way |
//! | `scsi` | the logical unit: survey, commands, sense |
//! | `snapshot` | a session in a form that can be handed over |
//! | `timer`, `backoff`, `random` | deadlines, delays, unpredictable bytes |
//!
//! Memory is bounded: tasks by the queue depth, a PDU's kept data by 256 KiB, negotiation
//! text by 64 KiB (1 MiB in discovery). Requests are processed without allocation.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod action;
mod backoff;
mod block;
mod config;
mod connection;
mod control;
mod discovery;
mod initiator;
mod login;
mod random;
mod scsi;
mod snapshot;
mod task;
mod timer;
mod wire;

pub use action::{Action, Level};
pub use block::{Geometry, Memory, Operation, Request, Span, Status};
pub use config::{Config, ConfigError};
pub use discovery::{Discovery, DiscoveryAction, FoundPortal, FoundTarget};
pub use initiator::Initiator;
pub use snapshot::Snapshot;
