//! What a run leaves behind: a table, the same for programs, and plots.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

use crate::row::Row;
use crate::{crowd, latency, os, plot, shares};

/// The page, around the table.
const PAGE: &str = include_str!("page.in");

/// The figures of a run, printed as they come.
pub(crate) struct Report {
    rows: Vec<Row>,
    pub(crate) course: shares::Course,
    pub(crate) distributions: Vec<latency::Distribution>,
    pub(crate) rates: Vec<crowd::Rates>,
}

impl Report {
    pub(crate) fn new() -> Self {
        println!("{}\n{}", os::machine(), Row::heading());
        Self {
            rows: Vec::new(),
            course: Vec::new(),
            distributions: Vec::new(),
            rates: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, rows: Vec<Row>) {
        rows.iter().for_each(|row| println!("{}", row.line()));
        self.rows.extend(rows);
    }

    /// Into this directory.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let arguments: Vec<_> = std::env::args().skip(1).collect();
        let command = format!("cargo xtask bench sched {}", arguments.join(" "));
        let command = command.trim_end();
        let rows: Vec<_> = self.rows.iter().map(Row::json).collect();
        let json = json!({ "command": command, "machine": os::machine(), "rows": rows });
        fs::write(
            directory.join("sched.json"),
            serde_json::to_string_pretty(&json)? + "\n",
        )?;
        let lines: Vec<_> = self.rows.iter().map(Row::line).collect();
        let page = PAGE
            .replace("{command}", command)
            .replace("{machine}", &os::machine())
            .replace("{table}", &[Row::heading(), lines.join("\n")].join("\n"));
        fs::write(directory.join("sched.md"), page)?;
        let at = |name: &str| directory.join(name);
        plot::shares(&at("sched-shares.svg"), &self.course).map_err(io::Error::other)?;
        plot::latency(&at("sched-latency.svg"), &self.distributions).map_err(io::Error::other)?;
        plot::crowd(&at("sched-crowd.svg"), &self.rates).map_err(io::Error::other)
    }
}
