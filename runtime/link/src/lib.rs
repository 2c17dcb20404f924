//! Links that carry Ethernet frames between a VCP and the world: TAP, packet
//! socket, in-memory pipe; and wrappers around any of them.
//!
//! Each implements [`vcp_queue::Link`]. All are driven from one thread, none
//! blocks, and none looks deeper into a frame than its offloads need. `unsafe`
//! is in `sys` alone.

mod frame;
mod pipe;

pub use pipe::{PipeEnd, pipe};
