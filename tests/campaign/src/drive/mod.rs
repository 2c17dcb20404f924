//! Runs: a device under load, something wrong with it, and whether it serves
//! again.

mod delay;
pub mod device;
pub mod mutants;
pub mod outcome;
pub mod reach;
pub mod strict;
mod verify;
mod watch;
pub mod world;

pub use device::Subject;
pub use outcome::{Outcome, Verdict};
pub use world::World;
