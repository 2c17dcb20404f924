//! The VCP natively, against the embedded target, in virtual time.
//!
//! | file | subject |
//! |---|---|
//! | `lab` | a VCP, a target, and the host between them |
//! | `network` | the connection of the two: frames, or streams of the host's |
//! | `load` | requests, and checks of read data |
//! | `handover` | successive versions on one session |
//! | `spare` | an instance that is made and not called |
//! | `names` | names that the target knows in one form only |
//! | `numbers` | numbers that wrap |
//! | `native` | the meaning of spans where there is no linear memory |

mod handover;
mod lab;
mod load;
mod names;
mod native;
mod network;
mod numbers;
mod spare;
