//! Open files that are reserved for the rest of the process.
//!
//! Each client takes a descriptor, and there can be more clients than descriptors. The
//! last ones are not for clients: an operator who wants to see what goes on, or to end
//! some clients, needs one too.

use std::os::fd::{AsRawFd as _, BorrowedFd};

use rustix::process::{Resource, getrlimit};

/// The number of reserved descriptors: for the connections of a control socket, and for
/// the files that its requests read.
const RESERVE: u64 = 32;

/// Whether a client may keep this descriptor. The kernel gives out the lowest free
/// number, so the last numbers mean that all before them are taken.
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
