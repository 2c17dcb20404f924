//! Opens devices exclusively and flushes them, and flushes file systems, each on a thread
//! that may hang for as long as the device does.
//!
//! A device may wait for the very process that opens it, and a thread that hangs in the
//! kernel keeps all descriptors that it shares: were it to share those of the process,
//! a process that was killed would still hold its ends of the device's connections, and
//! the kernel would wait for it for ever. So the thread has descriptors of its own, of
//! which it closes all but the standard ones first.
//!
//! This is the only module of the crate with `unsafe` code, for the system call that does
//! so.
#![expect(unsafe_code, reason = "the table of descriptors of one thread")]

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::name::DeviceName;

/// Holds a device open exclusively, so that nobody else can mount it, until it is
/// dropped.
#[derive(Debug)]
pub struct Claim {
    _held: mpsc::Sender<()>,
    outcome: mpsc::Receiver<io::Result<()>>,
}

impl Claim {
    /// Starts a thread that opens and flushes the device; [`Claim::flushed`] gives the
    /// result.
    pub fn take(device: DeviceName) -> io::Result<Self> {
        let (held, release) = mpsc::channel();
        // A channel of std: one that wakes a task by a descriptor does not work from that
        // thread.
        let (tell, outcome) = mpsc::channel();
        let work = move || match open_and_flush(device) {
            Ok(file) => {
                // If the caller no longer waits, the claim is already dropped and `recv`
                // returns at once.
                let _ = tell.send(Ok(()));
                // Nothing is ever sent; `recv` returns when the claim is dropped.
                let _ = release.recv();
                drop(file);
            }
            Err(error) => _ = tell.send(Err(error)),
        };
        std::thread::Builder::new()
            .name(format!("claim {}", device.short()))
            .spawn(work)?;
        Ok(Self {
            _held: held,
            outcome,
        })
    }

    /// Waits for the flush for at most `limit`; to be called once.
    /// [`io::ErrorKind::ResourceBusy`]: another process has the device open exclusively.
    pub fn flushed(&self, limit: Duration) -> io::Result<()> {
        self.outcome
            .recv_timeout(limit)
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Flushes the file systems mounted at these places, on a thread for each, and waits for
/// at most `limit`. Returns those that could not be flushed in time, with the reason.
pub fn flush_mounted(points: &[PathBuf], limit: Duration) -> Vec<(PathBuf, io::Error)> {
    let began = Instant::now();
    let begin = |point: &PathBuf| {
        let (tell, outcome) = mpsc::channel();
        let place = point.clone();
        let thread = std::thread::Builder::new().name("flush".to_owned());
        let begun = thread.spawn(move || _ = tell.send(open_and_sync(&place)));
        (point.clone(), begun.map(|_| outcome))
    };
    let all: Vec<_> = points.iter().map(begin).collect();
    let mut failed = Vec::new();
    for (point, begun) in all {
        let left = limit.saturating_sub(began.elapsed());
        let outcome = begun.and_then(|outcome| {
            let done = outcome.recv_timeout(left);
            done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        });
        if let Err(error) = outcome {
            failed.push((point, error));
        }
    }
    failed
}

fn open_and_sync(point: &Path) -> io::Result<()> {
    part_with_descriptors()?;
    // The mount point may be a single file, even a pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let place = rustix::fs::open(point, flags, Mode::empty())?;
    Ok(rustix::fs::syncfs(place)?)
}

fn open_and_flush(device: DeviceName) -> io::Result<File> {
    part_with_descriptors()?;
    let file = File::options()
        .read(true)
        .custom_flags((OFlags::EXCL | OFlags::CLOEXEC).bits().cast_signed())
        .open(device.path())?;
    file.sync_all()?;
    Ok(file)
}

/// Gives this thread a table of descriptors of its own, with the standard ones only.
fn part_with_descriptors() -> io::Result<()> {
    // SAFETY: with CLOSE_RANGE_UNSHARE the calling thread gets a copy of the table first,
    // and descriptors are closed in that copy only: those of other threads stay. This
    // thread was started by this module, owns no descriptor yet and borrows none.
    let closed = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3u32,
            u32::MAX,
            libc::CLOSE_RANGE_UNSHARE,
        )
    };
    if closed == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_parts_with_descriptors_that_others_keep() {
        let kept = std::fs::File::open("/dev/null").unwrap();
        let number = std::os::fd::AsRawFd::as_raw_fd(&kept);
        let there =
            move || std::path::Path::new(&format!("/proc/thread-self/fd/{number}")).exists();
        let gone = std::thread::spawn(move || {
            part_with_descriptors().unwrap();
            !there()
        });
        assert!(gone.join().unwrap());
        assert!(there());
        kept.metadata().unwrap();
    }

    #[test]
    fn file_systems_are_flushed_or_named() {
        let there = tempfile::tempdir().unwrap();
        let points = [there.path().to_owned(), PathBuf::from("/nonexistent")];
        let failed = flush_mounted(&points, Duration::from_secs(30));
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert_eq!(failed[0].0, points[1]);
        assert_eq!(failed[0].1.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_device_that_is_not_there_is_an_error() {
        let claim = Claim::take(DeviceName(999_999)).unwrap();
        let outcome = claim.flushed(Duration::from_secs(10));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
