//! What is known of an instance that died.

use std::time::{Duration, SystemTime};

use vcp_queue::{Operation, Status};

use crate::fault::Fault;

/// One crash.
#[derive(Debug, Clone)]
pub struct CrashReport {
    /// Counts from 1 in the life of the VCP.
    pub number: u64,
    /// When the instance died.
    pub time: SystemTime,
    /// The instance that died.
    pub generation: u32,
    /// The module that it ran.
    pub module: String,
    /// What it died of.
    pub fault: Fault,
    /// Whether an operator asked for it.
    pub injected: bool,
    /// Guest frames, innermost first, one a line; empty if it died between calls.
    pub backtrace: String,
    /// What it complained of in its last call, one line each, the oldest first: error
    /// messages of its log, and what it wrote to its standard error. A panic is there.
    pub said: Vec<String>,
    /// How long it had run.
    pub ran: Duration,
    /// Whether it had been ready.
    pub ready: bool,
    /// Fuel used in all its calls.
    pub fuel: u64,
    /// Bytes of its linear memory.
    pub memory: usize,
    /// Queue entries that it held; they are replayed.
    pub held: usize,
    /// Client requests that were not answered, those it held included.
    pub unanswered: usize,
    /// The time of the crash on the clock of `recent`, in nanoseconds.
    pub at: u64,
    /// The last queue entries, the oldest first; also those of instances before.
    pub recent: Vec<Entry>,
    /// The instance's memory, globals and stack in the Wasm core dump format, if
    /// the VCP's settings ask for it and it could be had.
    pub core: Option<Vec<u8>>,
}

/// An entry that went through the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The time, in nanoseconds.
    pub at: u64,
    /// The instance that it went to, or came from.
    pub generation: u32,
    /// The entry itself.
    pub what: What,
}

/// What went through the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A request, to the VCP.
    Request {
        /// The request's tag.
        tag: u64,
        /// The operation that it asks for.
        operation: Operation,
        /// Bytes from the start of the device.
        offset: u64,
        /// The length in bytes.
        length: u32,
    },
    /// A completion, from the VCP.
    Completion {
        /// The tag of the request that it answers.
        tag: u64,
        /// The status that the request ended with.
        status: Status,
    },
    /// The notice that it serves.
    Ready,
    /// The notice that it can't serve for the time being.
    Suspended,
}
