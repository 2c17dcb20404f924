//! What the box costs: the iSCSI VCP as a component and as native code of the same
//! sources, in one program that differs in nothing else (`native`), at the same target
//! in one run with their repetitions interleaved.
//!
//! Two tables. The first is the experiment of McAuley and Neugebauer's paper: bulk data
//! out and in, at frames of several sizes, with more or less of the stack's work done
//! below it. The second is what is wanted of the box.
//!
//! Usage: `sandbox [--quick] [--strict] [--precedence] [--out DIRECTORY]`. Wants root,
//! and with precedence goes before what else the machine does. A run that is not quick
//! writes its figures to `docs/bench`, a quick one where it is told to. The exit code
//! says with `--strict` whether what is wanted was reached.

mod figures;
mod judge;
mod plan;
mod report;
mod scene;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use figures::{Pair, Run};
use plan::{BULK, LINKS, Link, REQUESTS, WANTED};
use scene::{Kind, Parameters, Scene};
use vcp_benches::options::Options;
use vcp_benches::os::{self, Others};
use vcp_benches::row::{Row, Verdict};
use vcp_benches::workload::Workload;
use vcp_tests::need::{Need, skipped};

/// How long, and how often each way.
#[derive(Debug, Clone, Copy)]
struct Effort {
    time: Duration,
    repetitions: usize,
}

fn main() -> ExitCode {
    let Some(options) = Options::given().filter(|options| options.only.is_none()) else {
        eprintln!("usage: sandbox {}", Options::USAGE);
        return ExitCode::from(2);
    };
    let needs = [
        Need::Root,
        Need::Tun,
        Need::Program("tgtd"),
        Need::Program("fio"),
    ];
    if skipped("sandbox", &needs) {
        return ExitCode::FAILURE;
    }
    if options.precedence
        && let Err(error) = os::take_precedence()
    {
        eprintln!("sandbox: --precedence: {error}");
        return ExitCode::FAILURE;
    }
    let run = measure(options.quick);
    let rows = judge::rows(&run);
    println!("\n{}", judge::LAYOUT.table(&rows));
    let whole = (!options.quick).then(|| PathBuf::from("docs/bench"));
    if let Some(out) = options.out.or(whole)
        && let Err(error) = report::write(&out, &run, &rows)
    {
        eprintln!("sandbox: {}: {error}", out.display());
        return ExitCode::FAILURE;
    }
    let missed = rows.iter().any(|row: &Row| row.verdict() != Verdict::Pass);
    if options.strict && missed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn measure(quick: bool) -> Run {
    let effort = |full: (u64, usize), short: (u64, usize)| {
        let (milliseconds, repetitions) = if quick { short } else { full };
        Effort {
            time: Duration::from_millis(milliseconds),
            repetitions,
        }
    };
    println!("{}", os::machine());
    let scene = Scene::new();
    let bulk = effort((700, 6), (400, 1));
    println!("\n{}", figures::BULK.heading());
    let mut run = Run::default();
    for link in LINKS {
        let (pairs, others) = compare(&scene, link, Parameters::Tuned, &BULK, bulk);
        pairs
            .iter()
            .for_each(|pair| println!("{}", figures::BULK.line(pair)));
        run.bulk.extend(pairs);
        run.others.push(others);
    }
    let requests = effort((700, 10), (500, 3));
    println!("\n{}", figures::REQUESTS.heading());
    let (pairs, others) = compare(&scene, WANTED, Parameters::Default, &REQUESTS, requests);
    pairs
        .iter()
        .for_each(|pair| println!("{}", figures::REQUESTS.line(pair)));
    run.requests = pairs;
    run.others.push(others);
    run
}

/// Both on links of one kind, in turn, each first as often as the other; and how many
/// CPUs others used meanwhile.
fn compare(
    scene: &Scene,
    link: Link,
    parameters: Parameters,
    workloads: &[Workload],
    effort: Effort,
) -> (Vec<Pair>, f64) {
    let arms = Kind::BOTH.map(|kind| scene.start(kind, link, parameters));
    let processes = arms.iter().map(vcp_benches::arm::Arm::process);
    let others = Others::than(processes.chain([scene.target()]).collect());
    let mut pairs = Vec::new();
    for workload in workloads {
        let mut pair = Pair::new(link, *workload);
        for repetition in 0..effort.repetitions {
            for place in 0..arms.len() {
                let index = (repetition + place) % arms.len();
                let sample = arms[index].measure(workload, effort.time);
                pair.samples[index].push(sample);
            }
        }
        pairs.push(pair);
    }
    let others = others.cores();
    arms.into_iter().for_each(vcp_benches::arm::Arm::stop);
    (pairs, others)
}
