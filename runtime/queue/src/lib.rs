//! The host's side of a VCP's queues: what an entry says, the table of requests
//! that outlives any one instance, and the traits of those at the queues' ends.
//!
//! This crate does no I/O and knows neither wasmtime nor any protocol. A front
//! end such as an NBD server implements [`Client`], a network link implements
//! [`Link`], and the channel processor in `vcp-core` drives both from one thread.
//!
//! Start reading at [`block`], then [`client`], [`table`] and [`link`].

pub mod area;
pub mod block;
pub mod client;
mod extent;
pub mod link;
mod plan;
pub mod table;
#[cfg(test)]
mod tests;

pub use area::{Area, Loan};
pub use block::{Geometry, Modifiers, Operation, Status};
pub use client::{Answer, Awaits, Client, ClientError, ClientRequest, Flushed, Parked, Submit};
pub use extent::{BadExtents, EXTENT, Extent, MOST_EXTENTS};
pub use link::{Checksum, Link, LinkProperties, Offload, Received};
pub use table::{
    Blame, ClientId, Condemned, Data, Entry, Expired, Finished, Limits, Source, Table, Violation,
};
