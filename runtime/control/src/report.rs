//! What a host tells of itself and its VCPs. Names in JSON are those of the
//! fields, with `-` for `_`. Times that are lengths are in milliseconds unless
//! the name says otherwise. No secret is ever part of a report.
//!
//! A client takes what it knows and lets be what it does not, so that a newer
//! host can say more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One process and its VCPs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Host {
    /// Process id.
    pub pid: u32,
    /// Of the program.
    pub version: String,
    /// Since it started.
    pub uptime_ms: u64,
    /// What is missing from its log.
    #[serde(default)]
    pub log: Log,
    /// By name.
    pub vcps: Vec<Summary>,
}

/// What is missing from a host's log, since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Log {
    /// Lines lost, as nobody read them in time.
    pub lost: u64,
    /// Messages left out, as there were too many of their kind.
    pub left_out: u64,
}

/// One VCP in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Its name.
    pub name: String,
    /// `starting`, `ready`, `suspended`, `restarting`, `held`, `stopping` or
    /// `stopped`.
    pub state: String,
    /// Why it is in that state, where that needs saying; one line.
    pub reason: Option<String>,
    /// Instances so far; the number of the current one.
    pub generation: u32,
    /// What it runs: the name of a built-in module, or a path.
    pub module: String,
    /// Instances that died.
    pub faults: u64,
    /// Since the VCP was started.
    pub uptime_ms: u64,
    /// Clients attached now.
    pub clients: u64,
    /// Requests that are not answered yet.
    pub waiting: u64,
    /// CPU time charged to it.
    #[serde(default)]
    pub cpu_ms: u64,
    /// Of one CPU, what is reserved for it: `30%`; `None`: nothing is.
    #[serde(default)]
    pub share: Option<String>,
    /// Where its device is served.
    pub exports: Vec<Export>,
}

/// An export of a VCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Export {
    /// NBD export name.
    pub name: String,
    /// One URI for each address.
    pub uris: Vec<String>,
    /// Its block devices in the kernel.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// A block device of the kernel's that a host serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Device {
    /// `/dev/nbdX`.
    pub device: String,
    /// What it shows.
    pub export: String,
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub block_size: u32,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// How many connections it has.
    pub connections: u32,
    /// How many of these work now: fewer only until they are replaced.
    pub connected: u32,
    /// What a request may take; `None`: as long as it takes.
    pub timeout_ms: Option<u64>,
    /// How long requests wait for another host when this one is gone.
    pub dead_timeout_ms: u64,
    /// What the kernel knows it by; how another host finds it.
    pub identifier: String,
    /// What uses it, as far as is known: `mounted at /mnt` and the like.
    pub uses: Vec<String>,
}

/// A device was detached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Detached {
    /// `/dev/nbdX`.
    pub device: String,
    /// What it showed.
    pub export: String,
    /// Whether something still holds it open: until that lets go, its number can't
    /// be used again, and what is asked of it fails.
    pub still_open: bool,
}

/// Everything about one VCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// As in the list.
    #[serde(flatten)]
    pub summary: Summary,
    /// The host's process id.
    pub pid: u32,
    /// Since the current instance was started, or the last one if there is none.
    pub instance_ms: u64,
    /// The device's size in bytes, once it is known.
    pub size: Option<u64>,
    /// The most linear memory that it may have, in bytes.
    pub memory_limit: u64,
    /// Whether a warm spare is there: `off`, `preparing` or `ready`.
    pub spare: String,
    /// Requests fail, as the device has been away for longer than the replacement
    /// timeout.
    pub refusing: bool,
    /// A reload under way: `preparing`, `draining`, or `trial` while the new
    /// version has to prove itself; otherwise `none`.
    pub reload: String,
    /// The module that comes back if the one on trial is no good.
    pub previous_module: Option<String>,
    /// The newest crash report.
    pub last_fault: Option<CrashLine>,
    /// Memory for its exports' clients, and for those of all exports of the process.
    #[serde(default)]
    pub client_memory: Vec<ClientMemory>,
    /// What was counted since the VCP was started, by name.
    pub counters: BTreeMap<String, u64>,
    /// Its configuration as the file would say it: TOML, without secrets.
    pub config: String,
}

/// Memory that clients have the host keep for them: what they asked to write, and
/// answers that they do not take. Bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientMemory {
    /// The clients of which export; `None`: of all that the process serves.
    pub export: Option<String>,
    /// What is held, beyond what each client may hold anyway.
    pub held: u64,
    /// The most that may be.
    pub most: u64,
}

/// The clients of a VCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clients {
    /// Of which VCP.
    pub vcp: String,
    /// Those that came first, first.
    pub clients: Vec<Client>,
}

/// A connection to an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Client {
    /// Its number, of no other client of this VCP.
    pub id: u64,
    /// The export.
    pub export: String,
    /// Who it is: an address, or a process of this machine.
    pub peer: String,
    /// How long it has been connected.
    pub since_ms: u64,
    /// Requests so far.
    pub requests: u64,
    /// Those that are not answered yet.
    pub unanswered: u64,
    /// Bytes that it asked to read.
    pub read_bytes: u64,
    /// Bytes that it asked to write.
    pub written_bytes: u64,
    /// Bytes of memory that are held for it.
    pub held: u64,
    /// What keeps it from going on: `for its turn`, `for its limit` and the like;
    /// `None`: nothing.
    pub waits: Option<String>,
}

/// The crash reports of a VCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Logs {
    /// Of which VCP.
    pub vcp: String,
    /// Oldest first.
    pub crashes: Vec<CrashLine>,
}

/// One crash report in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CrashLine {
    /// Counts all faults of the VCP, from 1.
    pub number: u64,
    /// When, in milliseconds since 1970 (UTC).
    pub unix_ms: u64,
    /// Which instance.
    pub generation: u32,
    /// What ended it, in one word.
    pub kind: String,
    /// What ended it; one line.
    pub fault: String,
    /// Whether an operator asked for it.
    pub injected: bool,
}

/// A whole crash report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Crash {
    /// As in the list.
    #[serde(flatten)]
    pub line: CrashLine,
    /// What it ran.
    pub module: String,
    /// Guest frames, innermost first; empty where no guest code was running.
    pub backtrace: Vec<String>,
    /// What it complained of in its last call, oldest first: errors in its log, and what
    /// it wrote to its standard error. Where it panicked, why.
    #[serde(default)]
    pub said: Vec<String>,
    /// How long it had run, in microseconds.
    pub ran_us: u64,
    /// Whether it had been ready.
    pub ready: bool,
    /// Fuel that it had used.
    pub fuel: u64,
    /// Its linear memory, in bytes.
    pub memory: u64,
    /// Queue entries that it held.
    pub held: u64,
    /// Client requests that were not answered.
    pub unanswered: u64,
    /// What last went through its queues, oldest first; also of instances before.
    pub entries: Vec<Entry>,
    /// The length of its core dump, if there is one; bytes.
    pub core: Option<u64>,
}

/// Something that went through a VCP's queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// So long before the crash, in nanoseconds.
    pub before_ns: u64,
    /// To or from which instance.
    pub generation: u32,
    /// `request` to it; `completion`, `ready` or `suspended` from it.
    pub what: String,
    /// Names the request; its completion has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u64>,
    /// What a request asks for, or the status of a completion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Of a request: bytes from the start of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Of a request: bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
}

/// How a reload went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reload {
    /// Of which VCP.
    pub vcp: String,
    /// Whether the new version is in place; otherwise the old one goes on.
    pub replaced: bool,
    /// The number of the instance that serves now.
    pub generation: u32,
    /// Whether the old version's state was handed over; otherwise the new one
    /// started anew.
    pub handed_over: bool,
    /// How long no request was given to any instance, in microseconds.
    pub pause_us: u64,
    /// How many requests were given to the new instance again.
    pub replayed: u64,
    /// Why the old version goes on; one line.
    pub reason: Option<String>,
}

/// What reading a configuration again has changed; lines for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reconfigured {
    /// What was done.
    pub done: Vec<String>,
    /// What differs and can't be changed while it runs: that goes on as it was.
    pub left: Vec<String>,
    /// What was tried and failed: there, too, the old goes on.
    pub failed: Vec<String>,
}

/// What another look at a device found. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rescan {
    /// Of which VCP.
    pub vcp: String,
    /// What it was known to be.
    pub size_before: u64,
    /// What it is.
    pub size: u64,
    /// Whether anything about it is not as it was, its size or another property.
    pub changed: bool,
}

/// Something was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Done {
    /// To which VCP.
    pub vcp: String,
    /// The number of its instance when it was done.
    pub generation: u32,
    /// Where it is now; as in [`Summary`].
    pub state: String,
}
