//! The control socket: how `vcp ps`, `vcp reload` and the like reach the process
//! that runs the VCPs.
//!
//! Each host listens on a Unix socket of its own ([`place`]) and answers its own user and
//! root ([`Server`]). Requests and answers are lines of JSON ([`Request`], [`report`]);
//! the host provides the [`Handler`] that carries them out. A [`Client`] asks one host,
//! [`Hosts`] finds the one that has a VCP.
//!
//! This crate knows nothing of modules, queues or WebAssembly. It trusts nothing that
//! comes in over a socket: lines, connections and times have limits, and an invalid line
//! is answered with one line that says so.
#![forbid(unsafe_code)]

mod client;
mod hosts;
mod line;
pub mod place;
mod protocol;
pub mod report;
mod server;

pub use client::{Client, ClientError};
pub use hosts::{Address, Found, Hosts, NotFound};
pub use protocol::{Answer, Refusal, RefusalKind, Request, VERSION};
pub use server::{BindError, Handler, Handling, Server};
