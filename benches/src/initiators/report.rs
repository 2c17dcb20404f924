//! What a run leaves behind: `initiators.json`, the page and the plots.

use std::io;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use vcp_benches::plot::{self, Bars};
use vcp_benches::row::Row;
use vcp_benches::{os, report};
use vcp_tests::vcp::binary;

use crate::judge;
use crate::results::{Cell, Measured, Results};
use crate::scene::Kind;

/// The page, around the tables.
const PAGE: &str = include_str!("page.in");

/// Into this directory.
pub(crate) fn write(directory: &Path, results: &Results, rows: &[Row]) -> io::Result<()> {
    let command = report::command("initiators");
    let machine = os::machine();
    let versions = versions();
    let tables: Vec<_> = results.tables.iter().map(Measured::json).collect();
    let judged: Vec<_> = rows.iter().map(Row::json).collect();
    let figures = json!({
        "command": command,
        "machine": machine,
        "versions": versions,
        "tables": tables,
        "resident_bytes": results.memory,
        "judged": judged,
    });
    report::json(&directory.join("initiators.json"), &figures)?;
    let tables: Vec<_> = results.tables.iter().map(section).collect();
    let texts = [
        ("command", command.as_str()),
        ("machine", &machine),
        ("versions", &versions.join(", ")),
        ("tables", &tables.join("\n\n")),
        ("judged", &judge::LAYOUT.table(rows)),
    ];
    report::page(&directory.join("initiators.md"), PAGE, &texts)?;
    plots(directory, results).map_err(io::Error::other)
}

fn section(measured: &Measured) -> String {
    let Measured {
        table,
        others,
        left_out,
        ..
    } = measured;
    format!(
        "## {table}\n\n{} × {:?} each. Other processes used {others:.2} CPUs meanwhile; rounds \
         left out: {left_out}.\n\n{}",
        table.repetitions,
        table.time,
        measured.lines()
    )
}

/// Of all that takes part, as it says itself.
fn versions() -> Vec<String> {
    let said = |name: &str, command: &mut Command| {
        let output = command.output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().next()?.trim();
        let line = line.strip_prefix(name).unwrap_or(line);
        let line = line.trim_start_matches(['-', ' ']);
        Some(format!("{name} {line}"))
    };
    let library = ["--show", "--showformat=${Version}\\n", "libiscsi*"];
    let versions = [
        said("vcp", Command::new(binary()).arg("--version")),
        said("qemu-nbd", Command::new("qemu-nbd").arg("--version")),
        // Where there is dpkg: the library says nothing itself.
        said("libiscsi", Command::new("dpkg-query").args(library)),
        said("tgtd", Command::new("tgtd").arg("-V")),
        said("fio", Command::new("fio").arg("--version")),
    ];
    versions.into_iter().flatten().collect()
}

/// Rates and CPU time of the main table, as ratios to those of qemu-nbd over veth:
/// absolute ones of 4 KiB and of 1 MiB have no common scale.
fn plots(directory: &Path, results: &Results) -> plot::Drawn {
    let Some(main) = results.main() else {
        return Ok(());
    };
    let groups: Vec<String> = main
        .table
        .workloads
        .iter()
        .map(ToString::to_string)
        .collect();
    let series = |of: fn(&Cell) -> f64| -> Vec<(&str, Vec<f64>)> {
        let ratio = |kind, workload| {
            let [own, reference] = [kind, Kind::Veth].map(|k| results.cell(k, workload).map(of));
            own.zip(reference)
                .map_or(f64::NAN, |(own, reference)| own / reference)
        };
        let heights = |kind| {
            main.table
                .workloads
                .iter()
                .map(move |w| ratio(kind, *w))
                .collect()
        };
        let kinds = main.table.arms.iter();
        let all = kinds.map(|kind| (kind.name(), heights(*kind)));
        all.filter(|(_, heights): &(_, Vec<f64>)| !heights.iter().all(|h| h.is_nan()))
            .collect()
    };
    let bars = |name: &str, title, of| {
        let bars = Bars {
            title,
            unit: "of qemu-nbd over veth",
            groups: &groups,
            series: &series(of),
            line: Some(1.0),
        };
        plot::bars(&directory.join(name), &bars)
    };
    bars(
        "initiators-rate.svg",
        "I/O a second: more is better",
        Cell::iops,
    )?;
    bars(
        "initiators-cpu.svg",
        "CPU time of the initiator for each I/O: less is better",
        Cell::cpu_per_request,
    )
}
