//! A device opened for one alone and flushed, by a thread that may hang for as long as
//! the device does.
//!
//! A device may wait for the very process that opens it, and a thread that hangs in the
//! kernel keeps all descriptors that it shares: were it to share those of the process,
//! a process that was killed would still hold its ends of the device's connections, and
//! the kernel would wait for it for ever. So the thread has descriptors of its own, of
//! which it closes all but the standard ones first.
//!
//! The one module of this crate with `unsafe`: the system call that does so.
#![expect(unsafe_code, reason = "the table of descriptors of one thread")]

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::mpsc;

use rustix::fs::OFlags;

use crate::name::DeviceName;

/// Holds a device open for itself, so that nobody else mounts it; until it is dropped.
#[derive(Debug)]
pub struct Claim {
    _held: mpsc::Sender<()>,
}

impl Claim {
    /// Has the device opened and flushed. `done` is told on another thread what came of
    /// it, maybe never; [`io::ErrorKind::ResourceBusy`]: somebody else has it for
    /// themselves.
    pub fn take(
        device: DeviceName,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> io::Result<Self> {
        let (held, release) = mpsc::channel();
        let work = move || {
            if let Err(error) = part_with_descriptors() {
                return done(Err(error));
            }
            let opened = OpenOptions::new()
                .read(true)
                .custom_flags((OFlags::EXCL | OFlags::CLOEXEC).bits().cast_signed())
                .open(device.path());
            let flushed = opened.and_then(|file| file.sync_all().map(|()| file));
            match flushed {
                Ok(file) => {
                    done(Ok(()));
                    // Nothing is ever sent: it ends with the claim.
                    let _ = release.recv();
                    drop(file);
                }
                Err(error) => done(Err(error)),
            }
        };
        std::thread::Builder::new()
            .name(format!("claim {}", device.short()))
            .spawn(work)?;
        Ok(Self { _held: held })
    }
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
    fn a_device_that_is_not_there_is_an_error() {
        let (told, outcome) = mpsc::channel();
        let device = DeviceName(999_999);
        let claim = Claim::take(device, move |outcome| told.send(outcome).unwrap()).unwrap();
        assert_eq!(
            outcome.recv().unwrap().unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        drop(claim);
    }
}
