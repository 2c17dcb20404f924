//! The machine's CPUs as `/sys` shows them, where a VCP's `pin` leads among
//! them, and how a thread gets there.
//!
//! Start reading at [`Topology`], what there is; then [`Placer`], which gives it
//! out: it holds what every VCP was given and has no side effects. [`affinity`],
//! [`priority`] and [`cgroup`] act on the calling thread or its process, each
//! with an error of one line that says which privilege is missing, so that the
//! caller can warn once and go on without. [`doctor`] says all of it in words.
//!
//! This crate starts no VCP, knows nothing of budgets (that is `vcp-sched`) and
//! decides nothing on its own: nothing is pinned, moved or raised unless a
//! caller asks. `/sys`, `/proc` and the control group files are read as input
//! that may be anything: files that are missing or make no sense cost detail,
//! never a panic, and what is read of them is bounded.
//!
//! Which CPUs share a core is taken from `/sys` and checked against recorded trees of
//! machines with and without SMT. The gain from a VCP on the sibling of its client's CPU has
//! *not* been measured.
#![deny(unsafe_code)]

pub mod affinity;
pub mod cgroup;
pub mod doctor;
mod list;
mod pin;
mod placer;
pub mod priority;
mod read;
mod sys;
mod topology;
mod tree;

pub use list::{CpuSet, ListError, MAX_CPUS};
pub use pin::{Pin, PlaceError, Placement};
pub use placer::Placer;
pub use read::ReadError;
pub use topology::{Core, CoreKind, Topology};
