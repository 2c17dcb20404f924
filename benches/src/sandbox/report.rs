//! What a run leaves behind: `sandbox.json`, the page and the plots.

use std::io;
use std::path::Path;

use serde_json::json;
use vcp_benches::plot::{self, Bars};
use vcp_benches::row::Row;
use vcp_benches::stats::Samples;
use vcp_benches::{os, report};

use crate::figures::{self, Figure, Pair, Run};
use crate::judge;
use crate::plan::{BULK, LINKS};
use crate::scene::Kind;

/// The page, around the tables.
const PAGE: &str = include_str!("page.in");

/// Into this directory.
pub(crate) fn write(directory: &Path, run: &Run, rows: &[Row]) -> io::Result<()> {
    let command = report::command("sandbox");
    let machine = os::machine();
    let json_of = |pairs: &[Pair]| pairs.iter().map(Pair::json).collect::<Vec<_>>();
    let figures = json!({
        "command": command,
        "machine": machine,
        "bulk": json_of(&run.bulk),
        "requests": json_of(&run.requests),
        "cpus_of_others": run.others,
        "judged": rows.iter().map(Row::json).collect::<Vec<_>>(),
    });
    report::json(&directory.join("sandbox.json"), &figures)?;
    let others = Samples::new(run.others.clone());
    let others = format!("{:.2} (at most {:.2})", others.median(), others.most());
    let texts = [
        ("command", command.as_str()),
        ("machine", &machine),
        ("others", &others),
        ("bulk", &figures::BULK.table(&run.bulk)),
        ("requests", &figures::REQUESTS.table(&run.requests)),
        ("judged", &judge::LAYOUT.table(rows)),
    ];
    report::page(&directory.join("sandbox.md"), PAGE, &texts)?;
    plots(directory, run).map_err(io::Error::other)
}

/// Bulk data by link.
fn plots(directory: &Path, run: &Run) -> plot::Drawn {
    let groups: Vec<String> = LINKS
        .iter()
        .map(|link| format!("{} {}", link.mtu, link.offload))
        .collect();
    let heights = |kind, pattern, figure: Figure, scale: f64| -> Vec<f64> {
        let of = |link| {
            let mut pairs = run.bulk.iter();
            pairs.find(|pair| pair.link == link && pair.workload.pattern == pattern)
        };
        let median = |pair: &Pair| pair.of(kind, figure).median() * scale;
        LINKS
            .iter()
            .map(|link| of(*link).map_or(f64::NAN, median))
            .collect()
    };
    let [out, into] = BULK.map(|workload| workload.pattern);
    let bars = |name: &str, title, unit, figure, scale| {
        let series = [
            ("out, native", heights(Kind::Native, out, figure, scale)),
            ("out, wasm", heights(Kind::Wasm, out, figure, scale)),
            ("in, native", heights(Kind::Native, into, figure, scale)),
            ("in, wasm", heights(Kind::Wasm, into, figure, scale)),
        ];
        let bars = Bars {
            title,
            unit,
            groups: &groups,
            series: &series,
            line: None,
        };
        plot::bars(&directory.join(name), &bars)
    };
    bars(
        "sandbox-cpu.svg",
        "CPU time for each byte, by MTU and offload: less is better",
        "ns",
        |sample| sample.cpu_per_byte,
        1e9,
    )?;
    bars(
        "sandbox-rate.svg",
        "Bulk data a second, by MTU and offload: more is better",
        "MB",
        |sample| sample.bytes_per_second,
        1e-6,
    )
}
