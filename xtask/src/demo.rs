//! `cargo xtask demo`: runs the main use case on an in-memory wire. Installs nothing but
//! the Wasm target, needs no privileges and no other program.

use std::process::Command;

use anyhow::Result;

use crate::{build, setup, shell};

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    setup::wasm_target()?;
    build::host(true)?;
    shell::run(
        Command::new(shell::vcp_binary())
            .arg("demo")
            .args(arguments),
    )
}
