//! Disks of a kernel that has `nbd`: attached, mounted, and kept through what
//! happens to those who serve them. In virtual machines, see `vcp_tests::vm`.
//!
//! `VCP_E2E_FULL=1` makes trees and counts as large as a figure wants them.

mod bed;
mod client;
mod many;
mod mount;
mod outage;
mod refusals;
mod restart;
mod survival;
mod tree;

/// The program inside, which cargo builds with these tests.
const AGENT: &str = env!("CARGO_BIN_EXE_vm-agent");
