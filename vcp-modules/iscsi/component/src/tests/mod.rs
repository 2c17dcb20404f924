//! The VCP natively, against the embedded target, in virtual time.
//!
//! | file | subject |
//! |---|---|
//! | `lab` | a VCP, a target, and the host between them |
//! | `network` | how the two reach each other: frames, or streams of the host's |
//! | `load` | requests, and whether what is read is what was written |
//! | `handover` | one version after another on one session |
//! | `spare` | what is made and not called |
//! | `names` | names that the target takes in one form only |
//! | `numbers` | numbers that wrap |
//! | `native` | what spans name where there is no linear memory |

mod handover;
mod lab;
mod load;
mod names;
mod native;
mod network;
mod numbers;
mod spare;
