//! `cargo xtask fuzz`: runs every target of `fuzz/` for a while, from the corpus that is
//! committed there. New inputs go to the target directory; those worth keeping are chosen
//! by hand (`cargo fuzz cmin`).

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{Usage, setup, shell};

const DEFAULT: Duration = Duration::from_secs(60);

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    let mut time = DEFAULT;
    let mut only = None;
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--seconds" => {
                let seconds = rest.next().and_then(|text| text.parse().ok());
                time = Duration::from_secs(
                    seconds.context(Usage("fuzz: --seconds wants a number".into()))?,
                );
            }
            flag if flag.starts_with('-') => bail!(Usage(format!("fuzz: unknown option `{flag}`"))),
            target => only = Some(target.to_owned()),
        }
    }
    let mut targets = targets()?;
    targets.push(LOAD.to_owned());
    if let Some(unknown) = only.iter().find(|name| !targets.contains(name)) {
        bail!(Usage(format!(
            "fuzz: no target `{unknown}`; there are: {}",
            targets.join(" ")
        )));
    }
    let chosen: Vec<_> = only.map_or(targets, |one| vec![one]);
    if chosen.iter().any(|target| target != LOAD) {
        install()?;
    }
    let failed: Vec<_> = chosen
        .iter()
        .filter(|target| !survives(target, time))
        .cloned()
        .collect();
    println!(
        "fuzz: {} targets, {} with a finding, {} s each",
        chosen.len(),
        failed.len(),
        time.as_secs()
    );
    if !failed.is_empty() {
        bail!("findings in {}; see fuzz/artifacts", failed.join(", "));
    }
    Ok(())
}

/// Generated modules, loaded by the host. It is no target of libFuzzer: the faults that
/// it looks for end the process, and the engine with its sanitizers would take an hour to
/// build.
const LOAD: &str = "load";

fn load(time: Duration) -> Result<()> {
    setup::wasm_target()?;
    // This builds the host too, so that shared dependencies are built once, with the same
    // features.
    let package = ["--release", "--package", "vcp", "--package", "vcp-campaign"];
    shell::run(shell::cargo().arg("build").args(package))?;
    let smith = shell::target_dir().join("smith");
    let mut build = shell::cargo();
    build.args(["build", "--release", "--manifest-path"]);
    build.arg(shell::root().join("tests/campaign/smith/Cargo.toml"));
    shell::run(build.arg("--target-dir").arg(&smith))?;
    let mut loads = Command::new(shell::target_dir().join("release/vcp-campaign"));
    loads.args(["loads", "--seconds", &time.as_secs().to_string()]);
    shell::run(loads.arg("--smith").arg(smith.join("release/vcp-smith")))
}

fn install() -> Result<()> {
    let present = shell::cargo()
        .args(["fuzz", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if present {
        return Ok(());
    }
    shell::run(shell::cargo().args(["install", "--locked", "cargo-fuzz"]))
}

/// The programs of `fuzz/fuzz_targets`.
fn targets() -> Result<Vec<String>> {
    let dir = shell::root().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "rs") {
            names.extend(
                path.file_stem()
                    .map(|stem| stem.to_string_lossy().into_owned()),
            );
        }
    }
    names.sort();
    Ok(names)
}

fn survives(target: &str, time: Duration) -> bool {
    fuzz_one(target, time)
        .map_err(|error| eprintln!("fuzz: {error:#}"))
        .is_ok()
}

fn fuzz_one(target: &str, time: Duration) -> Result<()> {
    if target == LOAD {
        return load(time);
    }
    // libFuzzer writes to the first directory and reads from all.
    let found = shell::target_dir().join("fuzz-corpus").join(target);
    let committed = shell::root().join("fuzz/corpus").join(target);
    fs::create_dir_all(&found).with_context(|| format!("creating {}", found.display()))?;
    let mut fuzz = cargo_fuzz();
    fuzz.args(["fuzz", "run", target]).arg(found);
    if committed.is_dir() {
        fuzz.arg(committed);
    }
    fuzz.arg("--")
        .arg(format!("-max_total_time={}", time.as_secs()));
    fuzz.args([
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-verbosity=0",
        "-print_final_stats=1",
    ]);
    shell::run(&mut fuzz)
}

/// Runs `cargo fuzz` on the pinned toolchain. Sanitizers need compiler options that
/// stable does not offer under its own name; the toolchain has them all the same, and so
/// no second one is needed.
fn cargo_fuzz() -> Command {
    let mut cargo = shell::cargo();
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo
}
