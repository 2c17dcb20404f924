//! Fuzzers of everything that reads foreign bytes: one module each, whose `run` takes
//! the bytes that libFuzzer makes up and panics when a promise is broken. A promise is
//! more than "doesn't panic": see the head of each module.
//!
//! `fuzz_targets` are their programs, `corpus` what they start from, `examples/seeds.rs`
//! what makes that, and `tests/corpus.rs` runs all of it once without libFuzzer.

pub mod config;
pub mod initiator;
pub mod iscsi_pdu;
pub mod moved;
pub mod nbd_server;
pub mod script;
mod slots;
pub mod target;
pub mod trace;
mod unit;

/// Takes one input.
pub type Run = fn(&[u8]);

/// The targets by name.
pub const TARGETS: &[(&str, Run)] = &[
    ("config", config::run),
    ("initiator", initiator::run),
    ("iscsi_pdu", iscsi_pdu::run),
    ("moved", moved::run),
    ("nbd_server", nbd_server::run),
    ("target", target::run),
];
