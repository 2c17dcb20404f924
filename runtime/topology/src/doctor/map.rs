//! The map of the CPUs.

use std::fmt::Write;

use crate::list::CpuSet;
use crate::topology::{Core, CoreKind, Topology};

/// Up to so many cores have a row each; beyond, neighbours that are alike share one.
const ROWS: usize = 16;

/// One line with the numbers of CPUs, cores, packages and nodes.
pub(super) fn summary(topology: &Topology) -> String {
    let count = |n: usize, one: &str| match n {
        1 => format!("1 {one}"),
        _ => format!("{n} {one}s"),
    };
    let smt = match topology.has_smt() {
        true => "with SMT",
        false => "no SMT (one hardware thread a core)",
    };
    format!(
        "{} online in {}, {}, {}; {smt}",
        count(topology.online().len(), "CPU"),
        count(topology.cores().len(), "core"),
        count(topology.packages(), "package"),
        count(topology.nodes().len(), "NUMA node"),
    )
}

/// A row of the table: some cores that are alike.
struct Row {
    node: usize,
    package: u32,
    l3: String,
    about: String,
    cores: usize,
    first: u32,
    last: u32,
    cpus: CpuSet,
}

/// The table, a line each for the header and the rows.
pub(super) fn table(topology: &Topology) -> String {
    let rows = rows(topology);
    let header = ["node", "package", "core", "CPUs", "level 3 with", "may use"].map(str::to_owned);
    let mut cells = vec![header];
    for row in rows {
        let core = match row.cores {
            1 => row.first.to_string(),
            n => format!("{}..{} ({n})", row.first, row.last),
        };
        cells.push([
            row.node.to_string(),
            row.package.to_string(),
            core,
            short(&row.cpus),
            row.l3,
            row.about,
        ]);
    }
    align(&cells)
}

fn rows(topology: &Topology) -> Vec<Row> {
    let fold = topology.cores().len() > ROWS;
    let mut rows: Vec<Row> = Vec::new();
    for core in topology.cores() {
        let new = row(topology, core);
        // Where CPUs are numbered across packages, the neighbour is not the last row.
        let alike = |old: &&mut Row| {
            (old.node, old.package, &old.l3, &old.about)
                == (new.node, new.package, &new.l3, &new.about)
        };
        match rows.iter_mut().find(alike).filter(|_| fold) {
            Some(old) => {
                old.cores += 1;
                old.first = old.first.min(new.first);
                old.last = old.last.max(new.last);
                old.cpus = old.cpus.or(&new.cpus);
            }
            None => rows.push(new),
        }
    }
    rows.sort_by_key(|row| (row.node, row.package));
    rows
}

fn row(topology: &Topology, core: &Core) -> Row {
    let usable = core.cpus.and(topology.allowed());
    let mut about = match usable.len() {
        0 => "no".to_owned(),
        n if n == core.cpus.len() => "yes".to_owned(),
        _ => format!("CPU {usable} only"),
    };
    let quiet = [
        (topology.isolated(), ", isolated"),
        (topology.nohz_full(), ", nohz_full"),
    ];
    for (_, word) in quiet.iter().filter(|(set, _)| !set.is_disjoint(&core.cpus)) {
        about.push_str(word);
    }
    if core.kind == CoreKind::Efficient {
        about.push_str(", efficient (slower)");
    }
    if core.cpus.len() == 1 && topology.has_smt() {
        about.push_str(", one thread");
    }
    let l3 = match &core.l3 {
        None => "-".to_owned(),
        Some(shared) if shared == topology.online() => "all".to_owned(),
        Some(shared) if topology.nodes().get(&core.node) == Some(shared) => "its node".to_owned(),
        Some(shared) => short(shared),
    };
    Row {
        node: core.node,
        package: core.package,
        l3,
        about,
        cores: 1,
        first: core.id,
        last: core.id,
        cpus: core.cpus.clone(),
    }
}

/// The widest list of CPUs in the table.
const WIDEST: usize = 28;

/// A CPU list for people: `0,2..38` for every other one, and not all of a long one.
fn short(cpus: &CpuSet) -> String {
    let text = cpus.to_string();
    if text.len() <= WIDEST {
        return text;
    }
    let all: Vec<usize> = cpus.iter().collect();
    let step = all[1] - all[0];
    if all.windows(2).all(|pair| pair[1] - pair[0] == step) {
        return format!("{},{}..{}", all[0], all[1], all[all.len() - 1]);
    }
    // Cut between two CPUs, room left for how many there are.
    let cut = text[..WIDEST - 10].rfind(',').unwrap_or(0);
    format!("{},.. ({})", &text[..cut], all.len())
}

/// Columns as wide as their widest cell.
fn align<const N: usize>(cells: &[[String; N]]) -> String {
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "{cell:<width$}  ").expect("writing to a String can't fail");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}
