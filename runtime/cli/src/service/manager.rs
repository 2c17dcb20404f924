//! Messages to the service manager, and descriptors that it keeps while no host runs
//! (sd_notify(3)).

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sd_notify::NotifyState;

/// How long it may take to process the messages.
const PATIENCE: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

static MUTE: AtomicBool = AtomicBool::new(false);

/// Whoever started this process, if it listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manager {
    listens: bool,
}

impl Manager {
    /// The service manager of this process.
    pub(crate) fn of_process() -> Self {
        Self {
            listens: std::env::var_os("NOTIFY_SOCKET").is_some(),
        }
    }

    /// Whether there is a service manager.
    pub(crate) fn listens(self) -> bool {
        self.listens && !MUTE.load(Ordering::Relaxed)
    }

    /// It is told nothing from now on.
    pub(crate) fn mute(self) {
        MUTE.store(true, Ordering::Relaxed);
    }

    /// Reports that the service is ready, with its status.
    pub(crate) fn ready(self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)], &[]);
    }

    /// Reports that the service is about to change.
    pub(crate) fn reloading(self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now], &[]),
            Err(error) => tracing::warn!("the time: {error}"),
        }
    }

    /// Reports that the service is about to end.
    pub(crate) fn stopping(self) {
        self.tell(&[NotifyState::Stopping], &[]);
    }

    /// Reports the status.
    pub(crate) fn status(self, status: &str) {
        self.tell(&[NotifyState::Status(status)], &[]);
    }

    /// Reports to the watchdog.
    pub(crate) fn alive(self) {
        self.tell(&[NotifyState::Watchdog], &[]);
    }

    /// Stores these descriptors for the next process, under one name.
    pub(crate) fn store(self, name: &str, descriptors: &[BorrowedFd<'_>]) {
        self.tell(
            &[NotifyState::FdStore, NotifyState::FdName(name)],
            descriptors,
        );
    }

    /// Removes descriptors from the store.
    pub(crate) fn forget(self, name: &str) {
        self.tell(
            &[NotifyState::FdStoreRemove, NotifyState::FdName(name)],
            &[],
        );
    }

    /// Waits until it has processed all messages so far; returns whether it has.
    pub(crate) fn settled(self) -> bool {
        let Ok((ours, theirs)) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) else {
            return false;
        };
        self.tell(&[NotifyState::Custom("BARRIER=1")], &[theirs.as_fd()]);
        drop(theirs);
        // It closes its copy of the pipe once it has come to it.
        let mut closed = [PollFd::new(&ours, PollFlags::empty())];
        poll(&mut closed, Some(&PATIENCE)).is_ok_and(|ready| ready > 0)
    }

    fn tell(self, what: &[NotifyState<'_>], descriptors: &[BorrowedFd<'_>]) {
        if MUTE.load(Ordering::Relaxed) {
            return;
        }
        let told = match descriptors {
            [] => sd_notify::notify(what),
            descriptors => sd_notify::notify_with_fds(what, descriptors),
        };
        if let Err(error) = told {
            tracing::warn!("telling the service manager: {error}");
        }
    }
}
