//! A TCP/IP stack over batches of Ethernet frames: no I/O, no clock, no threads.
//!
//! A [`Stack`] is fed received frames and the time, and leaves the frames it
//! wants sent in an arena of its own, each with the checksum and segmentation
//! work that the link is to do. The protocols are smoltcp's; this crate adds what
//! lies between smoltcp and an offloading link (`headers`, `checksum`, `mss`,
//! `transmit`), the book-keeping of connections (`connection`, `stack`), and the
//! hand-over of a connection from one stack to another (`handover`, which stands
//! on `observed` and `rehearsal`), and a way for data past smoltcp (`direct`).
//!
//! It runs in a guest and natively, so it may use no `std`, and it holds no
//! `unsafe`. Received frames are hostile: nothing in them may panic, loop or
//! grow memory.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod checksum;
mod config;
mod connection;
mod direct;
mod handover;
mod headers;
mod interface;
mod listener;
mod mss;
mod observed;
mod rehearsal;
mod resolution;
mod route;
mod stack;
mod streams;
mod transmit;

pub use config::{Config, ConfigError, Congestion};
pub use connection::{ConnectError, End, Handle, ListenError, State};
pub use handover::{ConnectionState, ExportError, ImportError, Scales};
pub use stack::{Counters, Stack};
pub use transmit::{Frame, MAX_FRAME};

/// What is known of the transport checksum of a received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing: the stack verifies it.
    Unverified,
    /// The link verified it.
    Verified,
    /// Not computed yet: the frame never crossed a wire.
    Partial,
}
