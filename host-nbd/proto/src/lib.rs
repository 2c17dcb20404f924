//! The NBD protocol, server side, without I/O: bytes in, bytes and decisions
//! out. Sockets, time limits and the table of exports are the caller's; nothing
//! here blocks, sleeps or allocates more than a small bound set by this crate.
//!
//! The measure is the NBD protocol document (NetworkBlockDevice/nbd,
//! `doc/proto.md`), whose section titles are quoted where a rule comes from.
//!
//! A connection lives through two phases:
//!
//! 1. [`Negotiation`] handles options (newstyle, fixed). The caller feeds it
//!    what it received, sends its output, and answers its questions about
//!    exports with an [`ExportInfo`]. It ends with a [`Session`].
//! 2. In transmission the caller cuts the stream into [`Request`]s, asks
//!    [`Session::check`] what to do with each, and encodes answers with
//!    [`reply`].
//!
//! Start reading at [`negotiation`], then [`session`].

pub mod errno;
pub mod export;
pub mod negotiation;
mod option;
mod option_reply;
pub mod reply;
pub mod request;
pub mod session;
pub mod wire;

pub use errno::Errno;
pub use export::{ExportError, ExportInfo};
pub use negotiation::{ListEntry, Negotiation, Step, Unavailable, Violation};
pub use reply::Style;
pub use request::{BadMagic, Request};
pub use session::{Refusal, Session, Verdict};
