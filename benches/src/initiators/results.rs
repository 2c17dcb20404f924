//! What was measured, and its lines in the tables.

use serde_json::{Value, json};
use vcp_benches::arm::Sample;
use vcp_benches::stats::{Samples, figure};
use vcp_benches::table::{self, Title};
use vcp_benches::workload::Workload;

use crate::plan::Table;
use crate::scene::{Backing, Kind, Parameters};

/// Columns of [`Cell::line`].
const TITLES: [Title; 13] = [
    Title::words("workload", 18),
    Title::words("initiator", 18),
    Title::numbers("IOPS", 22),
    Title::numbers("MB/s", 6),
    Title::numbers("mean µs", 8),
    Title::numbers("p99 µs", 8),
    Title::numbers("CPU µs per I/O", 20),
    Title::numbers("CPU s per GB", 12),
    Title::numbers("target's", 8),
    Title::numbers("client's", 8),
    Title::numbers("calls per I/O", 13),
    Title::numbers("IOPS to veth's", 14),
    Title::numbers("CPU to veth's", 13),
];

/// One arm under one workload.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) workload: Workload,
    pub(crate) samples: Vec<Sample>,
    /// System calls for each request, where they were counted.
    pub(crate) calls: Option<f64>,
}

/// A table with what was measured.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) table: Table,
    pub(crate) cells: Vec<Cell>,
    /// CPUs that others used meanwhile.
    pub(crate) others: f64,
    /// Rounds that others disturbed and that are in no figure.
    pub(crate) left_out: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) tables: Vec<Measured>,
    /// Bytes that were resident at most.
    pub(crate) memory: Option<u64>,
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

    /// All samples of a figure.
    pub(crate) fn of(&self, figure: impl Fn(&Sample) -> f64) -> Samples {
        self.samples.iter().map(figure).collect()
    }

    pub(crate) fn iops(&self) -> f64 {
        self.of(|sample| sample.requests_per_second).median()
    }

    /// Seconds.
    pub(crate) fn cpu_per_request(&self) -> f64 {
        self.of(|sample| sample.cpu_per_request).median()
    }

    /// Seconds.
    pub(crate) fn cpu_per_byte(&self) -> f64 {
        self.of(|sample| sample.cpu_per_byte).median()
    }

    /// The two lines above the others.
    pub(crate) fn heading() -> String {
        table::heading(&TITLES)
    }

    /// Medians, with ranges of what is compared; and that to qemu-nbd over veth in the
    /// same workload, if that is among these.
    pub(crate) fn line(&self, all: &[Self]) -> String {
        let is_reference = |cell: &&Self| (cell.kind, cell.workload) == (Kind::Veth, self.workload);
        let reference = all.iter().find(is_reference);
        let to = |own: f64, of: fn(&Self) -> f64| {
            reference.map_or_else(String::new, |cell| format!("{:.2}×", own / of(cell)))
        };
        let median = |of: fn(&Sample) -> f64, scale: f64| figure(self.of(of).median() * scale);
        let micro = 1e6;
        let cells = [
            self.workload.to_string(),
            self.kind.name().to_owned(),
            with_range(&self.of(|sample| sample.requests_per_second), 1.0, 0),
            median(|sample| sample.bytes_per_second, 1e-6),
            median(|sample| sample.latency, micro),
            median(|sample| sample.p99, micro),
            with_range(&self.of(|sample| sample.cpu_per_request), micro, 1),
            format!("{:.3}", self.cpu_per_byte() * 1e9),
            median(|sample| sample.target_per_request, micro),
            median(|sample| sample.client_per_request, micro),
            self.calls
                .map_or_else(|| "not counted".to_owned(), |calls| format!("{calls:.2}")),
            to(self.iops(), Self::iops),
            to(self.cpu_per_request(), Self::cpu_per_request),
        ];
        table::line(&TITLES, &cells)
    }

    fn json(&self) -> Value {
        let all = |of: fn(&Sample) -> f64| {
            let samples: Vec<f64> = self.samples.iter().map(of).collect();
            json!({ "median": self.of(of).median(), "samples": samples })
        };
        json!({
            "initiator": self.kind.name(),
            "workload": self.workload.to_string(),
            "iops": all(|sample| sample.requests_per_second),
            "bytes_per_second": all(|sample| sample.bytes_per_second),
            "mean_seconds": all(|sample| sample.latency),
            "p99_seconds": all(|sample| sample.p99),
            "cpu_seconds_per_request": all(|sample| sample.cpu_per_request),
            "cpu_seconds_per_byte": all(|sample| sample.cpu_per_byte),
            "cpus": all(|sample| sample.cores),
            "target_cpu_seconds_per_request": all(|sample| sample.target_per_request),
            "client_cpu_seconds_per_request": all(|sample| sample.client_per_request),
            "system_calls_per_request": self.calls,
        })
    }
}

fn with_range(samples: &Samples, scale: f64, digits: usize) -> String {
    let [median, least, most] =
        [samples.median(), samples.least(), samples.most()].map(|figure| figure * scale);
    format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
}

impl Measured {
    pub(crate) fn json(&self) -> Value {
        json!({
            "parameters": self.table.parameters.text(),
            "backing": self.table.backing.text(),
            "seconds": self.table.time.as_secs_f64(),
            "cpus_of_others": self.others,
            "rounds_left_out": self.left_out,
            "cells": self.cells.iter().map(Cell::json).collect::<Vec<_>>(),
        })
    }

    /// All its lines.
    pub(crate) fn lines(&self) -> String {
        let lines = self.cells.iter().map(|cell| cell.line(&self.cells));
        let all = std::iter::once(Cell::heading()).chain(lines);
        all.collect::<Vec<_>>().join("\n")
    }
}

impl Results {
    /// The table that the figures are wanted of: all arms, tgtd as it comes.
    pub(crate) fn main(&self) -> Option<&Measured> {
        let wanted = (Parameters::Default, Backing::File);
        self.tables
            .iter()
            .find(|measured| (measured.table.parameters, measured.table.backing) == wanted)
    }

    /// In the main table.
    pub(crate) fn cell(&self, kind: Kind, workload: Workload) -> Option<&Cell> {
        let cells = &self.main()?.cells;
        cells
            .iter()
            .find(|cell| (cell.kind, cell.workload) == (kind, workload))
    }

    /// The lowest ratio of IOPS to qemu-nbd's over veth in the main table, where both
    /// were measured.
    pub(crate) fn worst(&self) -> Option<f64> {
        let cells = self.main().map_or(&[][..], |main| &main.cells);
        let ratios = cells.iter().filter(|cell| cell.kind == Kind::Tap);
        let ratios = ratios.filter_map(|cell| {
            let reference = self.cell(Kind::Veth, cell.workload)?;
            Some(cell.iops() / reference.iops())
        });
        ratios.reduce(f64::min)
    }
}
