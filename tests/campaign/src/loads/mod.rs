//! Foreign modules, loaded and run as an operator would: whatever they are made of, the
//! host lives, and says in one line what it does not take, in bounded time and memory.
//!
//! As in the campaign, the host is a process of its own: one that dies, hangs or grows
//! is a finding, with the seed of its sample.

pub mod sample;
mod watch;
mod work;

pub use watch::{Plan, Summary, loads};
pub use work::work;

use serde::{Deserialize, Serialize};

/// What came of one sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Loaded {
    /// How the sample was made.
    pub kind: String,
    /// Its bytes.
    pub size: usize,
    /// It was compiled, and an instance of it started.
    pub ran: bool,
    /// What the host said of it, in one line.
    pub said: String,
    /// Milliseconds from its bytes to a verdict, and to the end of its instance.
    pub compiled_ms: u64,
    /// The same, to the end of its instance.
    pub ended_ms: u64,
    /// The most memory that the process had resident so far, in KiB.
    pub peak_kib: u64,
    /// Panics of the process in this sample.
    pub panics: u64,
}

/// The longest that a module may take from its bytes to the end of its instance.
pub const LONGEST_MS: u64 = 20_000;
/// The most that a process may have resident, in KiB.
pub const LARGEST_KIB: u64 = 1 << 20;

impl Loaded {
    /// What is wrong with the host, if anything is.
    pub fn finding(&self) -> Option<String> {
        if self.panics > 0 {
            return Some(format!("{} panics: {}", self.panics, self.said));
        }
        if self.ended_ms > LONGEST_MS {
            return Some(format!("took {} ms for {} bytes", self.ended_ms, self.size));
        }
        if self.peak_kib > LARGEST_KIB {
            return Some(format!("{} KiB for {} bytes", self.peak_kib, self.size));
        }
        if self.said.contains('\n') || self.said.is_empty() {
            return Some(format!("not one line: {:?}", self.said));
        }
        None
    }
}
