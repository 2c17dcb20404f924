//! `cargo xtask bench`: measurements, which are programs of `benches/`.

use anyhow::{Result, bail};

use crate::{Usage, build, setup, shell};

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    match arguments.split_first() {
        Some((name, rest)) if name == "peers" => peers(rest),
        _ => bail!(Usage("bench: expected `peers`".into())),
    }
}

/// Side by side with qemu-nbd; the program explains itself.
fn peers(arguments: &[String]) -> Result<()> {
    if !shell::is_root() {
        bail!("bench peers: wants root, for network namespaces");
    }
    setup::install()?;
    build::host(true)?;
    let mut cargo = shell::cargo();
    cargo.args([
        "run",
        "--quiet",
        "--release",
        "--package",
        "vcp-benches",
        "--bin",
        "peers",
        "--",
    ]);
    cargo.env("VCP_BIN", shell::vcp_binary());
    shell::run(cargo.args(arguments))
}
