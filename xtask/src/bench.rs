//! `cargo xtask bench`: measurements, which are programs of `benches/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{Usage, setup, shell};

/// The programs, each of which explains itself, and the shared objects that they load.
/// The first is the default.
const PROGRAMS: [(&str, Option<&Object>); 7] = [
    ("initiators", Some(&NATIVE_VCP)),
    ("calls", Some(&NATIVE_VCP)),
    ("clients", None),
    ("devices", Some(&PLUGIN)),
    ("recovery", None),
    ("sandbox", Some(&NATIVE_VCP)),
    ("sched", None),
];

/// A shared object that is measured.
struct Object {
    package: &'static str,
    /// The program that loads it, if that is built here.
    host: Option<&'static str>,
    /// The environment variable with the object's path.
    variable: &'static str,
}

/// The VCP as native code.
const NATIVE_VCP: Object = Object {
    package: "vcp-native-iscsi",
    host: Some("native"),
    variable: "VCP_NATIVE_ISCSI",
};

/// The plugin for nbdkit.
const PLUGIN: Object = Object {
    package: "vcp-nbdkit-ramdisk",
    host: None,
    variable: "VCP_NBDKIT_RAMDISK",
};

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    let (name, rest) = match arguments.split_first() {
        Some((name, rest)) if !name.starts_with('-') => (name.as_str(), rest),
        _ => (PROGRAMS[0].0, arguments),
    };
    match PROGRAMS.iter().find(|(program, _)| *program == name) {
        Some((_, object)) => measure(name, *object, rest),
        None => {
            let names = PROGRAMS.map(|(program, _)| program).join(", ");
            bail!(Usage(format!("bench: expected {names}")))
        }
    }
}

/// Builds the host and the program together: built separately, each would have the
/// dependencies built with other features.
fn measure(name: &str, object: Option<&Object>, arguments: &[String]) -> Result<()> {
    if !shell::is_root() {
        bail!("bench {name}: wants root, for network namespaces and precedence");
    }
    setup::install()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--package", "vcp"]);
    cargo.args(["--package", "vcp-benches", "--bin", "vcp", "--bin", name]);
    let mut program = Command::new(shell::target_dir().join("release").join(name));
    if let Some(object) = object {
        cargo.args(object.host.iter().flat_map(|host| ["--bin", host]));
        program.env(object.variable, build(object)?);
    }
    shell::run(&mut cargo)?;
    program.current_dir(shell::root()).args(arguments);
    program.env("VCP_BIN", shell::vcp_binary());
    shell::run(&mut program)
}

/// Builds it with the guests' profile and returns its path.
fn build(object: &Object) -> Result<PathBuf> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--profile", "guest", "--package", object.package]);
    shell::run(&mut cargo)?;
    let library = format!("guest/lib{}.so", object.package.replace('-', "_"));
    Ok(shell::target_dir().join(library))
}
