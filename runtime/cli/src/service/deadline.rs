//! Ensures that a service that is told to end does so in time, even if something in it
//! hangs. The service manager does not: it must not kill a host that serves a device
//! while the machine goes down (`SendSIGKILL=no` in the unit).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::SigSet;
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

/// How long the end may take. The unit's `TimeoutStopSec=` is longer.
const LIMIT: Duration = Duration::from_secs(18);

/// A deadline that runs from the first SIGTERM on, on a thread of its own that needs
/// nothing of the rest of the process.
pub(super) struct Deadline {
    lifted: Arc<AtomicBool>,
}

impl Deadline {
    /// Arms the deadline: SIGTERM starts it from now on.
    pub(super) fn set() -> Result<Self> {
        let lifted = Arc::new(AtomicBool::new(false));
        let mut signals = Signals::new([SIGTERM]).context("listening for SIGTERM")?;
        let seen = Arc::clone(&lifted);
        let watch = move || {
            if signals.forever().next().is_none() {
                return;
            }
            std::thread::sleep(LIMIT);
            if !seen.load(Ordering::Relaxed) {
                // The log may be the part that hangs.
                let _ = kill_process(getpid(), Signal::KILL);
            }
        };
        std::thread::Builder::new()
            .name("deadline".into())
            .spawn(watch)
            .context("starting a thread")?;
        // The kernel gives the signal to any thread that accepts it, first to this one,
        // which may hang.
        let own = SigSet::from(nix::sys::signal::Signal::SIGTERM);
        own.thread_block()
            .context("leaving SIGTERM to that thread")?;
        Ok(Self { lifted })
    }

    /// Keeps the deadline from ending the process.
    pub(super) fn lift(&self) {
        self.lifted.store(true, Ordering::Relaxed);
    }
}
