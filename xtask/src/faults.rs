//! `cargo xtask faults`: runs the fault campaign, which is a program of `tests/campaign`.

use anyhow::Result;

use crate::{setup, shell};

/// The page of the book that a complete campaign writes.
const PAGE: &str = "docs/src/explanation/fault-campaign.md";
/// The least number of mutants of a campaign for the book.
const WHOLE: u64 = 10_000;

/// Runs the campaign with the arguments of `vcp-campaign run`. A campaign of 10,000
/// mutants or more writes its page of the book.
pub(crate) fn command(arguments: &[String]) -> Result<()> {
    setup::wasm_target()?;
    // This builds the host too, so that shared dependencies are built once, with the same
    // features.
    let package = ["--release", "--package", "vcp", "--package", "vcp-campaign"];
    shell::run(shell::cargo().arg("build").args(package))?;
    let json = shell::target_dir().join("fault-campaign.json");
    let mut command = std::process::Command::new(shell::target_dir().join("release/vcp-campaign"));
    command.arg("run").args(arguments).arg("--json").arg(json);
    let chosen = |name: &str| arguments.iter().any(|argument| argument == name);
    if !chosen("--report") && !chosen("--only") && mutants(arguments) >= WHOLE {
        command.arg("--report").arg(shell::root().join(PAGE));
    }
    shell::run(&mut command)
}

/// The number of mutants in these arguments; the program itself reports a number that
/// can't be parsed.
fn mutants(arguments: &[String]) -> u64 {
    let after = arguments.iter().skip_while(|a| *a != "--mutants").nth(1);
    let joined = arguments.iter().find_map(|a| a.strip_prefix("--mutants="));
    let given = after.map(String::as_str).or(joined);
    given.map_or(WHOLE, |number| number.parse().unwrap_or(0))
}
