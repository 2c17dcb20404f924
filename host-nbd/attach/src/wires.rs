//! Socket pairs between the kernel's nbd and the process that serves it.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

/// The send buffer size that is asked for at the kernel's end, in bytes: room for large
/// writes.
const SEND_BUFFER: usize = 4 << 20;

/// Connections that were made and not yet handed out. Unix stream sockets are the only
/// kind beside TCP that every kernel accepts, and the kernel sees them closed the moment
/// the process at the near end is gone.
#[derive(Debug)]
pub struct Wires {
    near: Vec<OwnedFd>,
    far: Vec<OwnedFd>,
}

impl Wires {
    /// Makes `count` pairs.
    pub fn new(count: u32) -> io::Result<Self> {
        let (mut near, mut far) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let pair = socketpair(
                AddressFamily::UNIX,
                SocketType::STREAM,
                SocketFlags::CLOEXEC,
                None,
            )?;
            // The kernel cuts it to its maximum, and nothing depends on it.
            let _ = sockopt::set_socket_send_buffer_size(&pair.1, SEND_BUFFER);
            near.push(pair.0);
            far.push(pair.1);
        }
        Ok(Self { near, far })
    }

    /// The descriptors to name to the kernel.
    pub(crate) fn far(&self) -> impl Iterator<Item = u32> + '_ {
        self.far
            .iter()
            .map(|fd| u32::try_from(fd.as_raw_fd()).expect("descriptors are not negative"))
    }

    /// Closes the far ends and returns the near ends of those that the kernel took. The
    /// kernel does not say which it took, but the others have hung up now.
    pub fn taken(self) -> io::Result<Vec<OwnedFd>> {
        drop(self.far);
        let mut taken = Vec::new();
        for near in self.near {
            let mut look = [PollFd::from_borrowed_fd(near.as_fd(), PollFlags::IN)];
            poll(&mut look, Some(&Timespec::default()))?;
            let hung_up = look[0].revents().contains(PollFlags::HUP);
            if !hung_up {
                taken.push(near);
            }
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_took_is_dropped() {
        let wires = Wires::new(3).unwrap();
        assert_eq!(wires.far().count(), 3);
        // Stands for the kernel, which takes a reference.
        let held = wires.far[1].try_clone().unwrap();
        assert_eq!(wires.taken().unwrap().len(), 1);
        drop(held);
        let wires = Wires::new(2).unwrap();
        assert!(wires.taken().unwrap().is_empty());
    }
}
