//! What the box may cost, and whether it costs no more.

use vcp_benches::row::{Column, Layout, Row, Want};
use vcp_benches::workload::Workload;

use crate::figures::{Pair, Run};

pub(crate) const LAYOUT: Layout = Layout(&[
    (Column::What, 47),
    (Column::Unit, 4),
    (Column::Median, 8),
    (Column::Wanted, 7),
    (Column::Verdict, 12),
]);

/// Of requests this large: what they are counted in, how much less of these and how
/// much more CPU time for each there may be, in percent.
fn allowed(workload: Workload) -> (&'static str, f64, Option<f64>) {
    match workload.block {
        "4k" => ("IOPS", 15.0, Some(25.0)),
        _ => ("MB/s", 5.0, None),
    }
}

pub(crate) fn rows(run: &Run) -> Vec<Row> {
    run.requests.iter().flat_map(judged).collect()
}

fn judged(pair: &Pair) -> Vec<Row> {
    let (unit, less, more) = allowed(pair.workload);
    let row = |what: &str, percent: f64, most: f64| {
        let what = format!("{}: {what} than native", pair.workload);
        Row::new(what, "%", vec![percent]).want(Want::AtMost(most))
    };
    let mut rows = vec![row(&format!("{unit} less"), pair.lost(), less)];
    rows.extend(more.map(|most| row("CPU per I/O more", pair.added(), most)));
    rows
}
