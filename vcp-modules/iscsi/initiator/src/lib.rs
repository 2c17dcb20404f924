//! An iSCSI initiator without I/O.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod action;
mod block;
mod config;
mod login;
mod random;
mod task;
mod timer;
mod wire;

pub use action::{Action, Level};
pub use block::{Geometry, Memory, Operation, Request, Span, Status};
pub use config::{Config, ConfigError};
