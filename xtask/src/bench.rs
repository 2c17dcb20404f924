//! `cargo xtask bench`: measurements, which are programs of `benches/`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{Usage, setup, shell};

/// The programs, each of which explains itself. The first is meant where none is
/// named.
const PROGRAMS: [&str; 3] = ["initiators", "recovery", "sched"];

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((name, rest)) if PROGRAMS.contains(&name.as_str()) => measure(name, rest),
        Some((name, _)) if !name.starts_with('-') => {
            bail!(Usage(format!("bench: expected {}", PROGRAMS.join(", "))))
        }
        _ => measure(PROGRAMS[0], arguments),
    }
}

/// Builds the host and the program together: one after the other they would
/// each have the dependencies built with other features.
fn measure(name: &str, arguments: &[String]) -> Result<()> {
    if !shell::is_root() {
        bail!("bench {name}: wants root, for network namespaces");
    }
    setup::install()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--package", "vcp"]);
    cargo.args(["--package", "vcp-benches", "--bin", "vcp", "--bin", name]);
    shell::run(&mut cargo)?;
    let mut program = Command::new(shell::target_dir().join("release").join(name));
    program.current_dir(shell::root()).args(arguments);
    program.env("VCP_BIN", shell::vcp_binary());
    shell::run(&mut program)
}
