//! One client that behaves, beside crowds that do not: what it notices of them, and what
//! they cost the host. A RAM disk is behind it all, so that nothing but the host is
//! slow; nbdkit's memory plugin beside it has the same crowds.
//!
//! Usage: `clients [--quick] [--strict] [--precedence] [--out DIRECTORY]`. With
//! precedence, for which it wants root, it goes before what else the machine does. A run
//! that is not quick writes its figures to `docs/bench`. The exit code says whether
//! every request succeeded with the right bytes, and with `--strict` also whether what is
//! wanted of times was reached.

mod scene;
mod table;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use vcp_benches::options::Options;
use vcp_benches::os::{self, Others};
use vcp_tests::hostile::{Crowd, Manner};
use vcp_tests::lab::Scratch;
use vcp_tests::need::{Need, skipped};

use scene::{Arm, Kind};
use table::{Cell, Results};

/// How long, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How long one load takes.
    pub(crate) time: Duration,
    /// How long the one beside mutated dialogues takes.
    pub(crate) mutated: Duration,
    pub(crate) repetitions: usize,
}

fn main() -> ExitCode {
    let Some(options) = Options::given() else {
        eprintln!("usage: clients {}", Options::USAGE);
        return ExitCode::from(2);
    };
    if skipped("clients", &[Need::Program("nbdkit"), Need::Program("fio")]) {
        return ExitCode::FAILURE;
    }
    if options.precedence
        && let Err(error) = os::take_precedence()
    {
        eprintln!("clients: --precedence: {error}");
        return ExitCode::FAILURE;
    }
    let effort = if options.quick {
        Effort {
            time: Duration::from_secs(3),
            mutated: Duration::from_secs(5),
            repetitions: 1,
        }
    } else {
        Effort {
            time: Duration::from_secs(4),
            mutated: Duration::from_secs(300),
            repetitions: 3,
        }
    };
    let results = measure(effort);
    println!("\n{}", results.table());
    let whole = (!options.quick).then(|| PathBuf::from("docs/bench"));
    if let Some(out) = options.out.or(whole)
        && let Err(error) = table::write(&out, &results)
    {
        eprintln!("clients: {}: {error}", out.display());
        return ExitCode::FAILURE;
    }
    let good = results.is_right() && (!options.strict || results.is_quick());
    ExitCode::from(u8::from(!good))
}

fn measure(effort: Effort) -> Results {
    println!("{}", os::machine());
    let scratch = Scratch::new();
    let arms = Kind::ALL.map(|kind| Arm::start(kind, scratch.path()));
    let others = Others::than(arms.iter().map(Arm::process).collect());
    let mut cells = Vec::new();
    println!("\n{}", Cell::heading());
    let manners = [None].into_iter().chain(Manner::ALL.map(Some));
    for manner in manners {
        for arm in &arms {
            let cell = beside(arm, manner, effort);
            println!("{}", cell.line());
            cells.push(cell);
        }
    }
    let others = others.cores();
    for arm in arms {
        arm.stop();
    }
    Results {
        effort,
        cells,
        others,
    }
}

/// The client beside a crowd of this manner, or alone.
fn beside(arm: &Arm, manner: Option<Manner>, effort: Effort) -> Cell {
    let (time, repetitions) = match manner {
        // Looking for what is wrong with it takes longer than measuring.
        Some(Manner::Mutated) if arm.kind() == Kind::Vcp => (effort.mutated, 1),
        _ => (effort.time, effort.repetitions),
    };
    let mut cell = Cell::new(arm.kind(), manner);
    for repetition in 0..repetitions {
        let crowd = manner.map(|manner| {
            let count = scene::size_of_crowd(manner);
            let crowd = Crowd::start(manner, &arm.place(), count, repetition as u64);
            // So that they are there when the client comes.
            std::thread::sleep(Duration::from_millis(500));
            crowd
        });
        let watch = watch::Watch::start(arm.process_id());
        let load = arm.load(time);
        let connections = crowd.map_or(0, |crowd| crowd.connections());
        match load {
            Ok(load) => cell.add(&load, watch.finish(), connections),
            Err(why) => {
                println!("{}: {why}", arm.kind().name());
                cell.fail(watch.finish(), connections);
            }
        }
    }
    cell
}
