//! Side by side: `vcp` in its forms and qemu-nbd's libiscsi, as initiators of the same
//! unit of the same `tgtd`, in one run with their repetitions interleaved, so that
//! whatever else the machine does hits all of them.
//!
//! Wants root. A run of everything that is not quick writes its figures to
//! `docs/bench`, any other where it is told to. The exit code says whether what
//! `--at-least` and `--strict` ask for was reached; a figure that is not what it should
//! be is no failure without.

mod judge;
mod memory;
mod options;
mod plan;
mod report;
mod results;
mod scene;

use std::io;
use std::process::ExitCode;

use options::Options;
use plan::{Plan, Table};
use results::{Cell, Measured, Results};
use scene::{Backing, Kind, Scene};
use vcp_benches::arm::{Arm, Sample};
use vcp_benches::os::{self, Others};
use vcp_benches::process::Process;
use vcp_benches::row::{Row, Verdict};
use vcp_benches::workload::Workload;
use vcp_tests::need::{Need, skipped};

/// CPUs that others may use before a round is one more than is needed.
const QUIET: f64 = 0.1;

fn main() -> ExitCode {
    let Some(options) = Options::from_args() else {
        eprintln!("{}", options::USAGE);
        return ExitCode::from(2);
    };
    let needs = [
        Need::Root,
        Need::Tun,
        Need::Program("tgtd"),
        Need::Program("qemu-nbd"),
        Need::Program("fio"),
    ];
    if skipped("initiators", &needs) {
        return ExitCode::FAILURE;
    }
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("initiators: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether what the options ask for was reached.
fn run(options: &Options) -> io::Result<bool> {
    if options.precedence {
        os::take_precedence()?;
    }
    let results = measure(options);
    let rows = judge::rows(&results);
    println!("\n{}", judge::LAYOUT.table(&rows));
    let worst = results.worst();
    if let Some(worst) = worst {
        let peer = Kind::Veth.name();
        println!("\nworst IOPS, of those of {peer}: {worst:.2}×");
    }
    if let Some(out) = options.out() {
        report::write(&out, &results, &rows)?;
    }
    let is_fine = |row: &Row| matches!(row.verdict(), Verdict::Pass | Verdict::None);
    let strict = !options.strict || rows.iter().all(is_fine);
    let fast = |least: f64| worst.is_some_and(|worst| worst >= least);
    Ok(strict && options.at_least.is_none_or(fast))
}

fn measure(options: &Options) -> Results {
    println!("{}", os::machine());
    let scene = Scene::new(options.cpu.clone());
    let plan = Plan::new(options);
    let mut results = Results::default();
    for table in &plan.tables {
        let measured = measure_table(&scene, table, plan.counts_calls);
        results.tables.push(measured);
    }
    if plan.memory {
        results.memory = Some(memory::measure(&scene, plan.memory_time));
    }
    results
}

fn measure_table(scene: &Scene, table: &Table, counts_calls: bool) -> Measured {
    println!("\n{table}");
    let lun = scene.lun(table.parameters, table.backing);
    let start = |kind: &Kind| Some((*kind, scene.start(*kind, lun)?));
    let arms: Vec<(Kind, Arm)> = table.arms.iter().filter_map(start).collect();
    let processes = arms.iter().map(|(_, arm)| arm.process());
    let measured: Vec<_> = processes.chain([scene.target()]).collect();
    // The target is to be in the state of one in use, whatever came before.
    if let (Backing::File, Some((_, first))) = (table.backing, arms.first()) {
        first.fill();
    }
    let (mut cells, mut others, mut left_out) = (Vec::new(), Vec::new(), 0);
    println!("\n{}", Cell::heading());
    for workload in &table.workloads {
        let mut rounds = take_turns(&arms, workload, table, &measured);
        left_out += rounds.len() - table.repetitions;
        rounds.truncate(table.repetitions);
        others.extend(rounds.iter().map(|round| round.others));
        let cell = |index: usize, (kind, _): &(Kind, Arm)| Cell {
            samples: rounds.iter().map(|round| round.samples[index]).collect(),
            ..Cell::new(*kind, *workload)
        };
        let mut row: Vec<Cell> = arms
            .iter()
            .enumerate()
            .map(|(i, arm)| cell(i, arm))
            .collect();
        if counts_calls && table.counts_calls {
            for ((_, arm), cell) in arms.iter().zip(&mut row) {
                cell.calls = arm.calls_per_request(workload, table.time / 2);
            }
        }
        row.iter().for_each(|cell| println!("{}", cell.line(&row)));
        cells.extend(row);
    }
    let others = others.iter().sum::<f64>() / others.len() as f64;
    println!("other processes used {others:.2} CPUs meanwhile; {left_out} rounds left out");
    arms.into_iter().for_each(|(_, arm)| arm.stop());
    Measured {
        table: table.clone(),
        cells,
        others,
        left_out,
    }
}

/// One workload on all arms, once.
struct Round {
    /// In the order of the arms.
    samples: Vec<Sample>,
    /// CPUs that others used meanwhile.
    others: f64,
}

/// One workload on all arms, at least as often as the table says, and up to twice as
/// often where others disturb it; the quietest rounds first. Each arm comes first in
/// turn.
fn take_turns(
    arms: &[(Kind, Arm)],
    workload: &Workload,
    table: &Table,
    measured: &[Process],
) -> Vec<Round> {
    let mut rounds: Vec<Round> = Vec::new();
    let is_quiet = |round: &&Round| round.others <= QUIET;
    while rounds.iter().filter(is_quiet).count() < table.repetitions
        && rounds.len() < 2 * table.repetitions
    {
        let others = Others::than(measured.to_vec());
        let mut samples: Vec<(usize, Sample)> = (0..arms.len())
            .map(|place| (rounds.len() + place) % arms.len())
            .map(|index| (index, arms[index].1.measure(workload, table.time)))
            .collect();
        samples.sort_by_key(|(index, _)| *index);
        rounds.push(Round {
            samples: samples.into_iter().map(|(_, sample)| sample).collect(),
            others: others.cores(),
        });
    }
    rounds.sort_by(|a, b| a.others.total_cmp(&b.others));
    rounds
}
