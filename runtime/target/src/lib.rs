//! An embedded iSCSI target for the demo, tests and fuzzing.

pub mod disk;
pub mod lun;
