//! `cargo xtask check`: runs all checks that do not run the product.

mod docs;
mod files;
mod imports;
mod layout;
mod unused;
mod wit;

use anyhow::{Result, bail};

use crate::{Usage, shell};

type Check = fn() -> Result<()>;

/// The checks, in an order that finds the cheap mistakes first.
const CHECKS: &[(&str, Check)] = &[
    ("fmt", fmt),
    ("layout", layout::check),
    ("links", docs::links),
    ("unused", unused::check),
    ("wit", wit::check),
    ("clippy", clippy),
    ("docs", docs::rustdoc),
    ("imports", imports::check),
];

/// Runs the named checks, or all; a failure does not stop the others.
pub(crate) fn command(arguments: &[String]) -> Result<()> {
    if let Some(unknown) = arguments
        .iter()
        .find(|name| !CHECKS.iter().any(|(known, _)| known == name))
    {
        let known: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
        bail!(Usage(format!(
            "check: no check `{unknown}`; there are: {}",
            known.join(" ")
        )));
    }
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| wanted == name) {
            continue;
        }
        match check() {
            Ok(()) => println!("check {name}: ok"),
            Err(error) => {
                println!("check {name}: FAILED\n{error:#}");
                failed.push(*name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn fmt() -> Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    shell::run(shell::cargo().args([
        "clippy",
        "--keep-going",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}
