//! What a call costs: the iSCSI VCP in its box and without, called by hand and in one
//! thread with its target, so that neither kernel nor network is in the figures. What
//! `sandbox` shows at a real target is taken apart here: by how much a call has to do,
//! with metering and without, with caches that still know the VCP and ones that don't.
//!
//! Other users of the machine only ever make a call longer. So what a call takes is
//! the least that it took in all repetitions, the arms of which are interleaved.
//!
//! Usage: `calls [--quick] [--precedence] [--out DIRECTORY]`. A run that is not quick
//! writes its figures to `docs/bench`, a quick one where it is told to.

mod drive;
mod figures;
mod peer;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use vcp_benches::options::Options;
use vcp_benches::{object, os};
use vcp_core::native::Operation;
use vcp_core::{Cache, Engine, Module};

use drive::Case;
use figures::Line;

/// Requests in a call.
const BATCHES: [u64; 5] = [1, 2, 4, 8, 16];

/// How the VCP is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arm {
    /// Without a box.
    Native,
    /// In a box whose fuel nobody counts.
    Unmetered,
    /// As it is shipped.
    Wasm,
}

impl Arm {
    pub(crate) const ALL: [Self; 3] = [Self::Native, Self::Unmetered, Self::Wasm];

    fn prepare(self) -> Result<(Engine, Module)> {
        let engine = Engine::new(self != Self::Unmetered)?;
        let module = match self {
            Self::Native => object::native_iscsi()?,
            Self::Unmetered | Self::Wasm => {
                let found = vcp_builtin::find("iscsi").context("the built-in module")?;
                Module::load(&engine, &Cache::of_user(), "iscsi", found.bytes)?
            }
        };
        Ok((engine, module))
    }
}

fn main() -> ExitCode {
    // Nothing is wanted of these figures that one could be strict about.
    let Some(options) =
        Options::given().filter(|options| !options.strict && options.only.is_none())
    else {
        eprintln!("usage: calls [--quick] [--precedence] [--out DIRECTORY]");
        return ExitCode::from(2);
    };
    match measure(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("calls: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: Options) -> Result<()> {
    if options.precedence {
        os::take_precedence().context("--precedence")?;
    }
    println!("{}", os::machine());
    let mut arms = Vec::new();
    for arm in Arm::ALL {
        arms.push(arm.prepare()?);
    }
    let mut lines = cases();
    let repetitions = if options.quick { 2 } else { 20 };
    // A machine has its good and its bad minutes: each case is to have some of both.
    for _ in 0..repetitions {
        for line in &mut lines {
            compare(&arms, line)?;
        }
    }
    println!("\n{}", figures::table(&lines));
    let whole = (!options.quick).then(|| PathBuf::from("docs/bench"));
    match options.out.or(whole) {
        Some(out) => figures::write(&out, &lines).with_context(|| out.display().to_string()),
        None => Ok(()),
    }
}

fn cases() -> Vec<Line> {
    let mut lines = Vec::new();
    for cold in [false, true] {
        for operation in [Operation::Read, Operation::Write] {
            lines.extend(BATCHES.map(|batch| {
                Line::new(Case {
                    operation,
                    batch,
                    cold,
                })
            }));
        }
    }
    lines
}

/// All arms in turn.
fn compare(arms: &[(Engine, Module)], line: &mut Line) -> Result<()> {
    for ((engine, module), least) in arms.iter().zip(&mut line.least) {
        let times = drive::run(engine, module, line.case)?;
        for (least, time) in least.iter_mut().zip(times.calls) {
            *least = time.min(*least);
        }
        // The last arm is the one that is metered.
        line.fuel = times.fuel;
    }
    Ok(())
}
