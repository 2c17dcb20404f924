//! The oracle: knows what was asked and answered, and so what a disk may hold.
//! It is on the host's side of every VCP, and trusts none.

pub mod content;
pub mod disk;
pub mod load;
pub mod model;
mod request;
mod tally;

pub use tally::Tally;
