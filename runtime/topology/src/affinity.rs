//! The CPUs that the calling thread runs on.

use std::io;

use crate::list::{CpuSet, MAX_CPUS};
use crate::sys;

/// Why a thread could not be pinned, in one line.
#[derive(Debug, thiserror::Error)]
#[error("pinning a thread to CPU {cpus}: {}", reason(source))]
pub struct AffinityError {
    /// The CPUs it was to run on.
    pub cpus: CpuSet,
    /// The kernel's error.
    pub source: io::Error,
}

fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        // cpuset(7): what is left of the mask is empty.
        Some(libc::EINVAL) => {
            "none of them is online and in this process's cpuset control group".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Makes the calling thread run on these CPUs only, from now on. Needs no privilege.
///
/// CPUs that are offline or outside of the process's cpuset are left out without
/// a word as long as one is left: check with [`crate::Topology::allowed`] before.
pub fn pin_this_thread(cpus: &[usize]) -> Result<(), AffinityError> {
    let cpus: CpuSet = cpus.iter().copied().collect();
    sys::set_affinity(&cpus).map_err(|source| AffinityError { cpus, source })
}

/// The CPUs the calling thread may run on, which is what a process was given for
/// a thread that has not been pinned. All, should the kernel not say.
pub fn allowed() -> CpuSet {
    sys::affinity().unwrap_or_else(|_| (0..MAX_CPUS).collect())
}

/// The CPUs a thread of this process could be pinned to: those of its cpuset,
/// isolated ones among them. Found by asking for all of them on a thread that
/// ends right after; [`allowed`] should that not work.
pub fn reachable() -> CpuSet {
    let widest = || {
        sys::set_affinity(&(0..MAX_CPUS).collect()).ok()?;
        sys::affinity().ok()
    };
    let thread = std::thread::Builder::new().name("vcp-affinity".to_owned());
    let found = thread.spawn(widest).ok();
    let found = found.and_then(|thread| thread.join().ok().flatten());
    found.unwrap_or_else(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_the_calling_thread_only() {
        let before = allowed();
        let last = before.iter().next_back().unwrap();
        let pinned = std::thread::spawn(move || {
            pin_this_thread(&[last]).unwrap();
            allowed()
        });
        assert_eq!(pinned.join().unwrap(), CpuSet::from_iter([last]));
        assert_eq!(allowed(), before);
        assert_eq!(before.without(&reachable()), CpuSet::new());
    }

    #[test]
    fn says_what_is_wrong_with_absent_cpus() {
        for cpus in [vec![MAX_CPUS - 1], vec![], vec![usize::MAX]] {
            let error = pin_this_thread(&cpus).unwrap_err().to_string();
            assert!(error.contains("is online"), "{error}");
            assert!(!error.contains('\n'));
        }
    }
}
