//! The topology of a machine, from the files under `/sys`
//! (Documentation/admin-guide/cputopology.rst, Documentation/ABI/stable/
//! sysfs-devices-node and -system-cpu of Linux).

use std::collections::BTreeMap;
use std::path::Path;

use crate::affinity;
use crate::list::CpuSet;
use crate::topology::{Core, CoreKind, Topology};
use crate::tree::Tree;

/// Entries of `devices/system/node` that are looked at: Linux has at most 1024
/// nodes and a few files beside them.
const MAX_NODE_ENTRIES: usize = 2048;

/// Levels and sorts of caches of a CPU that are looked at.
const MAX_CACHES: usize = 8;

/// Why there is no topology to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No CPU that this process may use is online.
    #[error(
        "none of the CPUs this process may use (\"{allowed}\") is online; online are \"{online}\""
    )]
    NoneAllowed {
        /// The CPUs that the process may use.
        allowed: CpuSet,
        /// The CPUs that are online.
        online: CpuSet,
    },
}

impl Topology {
    /// This machine as this process sees it: `/sys` and its affinity.
    ///
    /// CPUs under `isolcpus` count as allowed although no process starts with
    /// them in its affinity: going there by an explicit choice is what they are for.
    pub fn of_this_machine() -> Result<Self, ReadError> {
        let root = Path::new("/sys");
        let isolated = Tree::new(root).cpus("devices/system/cpu/isolated");
        let mut allowed = affinity::allowed();
        if let Some(isolated) = isolated.filter(|cpus| !cpus.is_empty()) {
            allowed = allowed.or(&isolated.and(&affinity::reachable()));
        }
        Self::read(root, &allowed)
    }

    /// The machine whose `/sys` is `root`, for a process that may use `allowed`.
    ///
    /// Files that are missing cost detail: cores then have one thread each, and there is one
    /// package and one node. Contradictions are put right and noted in
    /// [`Topology::oddities`].
    pub fn read(root: &Path, allowed: &CpuSet) -> Result<Self, ReadError> {
        let mut tree = Tree::new(root);
        let online = tree.cpus("devices/system/cpu/online");
        let online = online.filter(|cpus| !cpus.is_empty());
        let online = online.unwrap_or_else(|| allowed.clone());
        let usable = allowed.and(&online);
        if usable.is_empty() {
            let allowed = allowed.clone();
            return Err(ReadError::NoneAllowed { allowed, online });
        }
        let nodes = nodes(&mut tree, &online);
        let cores = cores(&mut tree, &online, &nodes);
        let core_by_cpu = cores
            .iter()
            .enumerate()
            .flat_map(|(index, core)| core.cpus.iter().map(move |cpu| (cpu, index)))
            .collect();
        let isolated = special(&mut tree, "isolated").and(&online);
        let nohz_full = special(&mut tree, "nohz_full").and(&online);
        Ok(Self {
            cores,
            core_by_cpu,
            nodes,
            allowed: usable,
            isolated,
            nohz_full,
            governors: governors(&mut tree, &online),
            online,
            oddities: tree.into_oddities(),
        })
    }
}

/// A list of CPUs that the kernel treats specially.
fn special(tree: &mut Tree, name: &str) -> CpuSet {
    let path = format!("devices/system/cpu/{name}");
    match tree.text(&path).as_deref() {
        // `nohz_full` says this on kernels that were given no such list.
        None | Some("(null)") => CpuSet::new(),
        Some(_) => tree.cpus(&path).unwrap_or_default(),
    }
}

/// The online CPUs of each node; each CPU is in one node.
fn nodes(tree: &mut Tree, online: &CpuSet) -> BTreeMap<usize, CpuSet> {
    let mut nodes = BTreeMap::new();
    let mut left = online.clone();
    for node in tree.numbered("devices/system/node", "node", MAX_NODE_ENTRIES) {
        let path = format!("devices/system/node/node{node}/cpulist");
        let claimed = tree.cpus(&path).unwrap_or_default().and(online);
        let cpus = claimed.and(&left);
        if cpus != claimed {
            tree.odd(format!(
                "{path}: has CPUs \"{}\" of an earlier node",
                claimed.without(&cpus)
            ));
        }
        left = left.without(&cpus);
        nodes.insert(node, cpus);
    }
    if !left.is_empty() {
        if !nodes.is_empty() {
            tree.odd(format!(
                "devices/system/node: CPUs \"{left}\" are in no node"
            ));
        }
        let first = nodes.entry(0).or_default();
        *first = first.or(&left);
    }
    nodes
}

/// What the files say of one CPU.
struct Cpu {
    core: Option<u32>,
    package: Option<u32>,
    die: Option<u32>,
    threads: CpuSet,
    capacity: Option<u32>,
}

fn cpu(tree: &mut Tree, cpu: usize) -> Cpu {
    let dir = format!("devices/system/cpu/cpu{cpu}");
    let topology = format!("{dir}/topology");
    // The second is the older name of the first.
    let threads = tree
        .cpus(&format!("{topology}/core_cpus_list"))
        .or_else(|| tree.cpus(&format!("{topology}/thread_siblings_list")));
    Cpu {
        core: tree.number(&format!("{topology}/core_id")),
        package: tree.number(&format!("{topology}/physical_package_id")),
        die: tree.number(&format!("{topology}/die_id")),
        threads: threads.unwrap_or_default(),
        capacity: tree.number(&format!("{dir}/cpu_capacity")),
    }
}

/// All cores; each online CPU is in one of them.
fn cores(tree: &mut Tree, online: &CpuSet, nodes: &BTreeMap<usize, CpuSet>) -> Vec<Core> {
    let cpus: BTreeMap<usize, Cpu> = online.iter().map(|id| (id, cpu(tree, id))).collect();
    let slow = efficient(tree, &cpus);
    let node_by_cpu: BTreeMap<usize, usize> = nodes
        .iter()
        .flat_map(|(&node, cpus)| cpus.iter().map(move |cpu| (cpu, node)))
        .collect();
    let mut left = online.clone();
    let mut cores = Vec::new();
    for (&first, about) in &cpus {
        if !left.contains(first) {
            continue;
        }
        let threads = threads(tree, first, &cpus, &left);
        left = left.without(&threads);
        cores.push(Core {
            package: about.package.unwrap_or(0),
            die: about.die,
            id: about.core.unwrap_or(first as u32),
            node: node_by_cpu.get(&first).copied().unwrap_or(0),
            kind: if slow.contains(first) {
                CoreKind::Efficient
            } else {
                CoreKind::Full
            },
            l3: shared_l3(tree, first).map(|cpus| cpus.and(online).or(&threads)),
            cpus: threads,
        });
    }
    cores
}

/// The hardware threads of the core of `first`, out of the CPUs in no core yet.
fn threads(tree: &mut Tree, first: usize, cpus: &BTreeMap<usize, Cpu>, left: &CpuSet) -> CpuSet {
    let online = |other: &usize| cpus.contains_key(other);
    let claimed: CpuSet = cpus[&first].threads.iter().filter(online).collect();
    // Threads are siblings only where both say so: anything else can't be one core.
    let mutual = |other: &usize| left.contains(*other) && cpus[other].threads.contains(first);
    let mut threads: CpuSet = claimed.iter().filter(mutual).collect();
    if threads != claimed {
        tree.odd(format!(
            "cpu{first}/topology: CPUs \"{claimed}\" don't agree on being one core"
        ));
    }
    threads.insert(first);
    threads
}

/// CPUs of the slower sort: those of the performance counters of Intel's Atom
/// cores, or those with less than the highest capacity.
fn efficient(tree: &mut Tree, cpus: &BTreeMap<usize, Cpu>) -> CpuSet {
    let atoms = tree.cpus("devices/cpu_atom/cpus").unwrap_or_default();
    if atoms.is_empty() {
        let highest = cpus.values().filter_map(|cpu| cpu.capacity).max();
        let slow = |cpu: &Cpu| cpu.capacity.is_some() && cpu.capacity < highest;
        let slow = cpus.iter().filter(|(_, cpu)| slow(cpu));
        slow.map(|(&id, _)| id).collect()
    } else if cpus.keys().all(|&cpu| atoms.contains(cpu)) {
        // Nothing is slower than they are.
        CpuSet::new()
    } else {
        atoms
    }
}

fn shared_l3(tree: &mut Tree, cpu: usize) -> Option<CpuSet> {
    let dir = format!("devices/system/cpu/cpu{cpu}/cache");
    // The third level usually is index3: looked at first.
    let (early, late) = ([3], (0..MAX_CACHES).filter(|&index| index != 3));
    for index in early.into_iter().chain(late) {
        match tree.number(&format!("{dir}/index{index}/level")) {
            Some(3u32) => return tree.cpus(&format!("{dir}/index{index}/shared_cpu_list")),
            None if index > 3 => break,
            _ => {}
        }
    }
    None
}

/// The cpufreq governors; names that make no sense are left out.
fn governors(tree: &mut Tree, online: &CpuSet) -> BTreeMap<String, CpuSet> {
    let mut governors = BTreeMap::<String, CpuSet>::new();
    let word = |name: &String| {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        (1..=16).contains(&name.len()) && name.bytes().all(inner)
    };
    for cpu in online.iter() {
        let path = format!("devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        if let Some(name) = tree.text(&path).filter(word) {
            governors.entry(name).or_default().insert(cpu);
        }
    }
    governors
}
