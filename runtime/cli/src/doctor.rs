//! `vcp doctor`: this machine as VCPs would find it, and what to give them.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use vcp_topology::Topology;
use vcp_topology::doctor::{Capabilities, report};

/// Looks, and says what it saw. Nothing is changed.
pub(crate) fn run() -> Result<ExitCode> {
    let topology = Topology::of_this_machine().context("the machine's CPUs")?;
    print!("{}", report(&topology, &Capabilities::probe(&topology)));
    Ok(ExitCode::SUCCESS)
}
