//! The table's cells as text.

use crate::history::{History, Rates};
use crate::snapshot::{Snapshot, Vcp};
use crate::top::{Sort, View};

/// The columns: head, width, and whether it is text; numbers stand to the right.
pub(super) const COLUMNS: [(&str, usize, bool); 10] = [
    ("NAME", 16, true),
    ("STATE", 10, true),
    ("CPU%", 11, false),
    ("IOPS", 9, false),
    ("MB/s", 8, false),
    ("QD", 5, false),
    ("BATCH", 6, false),
    ("STALL%", 16, false),
    ("MEM", 10, false),
    ("RESTARTS", 8, false),
];

/// The row of one VCP.
pub(super) struct Row {
    /// The cells, in the order of [`COLUMNS`].
    pub(super) cells: [String; COLUMNS.len()],
    /// One character a second, newest last.
    pub(super) graph: String,
    /// Whether it serves.
    pub(super) ready: bool,
    /// Whether it is stalled for more than a tenth of the time.
    pub(super) stalled: bool,
}

/// The host in one line.
pub(super) fn host(history: &History, view: View) -> String {
    let Some(snapshot) = history.latest() else {
        return "no figures yet".to_owned();
    };
    let process = &snapshot.process;
    let graph = if view.graph_cpu { "CPU" } else { "IOPS" };
    format!(
        "vcp {} pid {}  CPU {:.1}%  memory {}  threads {}  fds {}  VCPs {}  exports {}  by {}, graph {graph}",
        clean(&snapshot.version),
        snapshot.pid,
        history.host_cpu() * 100.0,
        size(process.resident_bytes),
        process.threads,
        process.open_fds,
        snapshot.vcps.len(),
        snapshot.exports.len(),
        view.sort.column(),
    )
}

/// One row for each VCP, in the order of the view.
pub(super) fn rows(history: &History, view: View) -> Vec<Row> {
    let Some(Snapshot { vcps, .. }) = history.latest() else {
        return Vec::new();
    };
    let mut sorted: Vec<(&Vcp, Rates)> = vcps
        .iter()
        .map(|vcp| (vcp, history.rates(&vcp.name)))
        .collect();
    let key = |vcp: &Vcp, rates: &Rates| match view.sort {
        Sort::Cpu => rates.cpu,
        Sort::Iops => rates.iops,
        Sort::Bandwidth => rates.bandwidth.read + rates.bandwidth.written,
        Sort::Stall => rates.stall.1,
        Sort::Memory => vcp.memory_bytes as f64,
        Sort::Name => 0.0,
    };
    sorted.sort_by(|(one, a), (other, b)| {
        let larger = key(other, b).total_cmp(&key(one, a));
        larger.then_with(|| one.name.cmp(&other.name))
    });
    sorted
        .into_iter()
        .map(|(vcp, rates)| row(history, vcp, &rates, view))
        .collect()
}

fn row(history: &History, vcp: &Vcp, rates: &Rates, view: View) -> Row {
    let share = match vcp.budget.share {
        0 => "-".to_owned(),
        share => format!("{}", f64::from(share) / 100.0),
    };
    let (cause, stall) = rates.stall;
    let bytes = rates.bandwidth.read + rates.bandwidth.written;
    let points: Vec<f64> = history
        .all_rates(&vcp.name)
        .map(|rates| rates.unwrap_or_default())
        .map(|rates| {
            if view.graph_cpu {
                rates.cpu
            } else {
                rates.iops
            }
        })
        .collect();
    Row {
        cells: [
            clean(&vcp.name),
            clean(&vcp.state),
            format!("{:.1}/{share}", rates.cpu * 100.0),
            format!("{:.0}", rates.iops),
            format!("{:.1}", bytes / 1e6),
            vcp.held.to_string(),
            format!("{:.1}", rates.batch),
            match cause {
                "" => "-".to_owned(),
                cause => format!("{:.0} {cause}", stall * 100.0),
            },
            size(vcp.memory_bytes),
            vcp.counters.restarts.to_string(),
        ],
        graph: graph(&points),
        ready: vcp.state == "ready",
        stalled: stall > 0.1,
    }
}

/// Bars of eight heights; the highest point is the highest bar.
fn graph(points: &[f64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = points.iter().copied().fold(0.0, f64::max);
    let bar = |point: &f64| {
        if *point <= 0.0 {
            return ' ';
        }
        let height = (point / highest * 8.0).ceil() as usize;
        BARS[height.clamp(1, 8) - 1]
    };
    points.iter().map(bar).collect()
}

/// A size in the largest unit that leaves a number below 1024.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1023.95 {
            let places = usize::from(unit != "B");
            return format!("{value:.places$} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Cleans the text of another process, which must not steer this terminal.
pub(super) fn clean(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(64).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_reach_from_nothing_to_the_top() {
        assert_eq!(graph(&[0.0, 1.0, 50.0, 100.0, 0.0]), " ▁▄█ ");
        assert_eq!(graph(&[0.0, 0.0]), "  ");
        assert_eq!(graph(&[]), "");
    }

    #[test]
    fn sizes_have_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (64 << 20, "64.0 MiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (5 << 40, "5.0 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn terminals_are_not_steered() {
        assert_eq!(clean("a\x1b[2Jb\n"), "a?[2Jb?");
    }
}
