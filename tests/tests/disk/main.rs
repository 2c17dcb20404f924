//! Disks that a kernel mounts, in virtual machines.

mod client;

/// The program inside, which cargo builds with these tests.
const AGENT: &str = env!("CARGO_BIN_EXE_vm-agent");
