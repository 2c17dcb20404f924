//! The status of a VCP and its counters, for other threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::report::CrashReport;

/// Where a VCP is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// An instance is there that has not been ready yet.
    Starting,
    /// It serves.
    Ready,
    /// It can't serve for now, or not everything; the reason.
    Suspended(String),
    /// The last instance died; the next is on its way.
    Restarting,
    /// It won't serve unless it is restarted or reloaded; the reason.
    Held(String),
    /// It is finishing.
    Stopping,
    /// It has ended.
    Stopped,
}

impl State {
    /// The state as one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Suspended(_) => "suspended",
            Self::Restarting => "restarting",
            Self::Held(_) => "held",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// Whether a module is being put in the place of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadState {
    /// No reload is under way.
    None,
    /// The new one is being started beside the old.
    Preparing,
    /// The old one finishes what it holds.
    Draining,
    /// The new one is there and has to prove itself.
    Trial,
}

/// The status of a VCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Where it is in its life.
    pub state: State,
    /// Whether requests are refused because the device has been away for too long.
    pub refusing: bool,
    /// The generation of the running instance, or of the last one.
    pub generation: u32,
    /// The module that it runs.
    pub module: String,
    /// When that instance was started.
    pub since: SystemTime,
    /// Whether a spare instance is ready.
    pub spare: bool,
    /// Whether a module is being put in the place of another.
    pub reload: ReloadState,
    /// The module that comes back if the one on trial is no good.
    pub previous: Option<String>,
    /// The last fault that an instance died of, in one line.
    pub last_fault: Option<String>,
}

/// The counters of a VCP so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Instances so far.
    pub generation: u32,
    /// Instances that died.
    pub faults: u64,
    /// Times that it said that the space behind it runs out.
    pub low_space: u64,
    /// Clients attached now.
    pub clients: u64,
    /// Calls of `process`.
    pub calls: u64,
    /// Fuel used in them.
    pub fuel: u64,
    /// Queue entries given to it.
    pub requests: u64,
    /// Client requests answered.
    pub completed: u64,
    /// Client requests not answered yet.
    pub unanswered: u64,
    /// Queue entries that it holds now.
    pub held: u64,
    /// Frames received and sent, and those dropped for want of room.
    pub frames_in: u64,
    /// See `frames_in`.
    pub frames_out: u64,
    /// See `frames_in`.
    pub frames_dropped: u64,
    /// CPU time that it had of what is reserved for it, in nanoseconds, as all times below:
    /// its code, host functions, copies and system calls on its behalf.
    pub reserved_ns: u64,
    /// CPU time that it had of what no other needed.
    pub slack_ns: u64,
    /// Time that it wanted to run and had used up its share.
    pub throttled_ns: u64,
    /// Time that it wanted to run and another VCP ran.
    pub waiting_ns: u64,
    /// Time that clients waited for the limits of their exports.
    pub limited_ns: u64,
    /// Time that requests waited while no ready instance served them all.
    pub outage_ns: u64,
    /// Time that clients waited for room in the queue.
    pub full_ns: u64,
    /// Bytes that clients asked to read.
    pub read_bytes: u64,
    /// Bytes that clients asked to write.
    pub written_bytes: u64,
    /// Linear memory of its instance, in bytes.
    pub memory: u64,
    /// The most linear memory that its instance may have, or the last one could, in bytes;
    /// 0 before the first.
    pub memory_limit: u64,
    /// Calls, by the number of entries that each was given.
    pub batches: Histogram,
    /// Turns, by the number of entries that the VCP held at their end.
    pub depths: Histogram,
}

/// Counts by size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Histogram {
    /// The counts of size 0, of 1, of 2 to 3, of 4 to 7, and so on; the last has all that is
    /// larger, too.
    pub buckets: [u64; BUCKETS],
    /// The sum of all sizes.
    pub sum: u64,
}

/// Buckets of a [`Histogram`].
pub const BUCKETS: usize = 12;

/// A histogram that one thread counts in and others read.
#[derive(Default)]
pub(crate) struct Sizes {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Sizes {
    pub(crate) fn add(&self, size: usize) {
        let bucket = (usize::BITS - size.leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size as u64, Ordering::Relaxed);
    }

    fn read(&self) -> Histogram {
        let bucket = |at: usize| self.buckets[at].load(Ordering::Relaxed);
        Histogram {
            buckets: std::array::from_fn(bucket),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

/// Counters that the VCP's thread updates and any thread reads.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) generation: AtomicU32,
    pub(crate) faults: AtomicU64,
    pub(crate) low_space: AtomicU64,
    pub(crate) clients: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) fuel: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) unanswered: AtomicU64,
    pub(crate) held: AtomicU64,
    pub(crate) frames_in: AtomicU64,
    pub(crate) frames_out: AtomicU64,
    pub(crate) frames_dropped: AtomicU64,
    pub(crate) reserved_ns: AtomicU64,
    pub(crate) slack_ns: AtomicU64,
    pub(crate) throttled_ns: AtomicU64,
    pub(crate) waiting_ns: AtomicU64,
    pub(crate) limited_ns: AtomicU64,
    pub(crate) outage_ns: AtomicU64,
    pub(crate) full_ns: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) written_bytes: AtomicU64,
    pub(crate) memory: AtomicU64,
    pub(crate) memory_limit: AtomicU64,
    pub(crate) batches: Sizes,
    pub(crate) depths: Sizes,
}

impl Counters {
    pub(crate) fn read(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            generation: self.generation.load(Ordering::Relaxed),
            faults: get(&self.faults),
            low_space: get(&self.low_space),
            clients: get(&self.clients),
            calls: get(&self.calls),
            fuel: get(&self.fuel),
            requests: get(&self.requests),
            completed: get(&self.completed),
            unanswered: get(&self.unanswered),
            held: get(&self.held),
            frames_in: get(&self.frames_in),
            frames_out: get(&self.frames_out),
            frames_dropped: get(&self.frames_dropped),
            reserved_ns: get(&self.reserved_ns),
            slack_ns: get(&self.slack_ns),
            throttled_ns: get(&self.throttled_ns),
            waiting_ns: get(&self.waiting_ns),
            limited_ns: get(&self.limited_ns),
            outage_ns: get(&self.outage_ns),
            full_ns: get(&self.full_ns),
            read_bytes: get(&self.read_bytes),
            written_bytes: get(&self.written_bytes),
            memory: get(&self.memory),
            memory_limit: get(&self.memory_limit),
            batches: self.batches.read(),
            depths: self.depths.read(),
        }
    }
}

/// What the VCP's thread publishes and others read.
pub(crate) struct Shared {
    pub(crate) counters: Counters,
    status: Mutex<Status>,
    reports: Mutex<VecDeque<Arc<CrashReport>>>,
}

impl Shared {
    pub(crate) fn new(module: &str) -> Self {
        Self {
            counters: Counters::default(),
            status: Mutex::new(Status {
                state: State::Starting,
                refusing: false,
                generation: 0,
                module: module.to_owned(),
                since: SystemTime::now(),
                spare: false,
                reload: ReloadState::None,
                previous: None,
                last_fault: None,
            }),
            reports: Mutex::default(),
        }
    }

    pub(crate) fn status(&self) -> MutexGuard<'_, Status> {
        lock(&self.status)
    }

    /// Notes that it has ended: nothing is attached to it, and it holds nothing. The
    /// counters of what it did stay.
    pub(crate) fn end(&self) {
        let counters = &self.counters;
        for now in [
            &counters.clients,
            &counters.unanswered,
            &counters.held,
            &counters.memory,
        ] {
            now.store(0, Ordering::Relaxed);
        }
        self.status().state = State::Stopped;
    }

    pub(crate) fn reports(&self) -> Vec<Arc<CrashReport>> {
        lock(&self.reports).iter().cloned().collect()
    }

    pub(crate) fn add_report(&self, report: CrashReport, keep: usize) {
        let mut reports = lock(&self.reports);
        reports.push_back(Arc::new(report));
        while reports.len() > keep {
            reports.pop_front();
        }
    }
}

/// Locks a value, which is whole after any panic: it is only ever replaced.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
