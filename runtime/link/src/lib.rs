//! Links that carry Ethernet frames between a VCP and the world: TAP, packet
//! socket, in-memory pipe; and wrappers around any of them.
//!
//! Each implements [`vcp_queue::Link`]. All are driven from one thread, none
//! blocks, and none looks deeper into a frame than its offloads need. `unsafe`
//! is in `sys` alone.
//!
//! Start reading at [`LinkSpec`] and [`open`], then `tap` and `packet`.
#![deny(unsafe_code)]

mod again;
mod capture;
mod error;
mod faults;
mod frame;
mod netlink;
mod packet;
mod pipe;
mod segment;
mod spec;
mod sys;
mod tap;
mod vnet;

pub use again::Opener;
pub use capture::Capture;
pub use error::{LinkError, LinkName};
pub use faults::{FaultRates, Faults};
pub use packet::PacketLink;
pub use pipe::{PipeEnd, pipe};
pub use spec::{LinkKind, LinkSpec, Offloading, look, open, random_mac};
pub use tap::Tap;
