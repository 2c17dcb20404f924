//! Every fault that the guests have. Each guest includes its own list and refuses
//! to start with a name that is not there; `runtime/core/tests/hostile` has a case
//! for each, and a test that finds out if not.

pub mod device;
pub mod handover;
pub mod processor;
pub mod recovery;
pub mod wasi;
