//! What was measured, and its lines in the table.

use serde_json::{Value, json};
use vcp_benches::arm::Sample;
use vcp_benches::stats::{Samples, figure};
use vcp_benches::table::{self, Title};
use vcp_benches::workload::Workload;

use crate::plan::Effort;
use crate::scene::Kind;

/// Columns of [`Cell::line`].
const TITLES: [Title; 10] = [
    Title::words("workload", 18),
    Title::words("disk", 14),
    Title::numbers("IOPS", 24),
    Title::numbers("MB/s", 16),
    Title::numbers("mean µs", 8),
    Title::numbers("p99 µs", 8),
    Title::numbers("CPU µs per I/O", 20),
    Title::numbers("calls per I/O", 13),
    Title::numbers("IOPS to memory's", 16),
    Title::numbers("CPU to memory's", 15),
];

/// A figure of a sample.
pub(crate) type Figure = fn(&Sample) -> f64;

/// One disk under one workload.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) workload: Workload,
    pub(crate) samples: Vec<Sample>,
    /// System calls for each request, where they were counted.
    pub(crate) calls: Option<f64>,
}

#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) effort: Effort,
    pub(crate) cells: Vec<Cell>,
    /// CPUs that others used meanwhile.
    pub(crate) others: f64,
}

impl Cell {
    pub(crate) fn new(kind: Kind, workload: Workload) -> Self {
        Self {
            kind,
            workload,
            samples: Vec::new(),
            calls: None,
        }
    }

    fn of(&self, figure: Figure) -> Samples {
        self.samples.iter().map(figure).collect()
    }

    pub(crate) fn iops(&self) -> f64 {
        self.of(|sample| sample.requests_per_second).median()
    }

    /// Seconds.
    pub(crate) fn cpu(&self) -> f64 {
        self.of(|sample| sample.cpu_per_request).median()
    }

    /// The two lines above the others.
    pub(crate) fn heading() -> String {
        table::heading(&TITLES)
    }

    /// Medians, with ranges of what is compared; and that to nbdkit's memory plugin in
    /// the same workload, if that is among these.
    pub(crate) fn line(&self, all: &[Self]) -> String {
        let is_reference = |c: &&Self| (c.kind, c.workload) == (Kind::Memory, self.workload);
        let reference = all.iter().find(is_reference);
        let to = |of: fn(&Self) -> f64| {
            reference.map_or_else(String::new, |cell| format!("{:.2}×", of(self) / of(cell)))
        };
        let ranged = |of: Figure, scale: f64, digits: usize| {
            let samples = self.of(of);
            let [median, least, most] =
                [samples.median(), samples.least(), samples.most()].map(|value| value * scale);
            format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
        };
        let median = |of: Figure, scale: f64| figure(self.of(of).median() * scale);
        let cells = [
            self.workload.to_string(),
            self.kind.name().to_owned(),
            ranged(|sample| sample.requests_per_second, 1.0, 0),
            ranged(|sample| sample.bytes_per_second, 1e-6, 0),
            median(|sample| sample.latency, 1e6),
            median(|sample| sample.p99, 1e6),
            ranged(|sample| sample.cpu_per_request, 1e6, 1),
            self.calls
                .map_or_else(|| "not counted".to_owned(), |calls| format!("{calls:.2}")),
            to(Self::iops),
            to(Self::cpu),
        ];
        table::line(&TITLES, &cells)
    }

    pub(crate) fn json(&self) -> Value {
        let all = |of: Figure| {
            let samples: Vec<f64> = self.samples.iter().map(of).collect();
            json!({ "median": self.of(of).median(), "samples": samples })
        };
        json!({
            "disk": self.kind.name(),
            "workload": self.workload.to_string(),
            "iops": all(|sample| sample.requests_per_second),
            "bytes_per_second": all(|sample| sample.bytes_per_second),
            "mean_seconds": all(|sample| sample.latency),
            "p99_seconds": all(|sample| sample.p99),
            "cpu_seconds_per_request": all(|sample| sample.cpu_per_request),
            "cpu_seconds_per_byte": all(|sample| sample.cpu_per_byte),
            "cpus": all(|sample| sample.cores),
            "system_calls_per_request": self.calls,
        })
    }
}

impl Results {
    /// All lines.
    pub(crate) fn table(&self) -> String {
        let lines = self.cells.iter().map(|cell| cell.line(&self.cells));
        let all = std::iter::once(Cell::heading()).chain(lines);
        all.collect::<Vec<_>>().join("\n")
    }

    fn cell(&self, kind: Kind, workload: Workload) -> Option<&Cell> {
        let mut cells = self.cells.iter();
        cells.find(|cell| (cell.kind, cell.workload) == (kind, workload))
    }

    /// One's figure to that of another; `None` when one of them was not measured.
    pub(crate) fn ratio(
        &self,
        kind: Kind,
        to: Kind,
        workload: Workload,
        of: fn(&Cell) -> f64,
    ) -> Option<f64> {
        let [own, others] = [kind, to].map(|kind| self.cell(kind, workload).map(of));
        Some(own? / others?)
    }
}
