//! What is wanted of the figures, and whether they are so: ratios of the medians of
//! one run. What was not measured is no pass.

use vcp_benches::row::{Column, Layout, Row, Verdict, Want};
use vcp_benches::workload::Workload;

use crate::results::{Cell, Results};
use crate::scene::Kind;

pub(crate) const LAYOUT: Layout = Layout(&[
    (Column::What, 63),
    (Column::Unit, 4),
    (Column::Median, 8),
    (Column::Wanted, 7),
    (Column::Verdict, 12),
]);

const MIB: f64 = 1_048_576.0;

/// A figure of a cell.
type Figure = fn(&Cell) -> f64;

/// Workloads, what of them, and what it should be to qemu-nbd's over veth.
struct Wanted {
    workloads: &'static [Workload],
    what: &'static str,
    of: Figure,
    want: Want,
}

const READ_4K: Workload = Workload::new("randread", "4k", 32);
const WRITE_4K: Workload = Workload::new("randwrite", "4k", 32);
const READ_128K: Workload = Workload::new("read", "128k", 8);
const WRITE_128K: Workload = Workload::new("write", "128k", 8);

const TO_LIBISCSI: [Wanted; 6] = [
    Wanted {
        workloads: &[
            Workload::new("randread", "4k", 1),
            Workload::new("randwrite", "4k", 1),
        ],
        what: "IOPS",
        of: Cell::iops,
        want: Want::AtLeast(1.2),
    },
    Wanted {
        workloads: &[READ_4K, WRITE_4K],
        what: "IOPS",
        of: Cell::iops,
        want: Want::AtLeast(1.3),
    },
    Wanted {
        workloads: &[READ_128K, Workload::new("read", "1m", 8)],
        what: "MB/s",
        of: Cell::iops,
        want: Want::AtLeast(1.6),
    },
    Wanted {
        workloads: &[WRITE_128K, Workload::new("write", "1m", 8)],
        what: "MB/s",
        of: Cell::iops,
        want: Want::AtLeast(2.0),
    },
    Wanted {
        workloads: &[READ_4K, WRITE_4K],
        what: "CPU per I/O",
        of: Cell::cpu_per_request,
        want: Want::AtMost(0.7),
    },
    Wanted {
        workloads: &[READ_128K, WRITE_128K],
        what: "CPU per GB",
        of: Cell::cpu_per_byte,
        want: Want::AtMost(0.5),
    },
];

/// What the box may cost of the same without it, in percent: less of the rate, and
/// more of the CPU where that is limited.
const SANDBOX: [(Workload, &str, f64, Option<f64>); 4] = [
    (READ_4K, "IOPS", 15.0, Some(25.0)),
    (WRITE_4K, "IOPS", 15.0, Some(25.0)),
    (READ_128K, "MB/s", 5.0, None),
    (WRITE_128K, "MB/s", 5.0, None),
];

/// System calls for each request of 4 KiB.
const CALLS: f64 = 4.0;
/// MiB resident.
const MEMORY: f64 = 128.0;

/// All of it, in the order of the table.
pub(crate) fn rows(results: &Results) -> Vec<Row> {
    let mut rows = libiscsi(results, Kind::Veth);
    rows.extend(sandbox(results));
    for workload in [READ_4K, WRITE_4K] {
        let calls = results
            .cell(Kind::Tap, workload)
            .and_then(|cell| cell.calls);
        let what = format!("{workload}: system calls per I/O");
        rows.push(row(what, "", calls).want(Want::AtMost(CALLS)));
    }
    let resident = results.memory.map(|bytes| bytes as f64 / MIB);
    let what = "resident at most, loads of 128k QD128".to_owned();
    rows.push(row(what, "MiB", resident).want(Want::AtMost(MEMORY)));
    // The same again to the other peer; nothing in particular is wanted of that.
    let beside = libiscsi(results, Kind::Loopback).into_iter();
    let measured = beside.filter(|row| row.verdict() != Verdict::NotMeasured);
    rows.extend(measured.map(|row| row.want(Want::Any)));
    rows
}

fn libiscsi(results: &Results, peer: Kind) -> Vec<Row> {
    let mut rows = Vec::new();
    for wanted in &TO_LIBISCSI {
        for workload in wanted.workloads {
            let ratio = ratio(results, Kind::Tap, peer, *workload, wanted.of);
            let what = format!("{workload}: {} to that of {}", wanted.what, peer.name());
            rows.push(row(what, "×", ratio).want(wanted.want));
        }
    }
    rows
}

fn sandbox(results: &Results) -> Vec<Row> {
    let mut rows = Vec::new();
    for (workload, what, rate, cpu) in SANDBOX {
        let to = |of: Figure| ratio(results, Kind::Tap, Kind::Native, workload, of);
        let lost = to(Cell::iops).map(|ratio| (1.0 - ratio) * 100.0);
        let name = format!("{workload}: {what} less than native");
        rows.push(row(name, "%", lost).want(Want::AtMost(rate)));
        if let Some(most) = cpu {
            let more = to(Cell::cpu_per_request).map(|ratio| (ratio - 1.0) * 100.0);
            let name = format!("{workload}: CPU per I/O more than native");
            rows.push(row(name, "%", more).want(Want::AtMost(most)));
        }
    }
    rows
}

/// `None` when one of them was not measured.
fn ratio(results: &Results, kind: Kind, to: Kind, workload: Workload, of: Figure) -> Option<f64> {
    let [own, others] = [kind, to].map(|kind| results.cell(kind, workload).map(of));
    Some(own? / others?)
}

fn row(what: String, unit: &'static str, figure: Option<f64>) -> Row {
    match figure {
        Some(figure) => Row::new(what, unit, vec![figure]),
        None => Row::missing(what, unit),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vcp_benches::arm::Sample;

    use super::*;
    use crate::plan::Table;
    use crate::results::Measured;
    use crate::scene::{Backing, Parameters};

    /// Twice the rate of qemu-nbd for half of the time, and no other arm.
    fn results(workload: Workload, parameters: Parameters) -> Results {
        let cell = |kind, rate: f64| Cell {
            samples: vec![Sample {
                requests_per_second: rate,
                bytes_per_second: rate * 4096.0,
                latency: 1.0 / rate,
                p99: 2.0 / rate,
                cpu_per_request: 1.0 / rate,
                cpu_per_byte: 1.0 / rate / 4096.0,
                cores: 1.0,
                target_per_request: 0.0,
                client_per_request: 0.0,
            }],
            ..Cell::new(kind, workload)
        };
        let table = Table {
            parameters,
            backing: Backing::File,
            arms: vec![Kind::Tap, Kind::Veth],
            workloads: vec![workload],
            repetitions: 1,
            time: Duration::from_secs(1),
            counts_calls: false,
        };
        let measured = Measured {
            table,
            cells: vec![cell(Kind::Tap, 2e4), cell(Kind::Veth, 1e4)],
            others: 0.0,
            left_out: 0,
        };
        Results {
            tables: vec![measured],
            memory: Some(200 << 20),
        }
    }

    fn verdicts(results: &Results) -> [usize; 3] {
        let rows = rows(results);
        let count = |verdict| rows.iter().filter(|row| row.verdict() == verdict).count();
        [Verdict::Pass, Verdict::Fail, Verdict::NotMeasured].map(count)
    }

    #[test]
    fn only_what_was_measured_passes() {
        let of_defaults = results(READ_4K, Parameters::Default);
        // IOPS and CPU of that workload; the memory.
        assert_eq!(verdicts(&of_defaults), [2, 1, 18]);
        let worst = of_defaults.worst().unwrap();
        assert!((worst - 2.0).abs() < 1e-9);
        // Write is wanted at twice, and CPU is wanted of it too.
        let write = results(WRITE_128K, Parameters::Default);
        assert_eq!(verdicts(&write), [2, 1, 18]);
    }

    #[test]
    fn figures_are_wanted_of_the_default_parameters() {
        let tuned = results(READ_4K, Parameters::Tuned);
        assert_eq!(verdicts(&tuned), [0, 1, 20]);
        assert_eq!(tuned.worst(), None);
    }
}
