//! What a run leaves behind: `devices.json`, the page and the plot.

use std::io;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use vcp_benches::plot::{self, Bars};
use vcp_benches::row::Row;
use vcp_benches::{os, report};
use vcp_tests::vcp::binary;

use crate::judge;
use crate::plan::{ALL, Effort};
use crate::results::{Cell, Results};
use crate::scene::{Kind, SIZE};

/// The page, around the tables.
const PAGE: &str = include_str!("page.in");

/// Into this directory.
pub(crate) fn write(directory: &Path, results: &Results, rows: &[Row]) -> io::Result<()> {
    let command = report::command("devices");
    let machine = os::machine();
    let versions = versions();
    let Effort { time, repetitions } = results.effort;
    let figures = json!({
        "command": command,
        "machine": machine,
        "versions": versions,
        "bytes": SIZE,
        "seconds": time.as_secs_f64(),
        "cells": results.cells.iter().map(Cell::json).collect::<Vec<_>>(),
        "cpus_of_others": results.others,
        "judged": rows.iter().map(Row::json).collect::<Vec<_>>(),
    });
    report::json(&directory.join("devices.json"), &figures)?;
    let texts = [
        ("command", command.as_str()),
        ("machine", &machine),
        ("versions", &versions.join(", ")),
        ("effort", &format!("{repetitions} × {time:?}")),
        ("others", &format!("{:.2}", results.others)),
        ("table", &results.table()),
        ("judged", &judge::LAYOUT.table(rows)),
    ];
    report::page(&directory.join("devices.md"), PAGE, &texts)?;
    bars(&directory.join("devices.svg"), results).map_err(io::Error::other)
}

/// Of all that takes part, as it says itself.
fn versions() -> Vec<String> {
    let said = |command: &mut Command| {
        let output = command.arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text.lines().next()?.trim().to_owned())
    };
    let programs = [binary(), "nbdkit".into(), "fio".into()];
    let versions = programs
        .iter()
        .map(|program| said(&mut Command::new(program)));
    versions.flatten().collect()
}

/// Rates as ratios to those of nbdkit's memory plugin: absolute ones of 4 KiB and of
/// 128 KiB have no common scale.
fn bars(path: &Path, results: &Results) -> plot::Drawn {
    let groups = ALL.map(|workload| workload.to_string());
    let heights = |kind| {
        let ratio = |workload| results.ratio(kind, Kind::Memory, workload, Cell::iops);
        let heights = ALL.map(|workload| ratio(workload).unwrap_or(f64::NAN));
        (kind.name(), heights.to_vec())
    };
    let all = Kind::ALL.into_iter().map(heights);
    let is_there = |(_, heights): &(_, Vec<f64>)| !heights.iter().all(|h| h.is_nan());
    let bars = Bars {
        title: "I/O a second: more is better",
        unit: "of nbdkit memory",
        groups: &groups,
        series: &all.filter(is_there).collect::<Vec<_>>(),
        line: Some(1.0),
    };
    plot::bars(path, &bars)
}
