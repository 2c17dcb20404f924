//! A TCP/IP stack over batches of Ethernet frames: no I/O, no clock, no threads.
//!
//! A [`Stack`] is given received frames and the time, and puts frames to send into its
//! arena, each with the checksum and segmentation work for the link. The protocols are
//! smoltcp's; this crate adds the adaptation to an offloading link (`headers`,
//! `checksum`, `mss`, `transmit`), the book-keeping of connections (`connection`,
//! `stack`), the hand-over of a connection from one stack to another (`handover`, with
//! `observed` and `rehearsal`), and the reception of data without smoltcp (`direct`).
//!
//! It runs in a guest and natively, so it uses no `std`, and it has no `unsafe` code.
//! Received frames are hostile: nothing in them may panic, loop or grow memory.
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

/// The state of the transport checksum of a received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// Not verified: the stack does so.
    Unverified,
    /// Verified by the link.
    Verified,
    /// Not computed yet: the frame never crossed a wire.
    Partial,
}
