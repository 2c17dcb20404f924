//! `cargo xtask build`: builds guests and host. The guests are built by the build script
//! of `vcp-builtin`, so that a plain `cargo build` has them as well.

use anyhow::{Result, bail};

use crate::{Usage, setup, shell};

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    let release = match arguments {
        [] => true,
        [one] if one == "--release" => true,
        [one] if one == "--dev" => false,
        _ => bail!(Usage(format!("build: unexpected {arguments:?}"))),
    };
    setup::wasm_target()?;
    host(release)
}

/// Builds the `vcp` binary.
pub(crate) fn host(release: bool) -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", "vcp"]);
    if release {
        cargo.arg("--release");
    }
    shell::run(&mut cargo)
}
