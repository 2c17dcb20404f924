//! Open files that clients leave to the rest of the process.
//!
//! Each client takes a descriptor, and there can be more clients than descriptors. The
//! last ones are not theirs: who wants to know what goes on, or to end some of them,
//! needs one too.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::process::{Resource, getrlimit};

/// So many are left: for the connections of a control socket, and for the files that
/// what is asked there reads.
const RESERVE: u64 = 32;

/// Whether a client may keep this descriptor. The kernel gives out the lowest number that
/// is free: with the last numbers, all before them are taken.
pub(crate) fn is_for_clients(descriptor: BorrowedFd<'_>) -> bool {
    let number = u64::try_from(descriptor.as_raw_fd()).unwrap_or(0);
    is_below(number, getrlimit(Resource::Nofile).current)
}

fn is_below(number: u64, limit: Option<u64>) -> bool {
    // Where there are few descriptors, clients still get most of them.
    limit.is_none_or(|limit| number < limit - RESERVE.min(limit / 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_numbers_are_not_for_clients() {
        assert!(is_below(1024 - 33, Some(1024)) && !is_below(1024 - 32, Some(1024)));
        assert!(is_below(47, Some(64)) && !is_below(48, Some(64)));
        assert!(is_below(u64::MAX, None));
        assert!(!is_below(0, Some(0)));
    }
}
