//! Waiting for descriptors, and being woken by other threads.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use crate::clock::now;
use crate::processor::Spin;

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

/// One descriptor that is ready. An error or hang-up counts as both: the owner of the
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
/// The token of the processor's bell. It is not cleared here, but by the reader of the
/// message.
const BELL: u64 = u64::MAX - 2;

/// Descriptors polled by one thread, level-triggered.
pub(super) struct Poller {
    epoll: Arc<OwnedFd>,
    waker: Waker,
}

/// How a wait was woken, beside descriptors.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Woken {
    /// There is a command.
    pub(super) waker: bool,
    /// There is a message for the channel processor.
    pub(super) bell: bool,
}

/// Events taken by one wait; the rest is still there at the next.
const BATCH: usize = 64;

impl Poller {
    pub(super) fn new(bell: Arc<OwnedFd>) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let data = epoll::EventData::new_u64(BELL);
        epoll::add(&epoll, &bell, data, epoll::EventFlags::IN)?;
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(
            &epoll,
            &event,
            epoll::EventData::new_u64(WAKER),
            epoll::EventFlags::IN,
        )?;
        let waker = Waker(Arc::new(event));
        let epoll = Arc::new(epoll);
        Ok(Self { epoll, waker })
    }

    /// The descriptor that is ready when one of those polled is.
    pub(super) fn descriptor(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.epoll)
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

    /// Waits until something happens or `nanoseconds` have passed; it spins first if that
    /// pays. Returns how it was woken; descriptors that are ready are put into `ready`.
    pub(super) fn wait(
        &self,
        nanoseconds: Option<u64>,
        spin: Option<&mut Spin>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<Woken> {
        let spin = spin.filter(|_| nanoseconds != Some(0));
        let Some((spin, most)) = spin.map(|spin| {
            let time = spin.time();
            (spin, time.min(nanoseconds.unwrap_or(time)))
        }) else {
            return self.look(nanoseconds, ready);
        };
        if most == 0 {
            return self.look(nanoseconds, ready);
        }
        let began = now();
        loop {
            let woken = self.look(Some(0), ready)?;
            let waited = now().saturating_sub(began);
            if woken.any() || !ready.is_empty() || waited >= most {
                spin.learn(waited);
                let over = woken.any() || !ready.is_empty() || nanoseconds == Some(most);
                return if over {
                    Ok(woken)
                } else {
                    self.look(nanoseconds.map(|ns| ns.saturating_sub(waited)), ready)
                };
            }
        }
    }

    fn look(&self, nanoseconds: Option<u64>, ready: &mut Vec<Ready>) -> io::Result<Woken> {
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
        let mut woken = Woken::default();
        for event in events {
            let (token, flags) = (event.data.u64(), event.flags);
            if token == WAKER {
                woken.waker = true;
                self.waker.clear();
                continue;
            }
            if token == BELL {
                woken.bell = true;
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

impl Woken {
    fn any(self) -> bool {
        self.waker || self.bell
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
