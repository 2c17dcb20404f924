//! The CPUs of a machine: cores, their hardware threads, NUMA nodes. It is a snapshot: CPUs
//! that go offline later are not noticed.

use std::collections::BTreeMap;

use crate::list::CpuSet;

/// One core and its hardware threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Core {
    /// The package (socket) it is in, as the kernel numbers them; 0 where that
    /// isn't known.
    pub package: u32,
    /// The die inside the package, where the kernel says so.
    pub die: Option<u32>,
    /// The kernel's `core_id`: unique only within a package, with gaps. The
    /// lowest of its CPUs where that isn't known.
    pub id: u32,
    /// The NUMA node of its first CPU.
    pub node: usize,
    /// Its hardware threads that are online; at least one. SMT siblings are the
    /// CPUs of one core.
    pub cpus: CpuSet,
    /// What sort of core it is.
    pub kind: CoreKind,
    /// The CPUs it shares its level 3 cache with, itself among them, where the
    /// kernel says so.
    pub l3: Option<CpuSet>,
}

/// The sort of a core, on machines with more than one sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoreKind {
    /// As fast as any core of the machine.
    Full,
    /// Slower than others (Intel's E cores, Arm's LITTLE ones).
    Efficient,
}

/// The machine's CPUs. [`Topology::read`] makes one.
///
/// Every online CPU is in exactly one core and exactly one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    pub(crate) cores: Vec<Core>,
    pub(crate) core_by_cpu: BTreeMap<usize, usize>,
    pub(crate) nodes: BTreeMap<usize, CpuSet>,
    pub(crate) online: CpuSet,
    pub(crate) allowed: CpuSet,
    pub(crate) isolated: CpuSet,
    pub(crate) nohz_full: CpuSet,
    pub(crate) governors: BTreeMap<String, CpuSet>,
    pub(crate) oddities: Vec<String>,
}

impl Topology {
    /// All cores with an online CPU, by their lowest CPU.
    pub fn cores(&self) -> &[Core] {
        &self.cores
    }

    /// The online CPUs of each NUMA node; a node that only has memory has none.
    pub fn nodes(&self) -> &BTreeMap<usize, CpuSet> {
        &self.nodes
    }

    /// The CPUs that are online.
    pub fn online(&self) -> &CpuSet {
        &self.online
    }

    /// The CPUs that are online and that this process may use; at least one.
    pub fn allowed(&self) -> &CpuSet {
        &self.allowed
    }

    /// Online CPUs that the kernel's load balancer leaves alone (`isolcpus`).
    pub fn isolated(&self) -> &CpuSet {
        &self.isolated
    }

    /// Online CPUs without a timer tick while one thread has them (`nohz_full`).
    pub fn nohz_full(&self) -> &CpuSet {
        &self.nohz_full
    }

    /// The CPUs under each cpufreq governor; empty where there is no cpufreq.
    pub fn governors(&self) -> &BTreeMap<String, CpuSet> {
        &self.governors
    }

    /// What made no sense in the files, a line each.
    pub fn oddities(&self) -> &[String] {
        &self.oddities
    }

    /// The index in [`Topology::cores`] of the core that an online CPU is in.
    pub fn core_index(&self, cpu: usize) -> Option<usize> {
        self.core_by_cpu.get(&cpu).copied()
    }

    /// The core that an online CPU is in.
    pub fn core_of(&self, cpu: usize) -> Option<&Core> {
        self.core_index(cpu).map(|core| &self.cores[core])
    }

    /// The other hardware threads of its core; empty without SMT.
    pub fn siblings(&self, cpu: usize) -> CpuSet {
        let own = CpuSet::from_iter([cpu]);
        self.core_of(cpu)
            .map(|core| core.cpus.without(&own))
            .unwrap_or_default()
    }

    /// The NUMA node of an online CPU.
    pub fn node_of(&self, cpu: usize) -> Option<usize> {
        let node = self.nodes.iter().find(|(_, cpus)| cpus.contains(cpu));
        node.map(|(&node, _)| node)
    }

    /// Whether any core has more than one hardware thread online.
    pub fn has_smt(&self) -> bool {
        self.cores.iter().any(|core| core.cpus.len() > 1)
    }

    /// Whether there is more than one sort of core.
    pub fn is_hybrid(&self) -> bool {
        self.cores.iter().any(|c| c.kind == CoreKind::Efficient)
    }

    /// How many packages have an online CPU.
    pub fn packages(&self) -> usize {
        let mut packages: Vec<_> = self.cores.iter().map(|core| core.package).collect();
        packages.sort_unstable();
        packages.dedup();
        packages.len()
    }
}
