//! Locks that allow only one host at a time to serve a device. A lock ends with its
//! process, however that ends. Without it a second host of the same name would take over
//! a device when the first loses one of its connections.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::name::DeviceName;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The directory of the locks.
const DIRECTORY: &str = "/run/vcp/attach";

/// A lock on a device, held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error("another host serves it, process {0}")]
    Held(String),
    /// The system refused.
    #[error("its lock in {DIRECTORY}: {0}")]
    System(io::Error),
}

/// As in [`AttachError`](crate::AttachError), the message already has the error in it.
impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl Lock {
    /// Takes the lock, or fails at once.
    pub fn take(device: DeviceName) -> Result<Self, LockError> {
        Self::take_in(Path::new(DIRECTORY), device)
    }

    fn take_in(directory: &Path, device: DeviceName) -> Result<Self, LockError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join(format!("{}.lock", device.short())))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                let known = pid.trim().parse::<u32>().is_ok();
                let pid = if known { pid.trim() } else { "unknown" };
                return Err(LockError::Held(pid.to_owned()));
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let (at, device) = (scratch.path().join("a/b"), DeviceName(3));
        let held = Lock::take_in(&at, device).unwrap();
        let error = Lock::take_in(&at, device).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("another host serves it, process {}", std::process::id())
        );
        Lock::take_in(&at, DeviceName(4)).unwrap();
        drop(held);
        Lock::take_in(&at, device).unwrap();
    }
}
