//! The kernel's nbd driver: `/dev/nbdX` attached, reconnected and detached
//! through its generic-netlink family (`linux/nbd-netlink.h`), without nbd-client
//! and without the old ioctls.
//!
//! [`Driver`] sends requests to the kernel; [`Sysfs`] reads from `/sys/block` which
//! devices there are; [`usage`] finds out who uses a device; [`Identifier`] is what the
//! kernel stores for us, so that a restarted host finds its devices.
//!
//! This crate serves nothing and keeps no state: the near ends of the sockets
//! ([`Wires`]) are the caller's, and so is every decision. Its calls may block, for
//! as long as the kernel holds its locks: they belong on a thread that may.
//!
//! Start reading at [`driver`].
#![deny(unsafe_code)]

mod claim;
pub mod driver;
mod error;
mod identifier;
mod lock;
mod message;
mod module;
mod name;
mod netlink;
mod sysfs;
pub mod usage;
mod wires;

pub use claim::{Claim, flush_mounted};
pub use driver::{Connect, Driver, Reconnect, SECTOR, whole_sectors};
pub use error::AttachError;
pub use identifier::Identifier;
pub use lock::{Lock, LockError};
pub use name::DeviceName;
pub use sysfs::{Attached, Sysfs};
pub use wires::Wires;
