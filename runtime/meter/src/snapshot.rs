//! Everything that is counted, at one moment. This is what the control socket's
//! `stats` answers: names in JSON are those of the fields, with `-` for `_`.
//!
//! Counters count from when the host was started and never go back. A part that
//! an older host does not know comes out empty, so that clients of other versions
//! can read it.

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;

/// One host at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Snapshot {
    /// The program's version.
    pub version: String,
    /// Process id of the host.
    pub pid: u32,
    /// The time by the wall clock: milliseconds since 1970 (UTC).
    pub unix_ms: u64,
    /// The time by the monotonic clock, in nanoseconds. Only differences mean something.
    pub monotonic_ns: u64,
    /// The host's process as a whole.
    pub process: Process,
    /// The messages that are missing from its log.
    pub log: Log,
    /// Its VCPs, by name.
    pub vcps: Vec<Vcp>,
    /// Its exports, by name.
    pub exports: Vec<Export>,
}

/// A process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Process {
    /// Memory in RAM, in bytes.
    pub resident_bytes: u64,
    /// CPU time of all its threads, in nanoseconds.
    pub cpu_ns: u64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// Threads.
    pub threads: u64,
}

/// The messages that are missing from a host's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Log {
    /// Lines lost, as nobody read them in time.
    pub lost: u64,
    /// Messages left out, as there were too many of their kind.
    pub left_out: u64,
}

/// One VCP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Vcp {
    /// Its name.
    pub name: String,
    /// `starting`, `ready`, `suspended`, `restarting`, `held`, `stopping` or
    /// `stopped`.
    pub state: String,
    /// The number of its instance, from 1.
    pub generation: u32,
    /// The module that it runs: the name of a built-in module, or a path.
    pub module: String,
    /// Where it runs.
    pub processor: Processor,
    /// The CPU time that it may use.
    pub budget: Budget,
    /// The counters of what it did.
    pub counters: Counters,
    /// For how long it could not go on, and why.
    pub stalls: Stalls,
    /// Clients attached now.
    pub clients: u64,
    /// Client requests that are not answered yet.
    pub unanswered: u64,
    /// Queue entries that it holds now.
    pub held: u64,
    /// The most that it may hold.
    pub queue_depth: u64,
    /// Entries per call.
    pub batches: Histogram,
    /// Entries that it held, each time it had run.
    pub depths: Histogram,
    /// Linear memory now, in bytes.
    pub memory_bytes: u64,
    /// The most that it may have, in bytes.
    pub memory_limit_bytes: u64,
}

/// The channel processor that carries a VCP.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Processor {
    /// The CPUs that its thread may run on, rising; empty: any.
    pub cpus: Vec<u32>,
    /// The other VCPs on the same thread, by name.
    pub beside: Vec<String>,
}

/// The CPU time that a VCP may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Budget {
    /// Its reserved share of one CPU, in hundredths of a percent, 0 to 10000; 0: nothing is
    /// reserved.
    pub share: u32,
    /// The time over which the share holds, in nanoseconds.
    pub period_ns: u64,
    /// Its weight where slack is divided, 0 to 1000; 0: it has none of it.
    pub slack_weight: u32,
}

/// The counters of what a VCP did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Counters {
    /// CPU time charged to it, in nanoseconds: its own code, and host functions,
    /// copies and system calls on its behalf.
    pub cpu_ns: u64,
    /// The part of this that was reserved for it.
    pub cpu_reserved_ns: u64,
    /// The part of this that no other had reserved or used.
    pub cpu_slack_ns: u64,
    /// Fuel used.
    pub fuel: u64,
    /// Calls into it.
    pub calls: u64,
    /// Queue entries given to it.
    pub entries: u64,
    /// Client requests answered.
    pub completed: u64,
    /// Frames that it received.
    pub frames_in: u64,
    /// Frames that it sent.
    pub frames_out: u64,
    /// Frames dropped for want of room.
    pub frames_dropped: u64,
    /// Bytes that clients asked to read.
    pub read_bytes: u64,
    /// Bytes that clients asked to write.
    pub written_bytes: u64,
    /// Instances that died.
    pub faults: u64,
    /// Instances that took the place of another.
    pub restarts: u64,
    /// Times that the device said that the space behind it runs out.
    pub low_space: u64,
}

/// For how long a VCP, or requests to it, could not go on, by cause; nanoseconds.
/// Several causes can hold at a time, and the sum is not a share of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Stalls {
    /// Time that it wanted to run and had used up its share, without any slack for it.
    pub throttled_ns: u64,
    /// Time that it wanted to run and another VCP ran.
    pub waiting_ns: u64,
    /// Time that clients waited for the limits of their exports.
    pub limited_ns: u64,
    /// Time that clients waited for room in the queue.
    pub queue_full_ns: u64,
    /// Time that requests waited and no instance was ready: it was restarting, held or
    /// suspended.
    pub no_instance_ns: u64,
}

impl Stalls {
    /// The stalls with their names, as metrics and the terminal show them.
    pub const fn causes(&self) -> [(&'static str, u64); 5] {
        [
            ("throttled", self.throttled_ns),
            ("waiting", self.waiting_ns),
            ("limited", self.limited_ns),
            ("queue-full", self.queue_full_ns),
            ("no-instance", self.no_instance_ns),
        ]
    }
}

/// One export.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Export {
    /// NBD export name.
    pub name: String,
    /// The VCP whose device it is.
    pub vcp: String,
    /// Clients attached now.
    pub clients: u64,
    /// Requests that clients made.
    pub requests: u64,
    /// Bytes that they asked to read, write, discard or zero.
    pub bytes: u64,
    /// How much they may ask for.
    pub limit: Limit,
    /// Time that they waited for the limit, in nanoseconds.
    pub limited_ns: u64,
}

/// How much the clients of an export may ask for, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Limit {
    /// Requests a second; `None`: no limit.
    pub iops: Option<u64>,
    /// Bytes a second; `None`: no limit.
    pub bytes: Option<u64>,
    /// The time in which a burst of both is saved up, in nanoseconds.
    pub burst_ns: u64,
}
