//! Waiting for descriptors, and being woken by other threads.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

/// What a descriptor is polled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interest {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Interest {
    fn flags(self) -> epoll::EventFlags {
        let mut flags = epoll::EventFlags::empty();
        flags.set(epoll::EventFlags::IN | epoll::EventFlags::RDHUP, self.read);
        flags.set(epoll::EventFlags::OUT, self.write);
        flags
    }
}

/// One thing that happened. An error or hang-up counts as both: whoever owns the
/// descriptor finds out by using it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    pub(super) token: u64,
    pub(super) read: bool,
    pub(super) write: bool,
    /// The peer is gone altogether.
    pub(super) broken: bool,
}

/// The token of the waker; owners of descriptors use others.
const WAKER: u64 = u64::MAX;

/// Descriptors polled by one thread, level-triggered.
pub(super) struct Poller {
    epoll: OwnedFd,
    waker: Waker,
}

/// Events taken by one wait; the rest is still there at the next.
const BATCH: usize = 64;

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(
            &epoll,
            &event,
            epoll::EventData::new_u64(WAKER),
            epoll::EventFlags::IN,
        )?;
        let waker = Waker(Arc::new(event));
        Ok(Self { epoll, waker })
    }

    pub(super) fn waker(&self) -> Waker {
        self.waker.clone()
    }

    pub(super) fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(token),
            interest.flags(),
        )?;
        Ok(())
    }

    pub(super) fn modify(
        &self,
        fd: BorrowedFd<'_>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        epoll::modify(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(token),
            interest.flags(),
        )?;
        Ok(())
    }

    pub(super) fn remove(&self, fd: BorrowedFd<'_>) {
        // It can only fail for a descriptor that is not in the set.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits until something happens or `nanoseconds` have passed. Returns
    /// whether the waker was used; what else happened is put into `ready`.
    pub(super) fn wait(
        &self,
        nanoseconds: Option<u64>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<bool> {
        ready.clear();
        let timeout = nanoseconds.map(|ns| Timespec {
            tv_sec: (ns / 1_000_000_000).min(1 << 30) as i64,
            tv_nsec: (ns % 1_000_000_000) as i64,
        });
        let mut buffer = [MaybeUninit::uninit(); BATCH];
        let events = match epoll::wait(&self.epoll, &mut buffer, timeout.as_ref()) {
            Ok((events, _)) => &*events,
            Err(rustix::io::Errno::INTR) => &[],
            Err(error) => return Err(error.into()),
        };
        let mut woken = false;
        for event in events {
            let (token, flags) = (event.data.u64(), event.flags);
            if token == WAKER {
                woken = true;
                self.waker.clear();
                continue;
            }
            let broken = flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP);
            let read = flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::RDHUP);
            let write = flags.contains(epoll::EventFlags::OUT);
            ready.push(Ready {
                token,
                read: read || broken,
                write: write || broken,
                broken,
            });
        }
        Ok(woken)
    }
}

/// Wakes a poller from any thread.
#[derive(Clone)]
pub(crate) struct Waker(Arc<OwnedFd>);

impl Waker {
    pub(crate) fn wake(&self) {
        // A full counter means that it is already woken.
        let _ = rustix::io::write(self.0.as_fd(), &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        // It is ready; and if not, then there is nothing to clear.
        let _ = rustix::io::read(self.0.as_fd(), &mut [0u8; 8]);
    }
}
