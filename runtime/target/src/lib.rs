//! An embedded iSCSI target for the demo, tests and fuzzing.
//!
//! | module | subject |
//! |---|---|
//! | [`disk`] | backing stores: memory or a file, sparse |
//! | [`lun`] | logical units: SCSI commands, and faults of the medium |
//! | [`config`], [`chap`] | a target's settings, negotiation and authentication |
//! | [`Target`] | the state that connections share: nodes, sessions, violations |
//! | [`Connection`] | one connection, without I/O or clock |
//! | [`serve`] | a target on a host TCP listener, or at the end of a frame link |
//! | [`script`] | protocol faults on demand |
//!
//! It checks initiators as well as serving them: [`Target::violations`] lists an
//! initiator's violations of RFC 7143. For that reason it takes only the PDUs' layouts
//! from `vcp-iscsi-proto`. Text, negotiation, CHAP, digests and SCSI are its own, so that
//! a mistake is not made on both sides alike.

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
