//! What is wanted of the RAM disk, and whether it is so: ratios of the medians of one
//! run. What was not measured is no pass.

use vcp_benches::row::{Column, Layout, Row, Want};
use vcp_benches::workload::Workload;

use crate::plan::{READ_4K, READ_128K, WRITE_4K, WRITE_128K};
use crate::results::{Cell, Results};
use crate::scene::Kind;

pub(crate) const LAYOUT: Layout = Layout(&[
    (Column::What, 52),
    (Column::Unit, 4),
    (Column::Median, 8),
    (Column::Wanted, 7),
    (Column::Verdict, 12),
]);

/// Workloads, and what they are counted in.
const WANTED: [(Workload, &str); 4] = [
    (READ_4K, "IOPS"),
    (WRITE_4K, "IOPS"),
    (READ_128K, "MB/s"),
    (WRITE_128K, "MB/s"),
];

/// Of nbdkit's own.
const LEAST: f64 = 1.0;

/// What is wanted of the VCP, and how it stands to the other two.
pub(crate) fn rows(results: &Results) -> Vec<Row> {
    let to = |peer| WANTED.map(|(workload, unit)| row(results, peer, workload, unit));
    let wanted = to(Kind::Memory).map(|row| row.want(Want::AtLeast(LEAST)));
    let beside = [Kind::Rust, Kind::Python].map(to);
    let beside = beside.into_iter().flatten();
    let measured = beside.filter(|row| !row.median().is_nan());
    wanted.into_iter().chain(measured).collect()
}

fn row(results: &Results, peer: Kind, workload: Workload, unit: &str) -> Row {
    let what = format!("{workload}: {unit} to that of {}", peer.name());
    match results.ratio(Kind::Vcp, peer, workload, Cell::iops) {
        Some(ratio) => Row::new(what, "×", vec![ratio]),
        None => Row::missing(what, "×"),
    }
}

#[cfg(test)]
mod tests {
    use vcp_benches::arm::Sample;
    use vcp_benches::row::Verdict;

    use super::*;
    use crate::plan::Effort;

    fn cell(kind: Kind, workload: Workload, rate: f64) -> Cell {
        let sample = Sample {
            requests_per_second: rate,
            bytes_per_second: rate * 4096.0,
            latency: 1.0 / rate,
            p99: 2.0 / rate,
            cpu_per_request: 1.0 / rate,
            cpu_per_byte: 1.0 / rate / 4096.0,
            cores: 1.0,
            target_per_request: 0.0,
            client_per_request: 0.0,
        };
        Cell {
            samples: vec![sample],
            ..Cell::new(kind, workload)
        }
    }

    fn verdicts(cells: Vec<Cell>) -> Vec<Verdict> {
        let results = Results {
            effort: Effort::QUICK,
            cells,
            others: 0.0,
        };
        rows(&results).iter().map(Row::verdict).collect()
    }

    #[test]
    fn only_what_was_measured_passes() {
        assert_eq!(verdicts(Vec::new()), [Verdict::NotMeasured; 4]);
        let judged = verdicts(vec![
            cell(Kind::Vcp, READ_4K, 1.1e5),
            cell(Kind::Memory, READ_4K, 1e5),
            cell(Kind::Vcp, WRITE_128K, 0.9e4),
            cell(Kind::Memory, WRITE_128K, 1e4),
            cell(Kind::Vcp, WRITE_4K, 1e5),
        ]);
        let missing = Verdict::NotMeasured;
        assert_eq!(judged, [Verdict::Pass, missing, missing, Verdict::Fail]);
    }

    #[test]
    fn nothing_is_wanted_of_the_others() {
        let judged = verdicts(vec![
            cell(Kind::Vcp, READ_4K, 1e5),
            cell(Kind::Python, READ_4K, 2e5),
        ]);
        assert_eq!(judged[4..], [Verdict::None]);
    }
}
