//! Reports of a host on itself and its VCPs. Names in JSON are those of the fields, with
//! `-` for `_`. Durations are in milliseconds unless the name says otherwise. No secret
//! is ever part of a report.
//!
//! A client ignores fields that it does not know, so that a newer host can add some.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A host process and its VCPs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Host {
    /// Process id.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// The time since the host started.
    pub uptime_ms: u64,
    /// The losses of its log.
    #[serde(default)]
    pub log: Log,
    /// The VCPs, by name.
    pub vcps: Vec<Summary>,
}

/// The losses of a host's log since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Log {
    /// Lines lost because nobody read them in time.
    pub lost: u64,
    /// Messages suppressed because there were too many of their kind.
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
    /// The reason for that state, if it needs one; one line.
    pub reason: Option<String>,
    /// The number of instances so far, which is the number of the current one.
    pub generation: u32,
    /// The running module: the name of a built-in module, or a path.
    pub module: String,
    /// The number of instances that died.
    pub faults: u64,
    /// The time since the VCP was started.
    pub uptime_ms: u64,
    /// The number of attached clients.
    pub clients: u64,
    /// The number of requests not answered yet.
    pub waiting: u64,
    /// CPU time charged to it.
    #[serde(default)]
    pub cpu_ms: u64,
    /// The share of one CPU that is reserved for it: `30%`; `None`: no reservation.
    #[serde(default)]
    pub share: Option<String>,
    /// The exports of its device.
    pub exports: Vec<Export>,
}

/// An export of a VCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Export {
    /// The NBD export name.
    pub name: String,
    /// One URI for each address.
    pub uris: Vec<String>,
    /// Its kernel block devices.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// A kernel block device that a host serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Device {
    /// `/dev/nbdX`.
    pub device: String,
    /// The export that it shows.
    pub export: String,
    /// The size in bytes.
    pub size: u64,
    /// The block size in bytes.
    pub block_size: u32,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// The number of its connections.
    pub connections: u32,
    /// The number of connections that work now; lower only until they are replaced.
    pub connected: u32,
    /// The time limit for a request; `None`: no limit.
    pub timeout_ms: Option<u64>,
    /// How long requests wait for another host when this one is gone.
    pub dead_timeout_ms: u64,
    /// The identifier in the kernel, by which another host finds it.
    pub identifier: String,
    /// Its users, as far as is known: `mounted at /mnt` and the like.
    pub uses: Vec<String>,
}

/// The result of detaching a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Detached {
    /// `/dev/nbdX`.
    pub device: String,
    /// The export that it showed.
    pub export: String,
    /// Whether a process still has it open: until that process closes it, its number
    /// can't be used again, and requests to it fail.
    pub still_open: bool,
}

/// Everything about one VCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Inspection {
    /// The summary, as in the list.
    #[serde(flatten)]
    pub summary: Summary,
    /// The host's process id.
    pub pid: u32,
    /// The time since the start of the current instance, or of the last one if there is
    /// none.
    pub instance_ms: u64,
    /// The device's size in bytes, once it is known.
    pub size: Option<u64>,
    /// The most linear memory that it may have, in bytes.
    pub memory_limit: u64,
    /// The state of the warm spare: `off`, `preparing` or `ready`.
    pub spare: String,
    /// Whether requests fail because the device has been away for longer than the
    /// replacement timeout.
    pub refusing: bool,
    /// A reload under way: `preparing`, `draining`, or `trial` while the new
    /// version has to prove itself; otherwise `none`.
    pub reload: String,
    /// The module that comes back if the one on trial fails.
    pub previous_module: Option<String>,
    /// The newest crash report.
    pub last_fault: Option<CrashLine>,
    /// The memory for its exports' clients, and for those of all exports of the process.
    #[serde(default)]
    pub client_memory: Vec<ClientMemory>,
    /// The counters since the VCP was started, by name.
    pub counters: BTreeMap<String, u64>,
    /// Its configuration in the form of the file: TOML, without secrets.
    pub config: String,
}

/// Memory that the host holds for clients, in bytes: data that they want written, and
/// answers that they do not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientMemory {
    /// The export of the clients; `None`: all exports of the process.
    pub export: Option<String>,
    /// The memory held, beyond what each client may hold anyway.
    pub held: u64,
    /// The most that may be held.
    pub most: u64,
}

/// The clients of a VCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Clients {
    /// The VCP's name.
    pub vcp: String,
    /// The clients, in the order in which they connected.
    pub clients: Vec<Client>,
}

/// A connection to an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Client {
    /// Its number, unique among the clients of this VCP.
    pub id: u64,
    /// The export.
    pub export: String,
    /// The peer: an address, or a process of this machine.
    pub peer: String,
    /// How long it has been connected.
    pub since_ms: u64,
    /// The number of requests so far.
    pub requests: u64,
    /// The number of requests not answered yet.
    pub unanswered: u64,
    /// Bytes that it asked to read.
    pub read_bytes: u64,
    /// Bytes that it asked to write.
    pub written_bytes: u64,
    /// Bytes of memory that are held for it.
    pub held: u64,
    /// What the client waits for: `for its turn`, `for its limit` and the like; `None`:
    /// nothing.
    pub waits: Option<String>,
}

/// The crash reports of a VCP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Logs {
    /// The VCP's name.
    pub vcp: String,
    /// The crash reports, oldest first.
    pub crashes: Vec<CrashLine>,
}

/// One crash report in one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CrashLine {
    /// The number of the fault, counted from 1 over all faults of the VCP.
    pub number: u64,
    /// The time, in milliseconds since 1970 (UTC).
    pub unix_ms: u64,
    /// The instance's generation.
    pub generation: u32,
    /// The kind of fault, in one word.
    pub kind: String,
    /// The fault; one line.
    pub fault: String,
    /// Whether an operator injected the fault.
    pub injected: bool,
}

/// A whole crash report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Crash {
    /// The line in the list.
    #[serde(flatten)]
    pub line: CrashLine,
    /// The module that ran.
    pub module: String,
    /// Guest frames, innermost first; empty where no guest code was running.
    pub backtrace: Vec<String>,
    /// Complaints in its last call, oldest first: errors in its log, and its standard
    /// error. After a panic these give the reason.
    #[serde(default)]
    pub said: Vec<String>,
    /// How long the instance had run, in microseconds.
    pub ran_us: u64,
    /// Whether the instance had been ready.
    pub ready: bool,
    /// The fuel that the instance had used.
    pub fuel: u64,
    /// The instance's linear memory, in bytes.
    pub memory: u64,
    /// The number of queue entries that the instance held.
    pub held: u64,
    /// The number of client requests that were not answered.
    pub unanswered: u64,
    /// The last entries of its queues, oldest first, including those of earlier
    /// instances.
    pub entries: Vec<Entry>,
    /// The length of its core dump in bytes, if there is one.
    pub core: Option<u64>,
}

/// An entry of a VCP's queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// How long before the crash, in nanoseconds.
    pub before_ns: u64,
    /// The instance's generation.
    pub generation: u32,
    /// The kind: `request` to it; `completion`, `ready` or `suspended` from it.
    pub what: String,
    /// The tag of the request; its completion has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u64>,
    /// A request's operation, or a completion's status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// A request's offset from the start of the device, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// A request's length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
}

/// The result of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reload {
    /// The VCP's name.
    pub vcp: String,
    /// Whether the new version is in place; otherwise the old one goes on.
    pub replaced: bool,
    /// The number of the instance that serves now.
    pub generation: u32,
    /// Whether the old version's state was handed over; otherwise the new one
    /// started anew.
    pub handed_over: bool,
    /// How long requests were given to no instance, in microseconds.
    pub pause_us: u64,
    /// The number of requests that were given to the new instance again.
    pub replayed: u64,
    /// Why the old version goes on; one line.
    pub reason: Option<String>,
}

/// The result of reading a configuration again; lines for people.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Reconfigured {
    /// What was done.
    pub done: Vec<String>,
    /// Differences that can't be applied while the host runs; these parts go on as
    /// before.
    pub left: Vec<String>,
    /// Changes that failed; these parts go on as before, too.
    pub failed: Vec<String>,
}

/// The result of examining a device again. Sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rescan {
    /// The VCP's name.
    pub vcp: String,
    /// The size that was known before.
    pub size_before: u64,
    /// The size now.
    pub size: u64,
    /// Whether the size or another property of the device has changed.
    pub changed: bool,
}

/// The result of an action without data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Done {
    /// The VCP's name.
    pub vcp: String,
    /// The number of its instance after the action.
    pub generation: u32,
    /// Its state now, as in [`Summary`].
    pub state: String,
}
