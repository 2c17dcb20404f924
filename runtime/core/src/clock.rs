//! Clocks.

use rustix::time::{ClockId, clock_gettime};

/// The monotonic clock in nanoseconds: `vcp:io/types.instant`.
pub(crate) fn now() -> u64 {
    read(ClockId::Monotonic)
}

/// How long this thread has run on a CPU, in nanoseconds.
pub(crate) fn thread_time() -> u64 {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
