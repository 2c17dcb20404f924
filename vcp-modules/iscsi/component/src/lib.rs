//! The iSCSI VCP: block requests on one side, the network on the other.
//!
//! All protocol work is done by `vcp-iscsi-initiator` and `vcp-netstack`; this crate
//! turns a batch of queue entries into calls of those two and their actions into a batch
//! of effects. It must not contain any protocol of its own, and imports nothing but its
//! log.
//!
//! Start reading at `disk`. Configuration: see `docs/src/reference/iscsi.md`.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod convert;
mod discovery;
mod disk;
mod frames;
mod handover;
mod memory;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod streams;
#[cfg(test)]
mod tests;
mod transport;
mod vcp;

pub use vcp::Iscsi;

vcp_sdk::export_processor!(Iscsi, handover);
