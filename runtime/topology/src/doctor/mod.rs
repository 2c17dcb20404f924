//! The report of `vcp doctor` about CPUs: the map, what the process may do, and what to
//! write into the configuration. It is text for people, and changes nothing.

mod advice;
mod capabilities;
mod map;
#[cfg(test)]
mod tests;

pub use capabilities::{Capabilities, CgroupAccess};

use crate::topology::Topology;

/// The whole report: lines of at most about 100 columns, ending with a newline.
pub fn report(topology: &Topology, capabilities: &Capabilities) -> String {
    let mut out = map::summary(topology);
    out.push_str("\n\n");
    out.push_str(&map::table(topology));
    let sections = [
        ("Privileges", capabilities.lines()),
        ("Recommended", advice::lines(topology)),
        ("Odd in /sys", topology.oddities().to_vec()),
    ];
    for (title, lines) in sections.into_iter().filter(|(_, lines)| !lines.is_empty()) {
        out.push_str(&format!("\n{title}\n"));
        for line in lines {
            out.push_str(&format!("  {line}\n"));
        }
    }
    out
}
