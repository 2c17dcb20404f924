//! What a run leaves behind: a table, the same for programs, and plots.

use std::io;
use std::path::Path;

use serde_json::json;
use vcp_benches::row::{Column, Layout, Row};
use vcp_benches::{os, report};

use crate::{crowd, latency, plot, shares};

/// The page, around the table.
const PAGE: &str = include_str!("page.in");

const LAYOUT: Layout = Layout(&[
    (Column::What, 66),
    (Column::Unit, 9),
    (Column::Median, 8),
    (Column::Range, 17),
    (Column::Count, 3),
    (Column::Wanted, 12),
    (Column::Verdict, 4),
    (Column::Others, 6),
]);

/// The figures of a run, printed as they come.
pub(crate) struct Report {
    rows: Vec<Row>,
    pub(crate) course: shares::Course,
    pub(crate) distributions: Vec<latency::Distribution>,
    pub(crate) rates: Vec<crowd::Rates>,
}

impl Report {
    pub(crate) fn new() -> Self {
        println!("{}\n{}", os::machine(), LAYOUT.heading());
        Self {
            rows: Vec::new(),
            course: Vec::new(),
            distributions: Vec::new(),
            rates: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, rows: Vec<Row>) {
        rows.iter().for_each(|row| println!("{}", LAYOUT.line(row)));
        self.rows.extend(rows);
    }

    /// Into this directory.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        let command = report::command("sched");
        let machine = os::machine();
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        let figures = json!({ "command": command, "machine": machine, "rows": rows });
        report::json(&directory.join("sched.json"), &figures)?;
        let texts = [
            ("command", command.as_str()),
            ("machine", &machine),
            ("table", &LAYOUT.table(&self.rows)),
        ];
        report::page(&directory.join("sched.md"), PAGE, &texts)?;
        let at = |name: &str| directory.join(name);
        plot::shares(&at("sched-shares.svg"), &self.course).map_err(io::Error::other)?;
        plot::latency(&at("sched-latency.svg"), &self.distributions).map_err(io::Error::other)?;
        plot::crowd(&at("sched-crowd.svg"), &self.rates).map_err(io::Error::other)
    }
}
