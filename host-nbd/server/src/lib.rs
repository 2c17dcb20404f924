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
mod gate;
mod keep_alive;
mod listen;
mod negotiate;
mod options;
mod reserve;
pub mod server;
mod tally;

pub use address::Address;
pub use client::{NbdClient, ResumeError};
pub use exports::{Export, Exports};
pub use listen::{look, set_access};
pub use options::{Access, ServerOptions};
pub use server::{Server, ServerError};
