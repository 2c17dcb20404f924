//! The system calls for which there is no safe binding, or none wide enough:
//! affinity beyond 1024 CPUs, and scheduling policy. The only module of this
//! crate with `unsafe`.
#![expect(
    unsafe_code,
    reason = "sched_setaffinity and sched_setscheduler take untyped memory"
)]

use std::io;
use std::mem::size_of_val;

use crate::list::{CpuSet, MAX_CPUS};

const WORD: usize = usize::BITS as usize;

/// A `cpu_set_t` of [`MAX_CPUS`] bits, as `CPU_ALLOC` would make: the kernel's
/// masks are arrays of longs.
type Mask = [usize; MAX_CPUS / WORD];

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The CPUs the calling thread may run on.
pub(crate) fn affinity() -> io::Result<CpuSet> {
    let mut mask: Mask = [0; MAX_CPUS / WORD];
    let size = size_of_val(&mask);
    // SAFETY: the call writes at most `size` bytes, which is what the mask has; any
    // bits are valid in it. 0 means the calling thread.
    check(unsafe { libc::sched_getaffinity(0, size, mask.as_mut_ptr().cast()) })?;
    let is_set = |cpu: &usize| mask[cpu / WORD] >> (cpu % WORD) & 1 == 1;
    Ok((0..MAX_CPUS).filter(is_set).collect())
}

/// Sets the CPUs the calling thread may run on. CPUs that don't exist are left
/// out by the kernel; `EINVAL` if none is left.
pub(crate) fn set_affinity(cpus: &CpuSet) -> io::Result<()> {
    let mut mask: Mask = [0; MAX_CPUS / WORD];
    for cpu in cpus.iter() {
        mask[cpu / WORD] |= 1 << (cpu % WORD);
    }
    // SAFETY: the call reads `size_of_val` bytes, which is what the mask has. 0
    // means the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of_val(&mask), mask.as_ptr().cast()) })
}

/// Sets policy (`SCHED_*`, with flags) and priority of the calling thread.
pub(crate) fn set_scheduler(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    let parameters = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: the parameters are a valid structure that lives for the call, and 0
    // means the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) })
}

/// The policy of the calling thread, with flags.
#[cfg(test)]
pub(crate) fn scheduler() -> libc::c_int {
    // SAFETY: takes no memory; 0 means the calling thread.
    unsafe { libc::sched_getscheduler(0) }
}
