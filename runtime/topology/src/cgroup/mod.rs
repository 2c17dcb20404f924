//! Control groups: putting the calling thread, or its process, into one that the
//! operator named, and setting CPUs and CPU time of it.
//!
//! [`Hierarchies`] are the mounts, [`Hierarchies::enter`] moves into a group;
//! [`memory_left`] is what the groups that the process is in leave it. Version 2
//! (cgroup-v2.rst of Linux) and the `cpu`, `cpuset` and `memory` hierarchies of version 1
//! (cgroup-v1/) are understood. Nothing is moved or removed but what is asked for; groups
//! that were made stay.

mod enter;
mod error;
mod files;
mod hierarchies;
mod memory;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use enter::{Entered, Limits, Quota, Who};
pub use error::CgroupError;
pub use hierarchies::Hierarchies;
pub use memory::memory_left;
