//! The values of `pin`, and the placement that comes of them.

use crate::list::CpuSet;

/// Where a VCP wants to run: `pin` of its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Pin {
    /// `"any"`: wherever there is room.
    #[default]
    Any,
    /// Numbers: on these CPUs, whoever else is there.
    Cpus(Vec<u32>),
    /// `"core"`: on a core that no other VCP is given.
    Core,
    /// `"sibling-of:N"`: on the other hardware thread of CPU N's core.
    SiblingOf(u32),
    /// `"numa:N"`: on the CPUs of this NUMA node.
    Numa(u32),
}

/// Where a VCP runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The CPUs to pin its thread to, ascending, at least one. Two VCPs that both
    /// have the same single CPU can share one thread.
    pub cpus: Vec<usize>,
    /// Whether its core is its own. Then `cpus` is one hardware thread of it, and the others
    /// stay idle unless a VCP asks for `sibling-of` it.
    pub exclusive: bool,
    /// The NUMA node that all of `cpus` are in; `None` if they are in several.
    pub node: Option<usize>,
}

/// Why a VCP can't be where it wants to be. Each says what there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// An empty list of numbers.
    #[error("pin names no CPU")]
    NoCpus,
    /// No such CPU, or it is switched off.
    #[error("CPU {cpu} is not online; online: {online}")]
    NotOnline {
        /// The CPU.
        cpu: u32,
        /// The CPUs that are online.
        online: CpuSet,
    },
    /// The CPU is online, but this process may not use it.
    #[error("this process may not use CPU {cpu} (affinity or cpuset); allowed: {allowed}")]
    NotAllowed {
        /// The CPU.
        cpu: u32,
        /// The CPUs that it may use.
        allowed: CpuSet,
    },
    /// The core was given to another VCP alone.
    #[error("CPU {cpu} is in a core that \"{owner}\" has to itself (pin = \"core\")")]
    Taken {
        /// The CPU.
        cpu: u32,
        /// The VCP that has its core.
        owner: String,
    },
    /// The core has one hardware thread.
    #[error("CPU {cpu} has no SMT sibling: {}", if *.smt {
        "its core has one hardware thread, others of this machine have more"
    } else {
        "each core here has one hardware thread online"
    })]
    NoSibling {
        /// The CPU whose sibling was wanted.
        cpu: u32,
        /// Whether other cores have siblings.
        smt: bool,
    },
    /// There is a sibling, but this process may not use it.
    #[error(
        "the SMT sibling of CPU {cpu} is CPU {siblings}, which this process may not use (affinity \
         or cpuset); allowed: {allowed}"
    )]
    SiblingNotAllowed {
        /// The CPU whose sibling was wanted.
        cpu: u32,
        /// Its siblings.
        siblings: CpuSet,
        /// The CPUs that it may use.
        allowed: CpuSet,
    },
    /// No such NUMA node.
    #[error("there is no NUMA node {node}; nodes: {nodes}")]
    NoSuchNode {
        /// The node.
        node: u32,
        /// The nodes that there are, in the manner of a CPU list.
        nodes: String,
    },
    /// The node has no CPU that this process may use.
    #[error(
        "NUMA node {node} has no CPU that this process may use: it has {cpus}; allowed: {allowed}",
        cpus = if .cpus.is_empty() { "memory only".to_owned() } else { format!("CPUs {}", .cpus) }
    )]
    NodeNotAllowed {
        /// The node.
        node: u32,
        /// Its CPUs.
        cpus: CpuSet,
        /// The CPUs that it may use.
        allowed: CpuSet,
    },
    /// All of its CPUs are in cores that VCPs have to themselves.
    #[error("all of CPUs {cpus} are in cores that VCPs have to themselves: {owners}")]
    AllTaken {
        /// The CPUs that it could have had.
        cpus: CpuSet,
        /// The VCPs, and what each has.
        owners: String,
    },
    /// No core can be given to one VCP alone.
    #[error("no core is left to give \"{name}\" alone: {have}{used}")]
    NoCoreLeft {
        /// The VCP that asked.
        name: String,
        /// How many cores this process may use.
        have: String,
        /// The VCPs, and what each has.
        used: String,
    },
}
