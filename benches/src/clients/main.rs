//! One client that behaves, beside crowds that do not: what it notices of them, and what
//! they cost the host. A RAM disk is behind it all, so that nothing but the host is
//! slow; nbdkit's memory plugin beside it has the same crowds.
//!
//! Usage: `clients [--quick] [--strict] [--precedence] [--only CROWD] [--out DIRECTORY]`. With
//! precedence, for which it wants root, it goes before what else the machine does. A run
//! that is not quick writes its figures to `docs/bench`. The exit code says whether
//! every request succeeded with the right bytes, and with `--strict` also whether what is
//! wanted of times was reached.

mod scene;
mod table;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use vcp_benches::options::Options;
use vcp_benches::os::{self, Others};
use vcp_tests::hostile::{Crowd, Manner};
use vcp_tests::lab::Scratch;
use vcp_tests::need::{Need, skipped};

use scene::{Arm, Kind};
use table::{Cell, Results};
use watch::Watch;

/// How long, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How long one load takes.
    pub(crate) time: Duration,
    /// How long the one beside mutated dialogues takes.
    pub(crate) mutated: Duration,
    pub(crate) repetitions: usize,
    /// The client, the server and the crowd have the CPUs in this order, and before all
    /// others.
    pub(crate) precedence: bool,
}

fn main() -> ExitCode {
    let Some(options) = Options::given() else {
        eprintln!("usage: clients {} [--only CROWD]", Options::USAGE);
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
            precedence: options.precedence,
        }
    } else {
        Effort {
            time: Duration::from_secs(4),
            mutated: Duration::from_secs(300),
            repetitions: 3,
            precedence: options.precedence,
        }
    };
    let results = measure(effort, options.only.as_deref());
    println!("\n{}", results.table());
    let whole = (!options.quick && options.only.is_none()).then(|| PathBuf::from("docs/bench"));
    if let Some(out) = options.out.or(whole)
        && let Err(error) = table::write(&out, &results)
    {
        eprintln!("clients: {}: {error}", out.display());
        return ExitCode::FAILURE;
    }
    let good = results.is_right() && (!options.strict || results.is_quick());
    ExitCode::from(u8::from(!good))
}

fn measure(effort: Effort, only: Option<&str>) -> Results {
    println!("{}", os::machine());
    let scratch = Scratch::new();
    let mut arms = Kind::ALL.map(|kind| started(kind, scratch.path()));
    let mut cells = Vec::new();
    let mut others = Vec::new();
    println!("\n{}", Cell::heading());
    let wanted = |manner: &Manner| only.is_none_or(|only| manner.name().contains(only));
    let crowds = Manner::ALL.into_iter().filter(wanted).map(Some);
    let manners = [None].into_iter().chain(crowds);
    for manner in manners {
        for arm in &mut arms {
            let cell = beside(arm, manner, effort, scratch.path(), &mut others);
            println!("{}", cell.line());
            cells.push(cell);
        }
    }
    for arm in arms {
        arm.stop();
    }
    Results {
        effort,
        cells,
        others: others.into_iter().fold(0.0, f64::max),
    }
}

/// A server, on the first CPU: the client is on the last. Where they share one, each waits
/// for what the other does not do.
fn started(kind: Kind, dir: &Path) -> Arm {
    os::on_cpu(0, || Arm::start(kind, dir))
}

/// The client beside a crowd of this manner, or alone. What other processes used of the
/// CPUs is added to `others`.
fn beside(
    arm: &mut Arm,
    manner: Option<Manner>,
    effort: Effort,
    dir: &Path,
    others: &mut Vec<f64>,
) -> Cell {
    let (time, repetitions) = match manner {
        // Looking for what is wrong with it takes longer than measuring.
        Some(Manner::Mutated) if arm.kind() == Kind::Vcp => (effort.mutated, 1),
        _ => (effort.time, effort.repetitions),
    };
    let mut cell = Cell::new(arm.kind(), manner);
    for repetition in 0..repetitions {
        if arm.has_ended() {
            *arm = started(arm.kind(), dir);
        }
        let before = Others::than(vec![arm.process()]);
        let crowd = manner.map(|manner| {
            let count = scene::size_of_crowd(manner);
            let start = || Crowd::start(manner, &arm.place(), count, repetition as u64);
            let crowd = os::behind_all(start).expect("chrt is part of every Linux");
            // So that they are there when the client comes.
            std::thread::sleep(Duration::from_millis(500));
            crowd
        });
        let watch = Watch::start(arm.process_id());
        let began = Instant::now();
        let answered = crowd.as_ref().map_or(0, Crowd::answers);
        let last = os::cpus() - 1;
        let load = os::on_cpu(last, || arm.load(time, effort.precedence));
        let pressure = crowd.as_ref().map_or(0.0, |crowd| {
            (crowd.answers() - answered) as f64 / began.elapsed().as_secs_f64()
        });
        let connections = crowd.map_or(0, |crowd| crowd.connections());
        cell.crowd(connections, pressure);
        match load {
            Ok(load) => cell.add(&load, watch.finish()),
            Err(why) => {
                println!("{}: {why}", arm.kind().name());
                cell.fail(watch.finish());
            }
        }
        if arm.has_ended() {
            println!("{}: its process ended", arm.kind().name());
            cell.ended();
        } else {
            others.push(before.cores());
        }
    }
    cell
}
