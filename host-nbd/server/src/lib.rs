//! NBD listeners, and NBD connections as clients of a block queue.
//!
//! [`Server`] listens, negotiates on tokio and hands each connection that
//! reached its transmission phase to the export's owner as an [`NbdClient`],
//! which the channel processor of a VCP drives from its own thread. The protocol
//! itself is in `vcp-nbd-proto`; this crate adds sockets and keeps them bounded.
//!
//! Start reading at [`server`], then [`client`].

pub mod address;
pub mod client;
pub mod exports;
mod listen;
mod negotiate;
pub mod server;

pub use address::Address;
pub use client::{NbdClient, ResumeError};
pub use exports::{Export, Exports};
pub use server::{Server, ServerError, ServerOptions};
