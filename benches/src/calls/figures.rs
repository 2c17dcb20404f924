//! The figures: as lines, for programs, and as a page.

use std::io;
use std::path::Path;

use serde_json::{Value, json};
use vcp_benches::table::{self, Title};
use vcp_benches::{os, report};
use vcp_core::native::Operation;

use crate::Arm;
use crate::drive::{CALLS, CHILL, Case};

/// The page, around the tables.
const PAGE: &str = include_str!("page.in");

const TITLES: [Title; 8] = [
    Title::words("requests", 8),
    Title::words("caches", 6),
    Title::numbers("in a call", 9),
    Title::numbers("native, ns", 10),
    Title::numbers("wasm, ns", 8),
    Title::numbers("more, ns", 8),
    Title::numbers("of that metering", 16),
    Title::numbers("fuel", 6),
];

/// One case.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) case: Case,
    /// The least that each call took so far, in nanoseconds, in the order of
    /// [`Arm::ALL`].
    pub(crate) least: [Vec<u64>; Arm::ALL.len()],
    /// Of all calls of a repetition.
    pub(crate) fuel: u64,
}

impl Line {
    /// Not measured yet.
    pub(crate) fn new(case: Case) -> Self {
        Self {
            case,
            least: Arm::ALL.map(|_| vec![u64::MAX; CALLS]),
            fuel: 0,
        }
    }

    /// Nanoseconds of a request.
    fn of(&self, arm: Arm) -> f64 {
        let index = Arm::ALL.iter().position(|a| *a == arm);
        let calls = &self.least[index.expect("one of all")];
        calls.iter().sum::<u64>() as f64 / self.requests()
    }

    /// Fuel of a request.
    fn fuel(&self) -> f64 {
        self.fuel as f64 / self.requests()
    }

    fn requests(&self) -> f64 {
        (CALLS as u64 * self.case.batch) as f64
    }

    /// As a line of the table.
    fn text(&self) -> String {
        let [native, unmetered, wasm] = Arm::ALL.map(|arm| self.of(arm));
        let whole = |value: f64| format!("{value:.0}");
        table::line(
            &TITLES,
            &[
                self.operation().to_owned(),
                self.caches().to_owned(),
                self.case.batch.to_string(),
                whole(native),
                whole(wasm),
                whole(wasm - native),
                whole(wasm - unmetered),
                whole(self.fuel()),
            ],
        )
    }

    fn operation(&self) -> &'static str {
        match self.case.operation {
            Operation::Write => "write 4k",
            _ => "read 4k",
        }
    }

    fn caches(&self) -> &'static str {
        if self.case.cold { "cold" } else { "warm" }
    }

    fn json(&self) -> Value {
        let [native, unmetered, wasm] = Arm::ALL.map(|arm| self.of(arm));
        json!({
            "requests": self.operation(),
            "caches": self.caches(),
            "in_a_call": self.case.batch,
            "nanoseconds": { "native": native, "wasm_unmetered": unmetered, "wasm": wasm },
            "fuel": self.fuel(),
        })
    }
}

/// As Markdown has it.
pub(crate) fn table<'a>(lines: impl IntoIterator<Item = &'a Line>) -> String {
    let heading = std::iter::once(table::heading(&TITLES));
    let all = heading.chain(lines.into_iter().map(Line::text));
    all.collect::<Vec<_>>().join("\n")
}

/// Into this directory.
pub(crate) fn write(directory: &Path, lines: &[Line]) -> io::Result<()> {
    let command = report::command("calls");
    let machine = os::machine();
    let part = |cold: bool| table(lines.iter().filter(|line| line.case.cold == cold));
    let figures = json!({
        "command": command,
        "machine": machine,
        "lines": lines.iter().map(Line::json).collect::<Vec<_>>(),
    });
    report::json(&directory.join("calls.json"), &figures)?;
    let texts = [
        ("command", command.as_str()),
        ("machine", &machine),
        ("calls", &CALLS.to_string()),
        ("chill", &(CHILL >> 20).to_string()),
        ("warm", &part(false)),
        ("cold", &part(true)),
    ];
    report::page(&directory.join("calls.md"), PAGE, &texts)
}
