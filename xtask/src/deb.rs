//! `cargo xtask deb`: makes the Debian package, with manual pages and completions from
//! the command line itself. Installs cargo-deb below `target` if it is missing.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{Usage, build, setup, shell};

/// The version of cargo-deb, which makes the package.
const CARGO_DEB: &str = "3.8.0";

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    let fast = match arguments {
        [] => false,
        [one] if one == "--fast" => true,
        _ => bail!(Usage(format!("deb: unexpected {arguments:?}"))),
    };
    setup::wasm_target()?;
    build::host(true)?;
    println!("{}", make(fast)?.display());
    Ok(())
}

/// Makes the package of a built program: `fast` and larger, or small.
pub(crate) fn make(fast: bool) -> Result<PathBuf> {
    manuals()?;
    package(fast)
}

/// Makes manual pages and completions, in `target/manuals`.
fn manuals() -> Result<()> {
    let directory = shell::target_dir().join("manuals");
    if directory.exists() {
        // There may be pages of commands that no longer exist.
        fs::remove_dir_all(&directory).context("removing old manual pages")?;
    }
    let mut cargo = shell::cargo();
    cargo.args(["run", "--quiet", "--release", "--package", "vcp"]);
    cargo.args(["--example", "manuals", "--"]).arg(&directory);
    shell::run(cargo.arg(date()))
}

/// The date of the last change, for the pages' headers; empty where there is no history.
fn date() -> String {
    let mut git = Command::new("git");
    git.current_dir(shell::root());
    git.args(["log", "-1", "--format=%cs"]);
    let day = shell::output(&mut git).unwrap_or_default();
    day.trim().to_owned()
}

fn package(fast: bool) -> Result<PathBuf> {
    let package = shell::target_dir().join("debian/vcp.deb");
    let mut deb = Command::new(cargo_deb()?);
    deb.current_dir(shell::root());
    // The debug information for backtraces is most of the file.
    deb.args([
        "deb",
        "--no-build",
        "--strip",
        "--package",
        "vcp",
        "--output",
    ]);
    deb.arg(&package);
    if fast {
        deb.arg("--fast");
    }
    shell::run(&mut deb)?;
    Ok(package)
}

fn cargo_deb() -> Result<PathBuf> {
    if let Some(found) = shell::which("cargo-deb") {
        return Ok(found);
    }
    let tools = shell::target_dir().join("tools");
    let own = tools.join("bin/cargo-deb");
    if !own.is_file() {
        let mut cargo = shell::cargo();
        cargo.args(["install", "cargo-deb", "--locked", "--version", CARGO_DEB]);
        shell::run(cargo.arg("--root").arg(&tools))?;
    }
    Ok(own)
}
