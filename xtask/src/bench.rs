//! `cargo xtask bench`: measurements, which are programs of `benches/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{Usage, setup, shell};

/// The programs, each of which explains itself, and whether they compare with the VCP
/// as native code. The first is meant where none is named.
const PROGRAMS: [(&str, bool); 4] = [
    ("initiators", true),
    ("recovery", false),
    ("sandbox", true),
    ("sched", false),
];

/// The host that may have the VCP as native code, and the VCP.
const NATIVE_HOST: &str = "native";
const NATIVE_VCP: &str = "vcp-native-iscsi";

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    let (name, rest) = match arguments.split_first() {
        Some((name, rest)) if !name.starts_with('-') => (name.as_str(), rest),
        _ => (PROGRAMS[0].0, arguments),
    };
    match PROGRAMS.iter().find(|(program, _)| *program == name) {
        Some((_, with_native)) => measure(name, *with_native, rest),
        None => {
            let names = PROGRAMS.map(|(program, _)| program).join(", ");
            bail!(Usage(format!("bench: expected {names}")))
        }
    }
}

/// Builds the host and the program together: one after the other they would
/// each have the dependencies built with other features.
fn measure(name: &str, with_native: bool, arguments: &[String]) -> Result<()> {
    if !shell::is_root() {
        bail!("bench {name}: wants root, for network namespaces");
    }
    setup::install()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--package", "vcp"]);
    cargo.args(["--package", "vcp-benches", "--bin", "vcp", "--bin", name]);
    let mut program = Command::new(shell::target_dir().join("release").join(name));
    if with_native {
        cargo.args(["--bin", NATIVE_HOST]);
        program.env("VCP_NATIVE_ISCSI", native_vcp()?);
    }
    shell::run(&mut cargo)?;
    program.current_dir(shell::root()).args(arguments);
    program.env("VCP_BIN", shell::vcp_binary());
    shell::run(&mut program)
}

/// Builds the VCP as native code, with the profile that the guests have; where it is.
fn native_vcp() -> Result<PathBuf> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--profile", "guest", "--package", NATIVE_VCP]);
    shell::run(&mut cargo)?;
    let library = format!("guest/lib{}.so", NATIVE_VCP.replace('-', "_"));
    Ok(shell::target_dir().join(library))
}
