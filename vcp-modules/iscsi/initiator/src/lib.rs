//! An iSCSI initiator without I/O.
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
mod task;
mod timer;
mod wire;

pub use action::{Action, Level};
pub use block::{Geometry, Memory, Operation, Request, Span, Status};
pub use config::{Config, ConfigError};
pub use discovery::{Discovery, DiscoveryAction, FoundPortal, FoundTarget};
pub use initiator::Initiator;
