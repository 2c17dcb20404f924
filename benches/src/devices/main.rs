//! RAM disks side by side: the ramdisk VCP, nbdkit's memory plugin, and plugins of
//! nbdkit in native code and in Python that are of the VCP's shape. Nothing is behind
//! them, so that what is measured is the way of a request from the socket through the
//! host and the box and back. Their repetitions are interleaved in one run, so that
//! whatever else the machine does hits all of them.
//!
//! Usage: `devices [--quick] [--strict] [--precedence] [--out DIRECTORY]`. With
//! precedence, for which it wants root, it goes before what else the machine does. A
//! run that is not quick writes its figures to `docs/bench`, a quick one where it is
//! told to. The exit code says with `--strict` whether what is wanted was reached.

mod judge;
mod plan;
mod report;
mod results;
mod scene;

use std::path::PathBuf;
use std::process::ExitCode;

use plan::Effort;
use results::{Cell, Results};
use scene::Kind;
use vcp_benches::arm::Arm;
use vcp_benches::options::Options;
use vcp_benches::os::{self, Others};
use vcp_benches::process::can_count;
use vcp_benches::row::{Row, Verdict};
use vcp_benches::workload::Workload;
use vcp_tests::lab::Scratch;
use vcp_tests::need::{Need, skipped};

fn main() -> ExitCode {
    let Some(options) = Options::given().filter(|options| options.only.is_none()) else {
        eprintln!("usage: devices {}", Options::USAGE);
        return ExitCode::from(2);
    };
    if skipped("devices", &[Need::Program("nbdkit"), Need::Program("fio")]) {
        return ExitCode::FAILURE;
    }
    if options.precedence
        && let Err(error) = os::take_precedence()
    {
        eprintln!("devices: --precedence: {error}");
        return ExitCode::FAILURE;
    }
    let results = measure(if options.quick {
        Effort::QUICK
    } else {
        Effort::WHOLE
    });
    let rows = judge::rows(&results);
    println!("\n{}", judge::LAYOUT.table(&rows));
    let whole = (!options.quick).then(|| PathBuf::from("docs/bench"));
    if let Some(out) = options.out.or(whole)
        && let Err(error) = report::write(&out, &results, &rows)
    {
        eprintln!("devices: {}: {error}", out.display());
        return ExitCode::FAILURE;
    }
    let is_fine = |row: &Row| matches!(row.verdict(), Verdict::Pass | Verdict::None);
    if options.strict && !rows.iter().all(is_fine) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn measure(effort: Effort) -> Results {
    println!("{}", os::machine());
    let counts_calls = can_count();
    if !counts_calls {
        println!("system calls are not counted: no perf, or it may not");
    }
    let scratch = Scratch::new();
    let start = |kind| Some((kind, scene::start(kind, &scratch)?));
    let arms: Vec<(Kind, Arm)> = Kind::ALL.into_iter().filter_map(start).collect();
    let others = Others::than(arms.iter().map(|(_, arm)| arm.process()).collect());
    let mut cells = Vec::new();
    println!("\n{}", Cell::heading());
    for workload in &plan::ALL {
        let mut row = take_turns(&arms, workload, effort);
        if counts_calls {
            for ((_, arm), cell) in arms.iter().zip(&mut row) {
                cell.calls = arm.calls_per_request(workload, effort.time / 2);
            }
        }
        row.iter().for_each(|cell| println!("{}", cell.line(&row)));
        cells.extend(row);
    }
    let others = others.cores();
    println!("other processes used {others:.2} CPUs meanwhile");
    arms.into_iter().for_each(|(_, arm)| arm.stop());
    Results {
        effort,
        cells,
        others,
    }
}

/// One workload on all disks, as often as the effort says: each comes first as often
/// as the others.
fn take_turns(arms: &[(Kind, Arm)], workload: &Workload, effort: Effort) -> Vec<Cell> {
    let cell = |(kind, _): &(Kind, Arm)| Cell::new(*kind, *workload);
    let mut cells: Vec<Cell> = arms.iter().map(cell).collect();
    for repetition in 0..effort.repetitions {
        for place in 0..arms.len() {
            let index = (repetition + place) % arms.len();
            let sample = arms[index].1.measure(workload, effort.time);
            cells[index].samples.push(sample);
        }
    }
    cells
}
