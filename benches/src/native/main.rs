//! One iSCSI disk as `vcp run` serves it, with the VCP in its box or without: the two
//! arms of the sandbox's measurement. They differ in nothing but the box.
//!
//! Usage: `native --wasm|--native iscsi key=value… --link SPEC --nbd ADDR…`, in the
//! words of `vcp run`. Without the box the VCP is native code from a shared object
//! (`vcp_benches::object`). It prints the URI when it serves, and ends on SIGTERM.

mod disk;
mod exports;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use vcp_benches::object;
use vcp_config::{HostConfig, Shorthand};
use vcp_core::{Cache, Engine, Module};

use disk::Disk;

/// Where the VCP runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arm {
    Wasm,
    Native,
}

fn main() -> ExitCode {
    let Some((arm, words)) = arguments() else {
        eprintln!("usage: native --wasm|--native iscsi key=value… --link SPEC --nbd ADDR…");
        return ExitCode::from(2);
    };
    tracing_subscriber::fmt()
        .with_env_filter("warn")
        .with_writer(std::io::stderr)
        .init();
    match run(arm, &words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("native: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arm: Arm, words: &Shorthand) -> Result<()> {
    let config = HostConfig::shorthand(words)?;
    // As in `vcp`: one thread for control, and the channel processor's own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the control plane")?;
    runtime.block_on(serve(arm, &config))
}

async fn serve(arm: Arm, config: &HostConfig) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let engine = Engine::new(true)?;
    let module = module(&engine, arm)?;
    let mut disk = Disk::start(&engine, module, config).await?;
    let serving = async {
        disk.ready().await?;
        println!("{}", disk.uri());
        disk.ended().await
    };
    let outcome = tokio::select! {
        outcome = serving => outcome,
        _ = terminate.recv() => Ok(()),
    };
    disk.stop().await;
    outcome
}

fn module(engine: &Engine, arm: Arm) -> Result<Module> {
    match arm {
        Arm::Wasm => {
            let found = vcp_builtin::find("iscsi").context("the built-in module")?;
            Ok(Module::load(
                engine,
                &Cache::of_user(),
                "iscsi",
                found.bytes,
            )?)
        }
        Arm::Native => object::native_iscsi(),
    }
}

fn arguments() -> Option<(Arm, Shorthand)> {
    let mut words = std::env::args().skip(1);
    let arm = match words.next()?.as_str() {
        "--wasm" => Arm::Wasm,
        "--native" => Arm::Native,
        _ => return None,
    };
    let mut shorthand = Shorthand {
        module: words.next().filter(|module| module == "iscsi")?,
        ..Shorthand::default()
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--link" => shorthand.link = Some(words.next()?),
            "--nbd" => shorthand.nbd.push(words.next()?),
            "--cpu" => shorthand.cpu = Some(words.next()?),
            option if option.starts_with("--") => return None,
            _ => shorthand.settings.push(word),
        }
    }
    (!shorthand.nbd.is_empty()).then_some((arm, shorthand))
}
