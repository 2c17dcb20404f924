//! Precautions that let the kernel write memory back through this process.
//!
//! When a kernel device is served here, and memory is short, the kernel frees some by
//! writing to that device: it waits for this process, which must then not wait for memory
//! to be freed itself, nor for its own pages to come back from a swap area, nor be the
//! one that is killed to make room. [`Precautions`] are against these three; the
//! remaining risk is described in the book (Writing back through a process).
//!
//! A precaution that was asked for and fails is an error. One that nobody asked for is
//! taken once a kernel device is served, as far as possible, and one warning lists what
//! failed.

use std::cell::Cell;
use std::fs;
use std::io;

use anyhow::{Context as _, Result, bail};
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, configure_io_flusher_behavior, dumpable_behavior, getrlimit,
    is_io_flusher, set_dumpable_behavior,
};
use rustix::thread::{CapabilitySet, capabilities};
use vcp_config::HostOptions;
use vcp_core::Vcp;

const SCORE: &str = "/proc/self/oom_score_adj";

/// The OOM score of a process that is never killed to make room.
const NEVER: i16 = -1000;

/// The options, and the precautions left until they are needed.
#[derive(Debug)]
pub(crate) struct Precautions {
    options: HostOptions,
    taken: std::sync::atomic::AtomicBool,
}

impl Precautions {
    /// Takes the precautions that were asked for, on the thread that starts all others.
    pub(crate) fn at_start(options: HostOptions) -> Result<Self> {
        if options.memory_lock == Some(true) {
            lock_memory().context("host.memory-lock")?;
        }
        if options.io_flusher == Some(true) {
            flush().context("host.io-flusher")?;
        }
        if let Some(score) = options.oom_score_adjust {
            adjust(score).context("host.oom-score-adjust")?;
        }
        if !options.core_dumps {
            // Secrets are in memory. This also closes the address space to other
            // processes of the same user.
            set_dumpable_behavior(DumpableBehavior::NotDumpable)
                .context("host.core-dumps: keeping memory out of core dumps")?;
        }
        Ok(Self {
            options,
            taken: false.into(),
        })
    }

    /// Notes that a kernel device is served from now on: precautions that nobody asked
    /// for or against are taken, too. To be called on the main thread, any number of
    /// times.
    pub(crate) fn kernel_device<'a>(&self, vcps: impl IntoIterator<Item = &'a Vcp>) {
        if self.taken.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let mut lacking = Vec::new();
        let mut note = |done: Result<()>| {
            if let Err(error) = done {
                lacking.push(format!("{error:#}"));
            }
        };
        if self.options.memory_lock.is_none() {
            note(lock_memory().context("memory-lock"));
        }
        if self.options.io_flusher.is_none() {
            note(flush().context("io-flusher"));
        }
        if self.options.oom_score_adjust.is_none() {
            note(adjust(NEVER).context("oom-score-adjust"));
        }
        for vcp in vcps {
            // These threads exist already and do not inherit it.
            vcp.set_io_flusher(is_io_flusher().unwrap_or(false));
        }
        if !lacking.is_empty() {
            tracing::warn!(
                "a device of the kernel's is served, and when memory is short this process may be in its way: {}",
                lacking.join("; ")
            );
        }
    }
}

thread_local! {
    /// The OOM score that this process was started with, if it has changed.
    static BEFORE: Cell<Option<i16>> = const { Cell::new(None) };
}

/// Starts another process without the properties that it would inherit: it is not needed
/// for writing back, and may not be made for many open files. On the main thread.
pub(crate) fn aside<T>(start: impl FnOnce() -> T) -> T {
    let flusher = is_io_flusher().unwrap_or(false);
    let score = fs::read_to_string(SCORE)
        .ok()
        .filter(|_| BEFORE.get().is_some());
    if flusher {
        let _ = configure_io_flusher_behavior(false);
    }
    if let (Some(before), Some(_)) = (&BEFORE.get(), &score) {
        let _ = set_score(*before);
    }
    let started = crate::descriptors::as_before(start);
    if flusher {
        let _ = configure_io_flusher_behavior(true);
    }
    if let Some(score) = score {
        let _ = set_score(score.trim().parse().unwrap_or(NEVER));
    }
    started
}

/// Locks all memory that has been or will be touched. Untouched address space takes no
/// memory; there are gigabytes of it, and a limit counts them.
fn lock_memory() -> Result<()> {
    let limit = getrlimit(Resource::Memlock).current;
    let privileged = has(CapabilitySet::IPC_LOCK);
    if limit.is_some() && !privileged {
        bail!("wants CAP_IPC_LOCK, or no limit on locked memory (LimitMEMLOCK=infinity)");
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    Ok(mlockall(flags)?)
}

/// Marks this thread and those that it starts from now on.
fn flush() -> Result<()> {
    configure_io_flusher_behavior(true).map_err(|error| match error {
        rustix::io::Errno::PERM => anyhow::anyhow!("wants CAP_SYS_RESOURCE"),
        rustix::io::Errno::INVAL => anyhow::anyhow!("wants Linux 5.6"),
        error => error.into(),
    })
}

fn adjust(score: i16) -> Result<()> {
    let before = fs::read_to_string(SCORE)?;
    let before: i16 = before.trim().parse().unwrap_or(0);
    set_score(score).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => anyhow::anyhow!("wants CAP_SYS_RESOURCE"),
        _ => error.into(),
    })?;
    BEFORE.set(Some(before));
    Ok(())
}

/// Sets the OOM score. Its file belongs to root while the process is closed to others.
fn set_score(score: i16) -> io::Result<()> {
    let closed = dumpable_behavior()? == DumpableBehavior::NotDumpable;
    if closed {
        set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    }
    let written = fs::write(SCORE, score.to_string());
    if closed {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    written
}

fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}
