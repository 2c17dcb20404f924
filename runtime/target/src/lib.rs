//! An embedded iSCSI target for the demo, tests and fuzzing.

pub mod chap;
pub mod config;
mod connection;
mod control;
pub mod disk;
pub mod lun;
pub mod script;
pub mod serve;
mod target;

pub use connection::{Connection, End};
pub use control::Waker;
pub use target::{PORTAL_GROUP, SessionInfo, Target, Violation};
