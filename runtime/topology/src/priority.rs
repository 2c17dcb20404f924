//! The priority of the calling thread against others of its CPU.

use std::io;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

use crate::sys;

/// It is not in every libc's binding; see `linux/sched.h`.
const SCHED_RESET_ON_FORK: libc::c_int = 0x4000_0000;

/// A scheduling policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Like any thread (`SCHED_OTHER`).
    Normal,
    /// Before every thread that has no real-time priority, for as long as it
    /// likes (`SCHED_FIFO`), 1 to 99. A thread that spins at it has its CPU to
    /// itself but for what `/proc/sys/kernel/sched_rt_runtime_us` keeps for others.
    Fifo(u8),
}

/// Why a thread did not get its priority, in one line.
#[derive(Debug, thiserror::Error)]
pub enum PriorityError {
    /// There is no such priority.
    #[error("SCHED_FIFO priority {0}: priorities are 1 to 99")]
    Range(u8),
    /// It takes a privilege that this process hasn't got.
    #[error(
        "SCHED_FIFO priority {priority}: not permitted; it takes CAP_SYS_NICE or an RLIMIT_RTPRIO \
         of {priority} or more (it is {limit})"
    )]
    Privilege {
        /// The priority that was asked for.
        priority: u8,
        /// The process's limit.
        limit: u64,
    },
    /// It has the privilege, but its control group has no real-time budget.
    #[error(
        "SCHED_FIFO priority {0}: not permitted although the process may; its control group has \
         no real-time time (cpu.rt_runtime_us is 0)"
    )]
    Budget(u8),
    /// Anything else.
    #[error("scheduling policy: {0}")]
    Other(#[from] io::Error),
}

/// Sets the calling thread's policy. A process or thread it starts gets the
/// normal one, so that a real-time priority doesn't spread.
pub fn set(priority: Priority) -> Result<(), PriorityError> {
    let (policy, level) = match priority {
        Priority::Normal => (libc::SCHED_OTHER, 0),
        Priority::Fifo(level @ 1..=99) => (libc::SCHED_FIFO, level),
        Priority::Fifo(level) => return Err(PriorityError::Range(level)),
    };
    // The flag stays on the way back: taking it away is a privilege (sched(7)).
    sys::set_scheduler(policy | SCHED_RESET_ON_FORK, level.into()).map_err(|error| {
        match error.raw_os_error() {
            Some(libc::EPERM) if level > 0 && may(level) => PriorityError::Budget(level),
            Some(libc::EPERM) if level > 0 => PriorityError::Privilege {
                priority: level,
                limit: limit(),
            },
            _ => error.into(),
        }
    })
}

/// Whether the process has what sched(7) requires for this priority.
fn may(level: u8) -> bool {
    let capable =
        capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_NICE));
    capable || limit() >= level.into()
}

/// `RLIMIT_RTPRIO`; the most there is when unlimited.
fn limit() -> u64 {
    getrlimit(Resource::Rtprio).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_if_permitted_and_not_for_children() {
        let policies = std::thread::spawn(|| {
            let set = set(Priority::Fifo(1));
            let child = std::thread::spawn(sys::scheduler);
            (set, sys::scheduler(), child.join().unwrap())
        });
        let (set, own, childs) = policies.join().unwrap();
        match set {
            Ok(()) => assert_eq!(own, libc::SCHED_FIFO | SCHED_RESET_ON_FORK),
            Err(PriorityError::Privilege { priority: 1, .. } | PriorityError::Budget(1)) => {
                assert_eq!(own, libc::SCHED_OTHER);
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(childs, libc::SCHED_OTHER);
    }

    #[test]
    fn there_and_back() {
        std::thread::spawn(|| {
            // Whether or not the first is permitted, the second is.
            let _ = set(Priority::Fifo(2));
            set(Priority::Normal).unwrap();
            assert_eq!(sys::scheduler() & !SCHED_RESET_ON_FORK, libc::SCHED_OTHER);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn no_such_priority() {
        for level in [0, 100, 255] {
            assert!(
                matches!(set(Priority::Fifo(level)), Err(PriorityError::Range(l)) if l == level)
            );
        }
    }

    #[test]
    fn says_what_is_missing() {
        let error = PriorityError::Privilege {
            priority: 10,
            limit: 0,
        };
        assert_eq!(
            error.to_string(),
            "SCHED_FIFO priority 10: not permitted; it takes CAP_SYS_NICE or an RLIMIT_RTPRIO of \
             10 or more (it is 0)"
        );
    }
}
