//! Control groups: putting the calling thread, or its process, into one that the
//! operator named, and setting CPUs and CPU time of it.
//!
//! [`Hierarchies`] is what is mounted, [`Hierarchies::enter`] goes there. Version 2
//! (cgroup-v2.rst of Linux) and the `cpu` and `cpuset` hierarchies of version 1
//! (cgroup-v1/) are understood. Nothing is moved or removed but what is asked for;
//! groups that were made stay.

mod enter;
mod error;
mod files;
mod hierarchies;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

pub use enter::{Entered, Limits, Quota, Who};
pub use error::CgroupError;
pub use hierarchies::Hierarchies;
