//! What the kernel says of another process: CPU time, memory, system calls. Nothing
//! here asks the process itself. Holds the crate's only unsafe code: reading another
//! process's CPU clock has no safe wrapper.

use vcp_tests::calls;
pub use vcp_tests::calls::{can_count, counted};

/// A process by its id. It must not have been reaped.
#[derive(Debug, Clone, Copy)]
pub struct Process(u32);

impl Process {
    /// By its id.
    #[must_use]
    pub fn new(pid: u32) -> Self {
        Self(pid)
    }

    /// User and system time of all its threads in nanoseconds, also of those that
    /// have ended.
    ///
    /// # Panics
    /// When there is no such process.
    #[must_use]
    pub fn cpu(self) -> u64 {
        let pid = libc::pid_t::try_from(self.0).expect("Linux's ids are below 2²²");
        let mut clock: libc::clockid_t = 0;
        // SAFETY: the pointer is to a local of the type that is written.
        let error = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
        assert_eq!(error, 0, "process {pid} has a CPU clock");
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is to a local of the type that is written.
        let failed = unsafe { libc::clock_gettime(clock, &raw mut time) };
        assert_eq!(failed, 0, "process {pid} runs");
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    /// The most memory that was ever resident, in bytes.
    ///
    /// # Panics
    /// When there is no such process.
    #[must_use]
    pub fn peak_resident(self) -> u64 {
        crate::os::field(&format!("/proc/{}/status", self.0), "VmHWM:") * 1024
    }

    /// A command line that counts the system calls of the process while the command
    /// after it runs; what it counted goes to `file`, for [`counted`].
    #[must_use]
    pub fn counting(self, file: &str) -> Vec<String> {
        calls::counting(self.0, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_time_passes() {
        let this = Process::new(std::process::id());
        let before = this.cpu();
        let mut x = 1u64;
        for n in 0..5_000_000 {
            x = std::hint::black_box(x.wrapping_mul(31) ^ n);
        }
        assert!(this.cpu() > before);
        assert!(this.peak_resident() > 100_000);
    }
}
