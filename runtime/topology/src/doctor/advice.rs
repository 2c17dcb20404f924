//! Advice for the configuration on this machine: rules of thumb in plain words, each with
//! its line. The gain from SMT has not been measured.

use crate::list::CpuSet;
use crate::pin::Pin;
use crate::placer::Placer;
use crate::topology::{Core, CoreKind, Topology};

/// A line each; what is written in a configuration is indented further.
pub(super) fn lines(topology: &Topology) -> Vec<String> {
    let mut lines = Vec::new();
    let first = Placer::new(topology.clone()).place("first", &Pin::Core);
    // Some core is free while no VCP has any.
    if let Some(cpu) = first.ok().and_then(|place| place.cpus.first().copied()) {
        first_vcp(topology, cpu, &mut lines);
        more_vcps(topology, cpu, &mut lines);
    }
    siblings(topology, &mut lines);
    nodes(topology, &mut lines);
    lines
}

fn config(lines: &mut Vec<String>, name: &str, cpu: &str) {
    lines.push(format!("    [vcp.{name}]"));
    lines.push(format!("    cpu = {{ {cpu} }}"));
}

/// The first VCP goes where `pin = "core"` would put it, which is `cpu`.
fn first_vcp(topology: &Topology, cpu: usize, lines: &mut Vec<String>) {
    let quiet = topology.isolated().or(topology.nohz_full());
    let quiet = quiet.and(topology.allowed());
    if usable_cores(topology) == 1 {
        lines.push(
            "One core is all this process may use: pin nothing, and give each VCP a".to_owned(),
        );
        lines.push("share, so that clients get the rest of the time.".to_owned());
        return config(lines, "disk0", "share = \"50%\"");
    }
    if quiet.contains(cpu) {
        lines.push(format!(
            "CPUs {quiet} were set aside for work like this (isolcpus, nohz_full): put VCPs there."
        ));
    } else if topology.allowed().contains(0) {
        lines.push(
            "Leave CPU 0 to the kernel and to clients; put the first VCP elsewhere.".to_owned(),
        );
    } else {
        lines.push(
            "Leave some CPUs to clients; put the first VCP on one that they don't use.".to_owned(),
        );
    }
    if topology.is_hybrid() && topology.core_of(cpu).map(|c| c.kind) == Some(CoreKind::Full) {
        lines.push(format!("CPU {cpu} is in one of the fast cores."));
    }
    config(lines, "disk0", &format!("pin = [{cpu}]"));
}

/// Cores this process may use, at least in part.
fn usable_cores(topology: &Topology) -> usize {
    let cores = topology.cores().iter();
    cores
        .filter(|core| !core.cpus.is_disjoint(topology.allowed()))
        .count()
}

fn more_vcps(topology: &Topology, first: usize, lines: &mut Vec<String>) {
    match usable_cores(topology) {
        0 | 1 => {}
        2 => {
            lines.push(
                "More VCPs share that CPU, each with a part of it that it is sure of:".to_owned(),
            );
            config(lines, "disk1", &format!("pin = [{first}], share = \"40%\""));
        }
        cores => {
            lines.push(format!(
                "Up to {} VCPs can have a core each that no other VCP is put on:",
                cores - 1
            ));
            config(lines, "disk1", "pin = \"core\"");
        }
    }
}

/// The client and the VCP on the two threads of one core.
fn siblings(topology: &Topology, lines: &mut Vec<String>) {
    let whole =
        |core: &&Core| core.cpus.len() > 1 && core.cpus.without(topology.allowed()).is_empty();
    // It is the first of several, but not CPU 0's.
    let cores = topology.cores().iter().filter(whole);
    let Some(core) = cores.min_by_key(|core| core.cpus.contains(0)) else {
        return;
    };
    let mut cpus = core.cpus.iter();
    if let (Some(client), Some(sibling)) = (cpus.next(), cpus.next()) {
        lines.push(
            "Cores have several hardware threads: a VCP may run beside its client on one core,"
                .to_owned(),
        );
        lines.push(format!(
            "here the client on CPU {client} (taskset -c {client} ...), the VCP on CPU {sibling}. Worth"
        ));
        lines.push(
            "trying; what it brings depends on the load and has not been measured.".to_owned(),
        );
        config(lines, "disk2", &format!("pin = \"sibling-of:{client}\""));
    }
}

fn nodes(topology: &Topology, lines: &mut Vec<String>) {
    let usable = |cpus: &CpuSet| !cpus.is_disjoint(topology.allowed());
    let nodes: Vec<usize> = topology
        .nodes()
        .iter()
        .filter(|(_, cpus)| usable(cpus))
        .map(|(&node, _)| node)
        .collect();
    if let [first, _, ..] = nodes[..] {
        lines.push("Keep a VCP on the NUMA node of its network card (/sys/class/net/NAME/device/numa_node):".to_owned());
        config(lines, "disk3", &format!("pin = \"numa:{first}\""));
    }
}
