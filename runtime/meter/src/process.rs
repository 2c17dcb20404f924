//! The resources of this process, as `/proc/self` and the kernel's clocks say (proc(5)).

use std::fs;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

use crate::snapshot::Process;

impl Process {
    /// The figures of this process. One that can't be read, such as without a `/proc`, is 0.
    pub fn read() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let nanos = |number: i64| u64::try_from(number).unwrap_or(0);
        Self {
            resident_bytes: resident().unwrap_or(0),
            cpu_ns: nanos(cpu.tv_sec) * 1_000_000_000 + nanos(cpu.tv_nsec),
            // The directory that is read is one of them.
            open_fds: entries("/proc/self/fd").saturating_sub(1),
            threads: entries("/proc/self/task"),
        }
    }
}

/// The second number of `statm`, in pages.
fn resident() -> Option<u64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

fn entries(directory: impl AsRef<Path>) -> u64 {
    fs::read_dir(directory).map_or(0, |entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_itself() {
        let before = Process::read();
        assert!(before.resident_bytes > 64 << 10, "{before:?}");
        assert!(before.open_fds >= 3 && before.threads >= 1, "{before:?}");
        let files: Vec<_> = (0..50).map(|_| fs::File::open("/dev/null")).collect();
        let mut spent = 0u64;
        while Process::read().cpu_ns == before.cpu_ns {
            spent = std::hint::black_box(spent + 1);
        }
        let after = Process::read();
        assert!(after.cpu_ns > before.cpu_ns);
        // Other tests open and close files of their own meanwhile.
        assert!(after.open_fds > 40, "{after:?}");
        drop(files);
    }
}
