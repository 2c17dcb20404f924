//! What becomes of a VCP: policy and events in, decisions out.
//!
//! A [`Supervisor`] is told what happens to the instances of one VCP and says
//! what is to be done: start the next one now or later, hold the VCP, go back to
//! the module it ran before, fail what waits. It has no clock (times are
//! arguments, in nanoseconds of one monotonic clock), starts nothing itself and
//! knows nothing of modules, memory or queues: that is `vcp-core`.
//!
//! Start reading at [`Supervisor`]; [`Policy`] is what an operator can choose.
#![forbid(unsafe_code)]

mod outage;
mod policy;
mod supervisor;
mod suspects;
#[cfg(test)]
mod tests;

pub use policy::Policy;
pub use supervisor::{Cause, Decision, Phase, Supervisor};
