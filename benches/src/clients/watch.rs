//! What a process has while something goes on, at most.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The most there was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Most {
    /// Resident bytes.
    pub(crate) resident: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

impl Most {
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
        }
    }
}

/// A thread that looks.
pub(crate) struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Most>,
}

impl Watch {
    pub(crate) fn start(pid: u32) -> Self {
        let over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let mut most = look(pid);
            while !ends.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(100));
                most = most.or(look(pid));
            }
            most
        });
        Self { over, thread }
    }

    pub(crate) fn finish(self) -> Most {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("looking does not fail")
    }
}

fn look(pid: u32) -> Most {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse::<u64>().ok()).unwrap_or(0)
    };
    let count = |what: &str| {
        let entries = fs::read_dir(format!("/proc/{pid}/{what}"));
        entries.map_or(0, |entries| entries.count() as u64)
    };
    Most {
        resident: number("VmRSS:") << 10,
        descriptors: count("fd"),
        threads: count("task"),
    }
}
