//! `cargo xtask test`: runs all tests, in three parts, and prints one closing line.
//!
//! 1. *light*: unit tests of every crate without the Wasm engine, in the dev
//!    profile, whose checks (overflow, debug assertions) they want.
//! 2. *host*: the crates with the engine, in release: the engine takes minutes
//!    to compile, so it is compiled in one profile only, the one that runs.
//! 3. *e2e*: the release binary against real peers.

mod tally;

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{Usage, build, deb, setup, shell};
use tally::Tally;

/// The crates that depend on the Wasm engine.
const HOST: &[&str] = &["vcp-core", "vcp", "vcp-benches", "vcp-campaign"];
const END_TO_END: &str = "vcp-tests";

#[derive(Debug, Default)]
struct Options {
    quick: bool,
    only: Option<String>,
    filter: Option<String>,
}

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    let options = parse(arguments)?;
    setup::install()?;
    let mut tally = Tally::default();
    if options.wants("light") {
        tally.run(&mut light(&options))?;
    }
    if options.wants("host") {
        tally.run(&mut host(&options))?;
    }
    if options.wants("e2e") {
        build::host(true)?;
        if options.wants_package() {
            deb::make(true)?;
        }
        tally.run(&mut end_to_end(&options))?;
    }
    tally.close()
}

fn parse(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--only" => {
                let part = rest
                    .next()
                    .context(Usage("test: --only wants a part".into()))?;
                if !["light", "host", "e2e"].contains(&part.as_str()) {
                    bail!(Usage(format!("test: no part `{part}`")));
                }
                options.only = Some(part.clone());
            }
            flag if flag.starts_with('-') => bail!(Usage(format!("test: unknown option `{flag}`"))),
            filter if options.filter.is_none() => options.filter = Some(filter.to_owned()),
            extra => bail!(Usage(format!("test: one filter only, not also `{extra}`"))),
        }
    }
    Ok(options)
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }

    /// Whether to make the package, which takes a minute, and the first time three.
    fn wants_package(&self) -> bool {
        let is_meant = |filter: &String| filter.contains("package");
        !self.quick && self.filter.as_ref().is_none_or(is_meant)
    }

    fn cargo_test(&self) -> Command {
        let mut cargo = shell::cargo();
        cargo.args(["test", "--no-fail-fast"]);
        cargo
    }

    /// Adds the test programs' arguments, after `--`.
    fn finish(&self, mut cargo: Command, arguments: &[&str]) -> Command {
        cargo
            .args(["--", "--show-output"])
            .args(arguments)
            .args(&self.filter);
        cargo
    }
}

fn light(options: &Options) -> Command {
    let mut cargo = options.cargo_test();
    cargo.arg("--workspace");
    for package in HOST.iter().chain([&END_TO_END]) {
        cargo.args(["--exclude", package]);
    }
    options.finish(cargo, &[])
}

fn host(options: &Options) -> Command {
    let mut cargo = options.cargo_test();
    cargo.arg("--release");
    for package in HOST {
        cargo.args(["--package", package]);
    }
    options.finish(cargo, &[])
}

/// Runs the end-to-end tests. They share two cores with a target, a client and the host
/// under test: more than two at a time would not make them faster.
fn end_to_end(options: &Options) -> Command {
    let mut cargo = options.cargo_test();
    cargo.args(["--package", END_TO_END]);
    cargo.env("VCP_BIN", shell::vcp_binary());
    if options.quick {
        cargo.env("VCP_E2E_QUICK", "1");
    }
    options.finish(cargo, &["--test-threads=2"])
}
