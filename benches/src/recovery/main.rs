//! What a crash, a reload and a neighbour's crashes cost those who use a disk:
//! VCPs in this process, the iSCSI ones against `tgtd` over offloading TAPs, and
//! clients on their own threads.
//!
//! Usage: `recovery [--quick] [--json FILE] [--markdown FILE]`. Wants root. The
//! exit code says whether what is wanted was reached, with no request failed.

mod bed;
mod client;
mod neighbours;
mod reload;
mod stall;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use vcp_benches::bed::Bed;
use vcp_benches::report;
use vcp_benches::row::{Column, Layout, Row, Verdict};
use vcp_tests::image;
use vcp_tests::lab::Lab;
use vcp_tests::need::{Need, skipped};
use vcp_tests::tgtd::{Tgtd, Unit};

/// Bytes of the unit, all of them written before the first measurement.
const UNIT: u64 = 256 << 20;

const LAYOUT: Layout = Layout(&[
    (Column::What, 52),
    (Column::Unit, 5),
    (Column::Count, 5),
    (Column::Median, 8),
    (Column::Least, 8),
    (Column::P99, 8),
    (Column::Most, 8),
    (Column::Errors, 6),
    (Column::Wanted, 7),
]);

struct Options {
    /// Crashes of each VCP, and reloads under each load.
    times: usize,
    /// Of the neighbours, alone and beside.
    repetitions: usize,
    json: Option<PathBuf>,
    markdown: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("usage: recovery [--quick] [--json FILE] [--markdown FILE]");
        return ExitCode::from(2);
    };
    if skipped("recovery", &[Need::Root, Need::Tun, Need::Program("tgtd")]) {
        return ExitCode::FAILURE;
    }
    let rows = measure(&options);
    let written = write(&options, &rows);
    if let Err(error) = &written {
        eprintln!("recovery: {error}");
    }
    if written.is_ok() && rows.iter().all(|row| row.verdict() != Verdict::Fail) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn measure(options: &Options) -> Vec<Row> {
    let lab = Lab::new();
    let tgtd = Tgtd::start(&lab);
    let lun = tgtd
        .target("iqn.2026-11.bench:disk")
        .unit(1, Unit::new(UNIT));
    image::write_random(&lun.file, UNIT, 7);
    let bed = Bed::new(true);
    println!("{}", LAYOUT.heading());
    let mut rows = Vec::new();
    let mut show = |more: Vec<Row>| {
        more.iter().for_each(|row| println!("{}", LAYOUT.line(row)));
        rows.extend(more);
    };
    show(stall::measure(&bed, &lab, &lun, options.times));
    show(reload::measure(&bed, &lab, &lun, options.times));
    show(neighbours::measure(
        &bed,
        options.repetitions,
        Duration::from_secs(1),
    ));
    rows
}

fn write(options: &Options, rows: &[Row]) -> std::io::Result<()> {
    if let Some(path) = &options.json {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        report::json(path, &rows.into())?;
    }
    if let Some(path) = &options.markdown {
        let table = LAYOUT.table(rows) + "\n";
        report::page(path, PAGE, &[("table", &table)])?;
    }
    Ok(())
}

/// The page of the book, around the table.
const PAGE: &str = include_str!("page.md");

fn options() -> Option<Options> {
    let mut options = Options {
        times: 200,
        repetitions: 10,
        json: None,
        markdown: None,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => {
                options.times = 20;
                options.repetitions = 3;
            }
            "--json" => options.json = Some(arguments.next()?.into()),
            "--markdown" => options.markdown = Some(arguments.next()?.into()),
            _ => return None,
        }
    }
    Some(options)
}
