//! What came of it: for each crowd, what the client noticed and what the server had.

use std::io;
use std::path::Path;

use serde_json::{Value, json};
use vcp_benches::table::{self, Title};
use vcp_benches::{os, report};
use vcp_tests::hostile::Manner;

use crate::Effort;
use crate::scene::{Kind, size_of_crowd};
use crate::watch::Most;

/// The page, around the table.
const PAGE: &str = include_str!("page.in");

/// The client's p99 may be so many times what it is alone.
const TIMES: f64 = 10.0;

const TITLES: [Title; 12] = [
    Title::words("beside", 42),
    Title::words("server", 6),
    Title::numbers("p50 ms", 7),
    Title::numbers("p99 ms", 7),
    Title::numbers("of alone", 8),
    Title::numbers("errors", 6),
    Title::numbers("requests", 8),
    Title::numbers("crowd's/s", 9),
    Title::numbers("ended", 5),
    Title::numbers("MiB", 5),
    Title::numbers("descriptors", 11),
    Title::numbers("threads", 7),
];

/// A crowd, and a server.
pub(crate) struct Cell {
    kind: Kind,
    manner: Option<Manner>,
    /// The figure of each repetition, in seconds.
    p50: Vec<f64>,
    p99: Vec<f64>,
    errors: u64,
    requests: u64,
    most: Most,
    /// Connections of the crowd in all, and its requests a second in each repetition.
    connections: u64,
    pressure: Vec<f64>,
    /// How often the server ended.
    ends: u64,
}

impl Cell {
    pub(crate) fn new(kind: Kind, manner: Option<Manner>) -> Self {
        Self {
            kind,
            manner,
            p50: Vec::new(),
            p99: Vec::new(),
            errors: 0,
            requests: 0,
            most: Most::default(),
            connections: 0,
            pressure: Vec::new(),
            ends: 0,
        }
    }

    /// One repetition: fio's report of its job.
    pub(crate) fn add(&mut self, job: &Value, most: Most) {
        let directions = ["read", "write"].map(|direction| &job[direction]);
        let slower = |percentile: &str| {
            let of = |direction: &&Value| direction["clat_ns"]["percentile"][percentile].as_f64();
            directions.iter().filter_map(of).fold(0.0, f64::max) / 1e9
        };
        self.p50.push(slower("50.000000"));
        self.p99.push(slower("99.000000"));
        self.errors += job["total_err"].as_u64().unwrap_or(0);
        self.errors += u64::from(job["error"] != 0);
        let done = |direction: &&Value| direction["total_ios"].as_u64();
        self.requests += directions.iter().filter_map(done).sum::<u64>();
        self.most = self.most.or(most);
    }

    /// One repetition that came to nothing.
    pub(crate) fn fail(&mut self, most: Most) {
        self.errors += 1;
        self.most = self.most.or(most);
    }

    /// What the crowd did in one repetition.
    pub(crate) fn crowd(&mut self, connections: u64, pressure: f64) {
        self.connections += connections;
        self.pressure.push(pressure);
    }

    /// The server's process ended in one repetition.
    pub(crate) fn ended(&mut self) {
        self.ends += 1;
    }

    fn median(values: &[f64]) -> f64 {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn p99(&self) -> f64 {
        Self::median(&self.p99)
    }

    fn beside(&self) -> String {
        match self.manner {
            None => "nobody".to_owned(),
            Some(manner) => format!("{} × {}", size_of_crowd(manner), manner.name()),
        }
    }

    pub(crate) fn heading() -> String {
        table::heading(&TITLES)
    }

    /// While it goes on: before the one alone is known to all.
    pub(crate) fn line(&self) -> String {
        self.line_with(None)
    }

    fn line_with(&self, alone: Option<f64>) -> String {
        let times = alone.map(|alone| shown(self.p99() / alone));
        table::line(
            &TITLES,
            &[
                self.beside(),
                self.kind.name().to_owned(),
                shown(Self::median(&self.p50) * 1e3),
                shown(self.p99() * 1e3),
                times.unwrap_or_default(),
                self.errors.to_string(),
                self.requests.to_string(),
                format!("{:.0}", Self::median(&self.pressure)),
                self.ends.to_string(),
                (self.most.resident >> 20).to_string(),
                self.most.descriptors.to_string(),
                self.most.threads.to_string(),
            ],
        )
    }

    fn json(&self) -> Value {
        json!({
            "beside": self.beside(),
            "server": self.kind.name(),
            "p50_seconds": self.p50,
            "p99_seconds": self.p99,
            "errors": self.errors,
            "requests": self.requests,
            "resident_bytes": self.most.resident,
            "descriptors": self.most.descriptors,
            "threads": self.most.threads,
            "connections_of_the_crowd": self.connections,
            "requests_of_the_crowd_per_second": self.pressure,
            "server_ended": self.ends,
        })
    }
}

/// What was not measured is nothing.
fn shown(value: f64) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else {
        format!("{value:.2}")
    }
}

/// All of it.
pub(crate) struct Results {
    pub(crate) effort: Effort,
    pub(crate) cells: Vec<Cell>,
    pub(crate) others: f64,
}

impl Results {
    fn alone(&self, kind: Kind) -> Option<f64> {
        let alone = |cell: &&Cell| cell.kind == kind && cell.manner.is_none();
        self.cells.iter().find(alone).map(Cell::p99)
    }

    pub(crate) fn table(&self) -> String {
        let line = |cell: &Cell| format!("\n{}", cell.line_with(self.alone(cell.kind)));
        let lines: String = self.cells.iter().map(line).collect();
        format!("{}{lines}", Cell::heading())
    }

    fn ours(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.kind == Kind::Vcp)
    }

    /// Every request beside every crowd succeeded, with the right bytes.
    pub(crate) fn is_right(&self) -> bool {
        self.ours()
            .all(|cell| cell.errors == 0 && cell.requests > 0)
    }

    /// And none of them was much slower for it.
    pub(crate) fn is_quick(&self) -> bool {
        let alone = self.alone(Kind::Vcp).unwrap_or(f64::NAN);
        self.ours().all(|cell| cell.p99() <= TIMES * alone)
    }
}

/// The figures and the page, into this directory.
pub(crate) fn write(directory: &Path, results: &Results) -> io::Result<()> {
    let command = report::command("clients");
    let machine = os::machine();
    let Effort {
        time,
        mutated,
        repetitions,
        precedence: _,
    } = results.effort;
    let figures = json!({
        "command": command,
        "machine": machine,
        "seconds": time.as_secs_f64(),
        "seconds_beside_mutated": mutated.as_secs_f64(),
        "cells": results.cells.iter().map(Cell::json).collect::<Vec<_>>(),
        "cpus_of_others": results.others,
    });
    report::json(&directory.join("clients.json"), &figures)?;
    let texts = [
        ("command", command.as_str()),
        ("machine", &machine),
        ("effort", &format!("{repetitions} × {time:?}")),
        ("mutated", &format!("{mutated:?}")),
        ("others", &format!("{:.2}", results.others)),
        ("table", &results.table()),
    ];
    report::page(&directory.join("clients.md"), PAGE, &texts)
}
