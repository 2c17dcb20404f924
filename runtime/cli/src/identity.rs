//! A host's identity towards its targets, where its configuration gives none.
//!
//! A new login with the same identity replaces the old session, and the target ends what
//! was left of it. A host that follows one that was killed has to do that; two hosts at a
//! time must not do it to each other. So a name belongs to the process that holds its
//! lock, and a process that finds it held uses another name.
//! that holds its lock, and whoever finds it held is somebody else.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use vcp_attach::Identifier;
use vcp_control::place;

/// A name, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Identity {
    name: String,
    _lock: Option<Lock>,
}

/// A locked file. It is removed with this; after a process that was killed it stays, and
/// the next process locks it.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Identity {
    /// The identity of the host of this name, or one of this process's own where another
    /// process holds that or the lock fails.
    pub(crate) fn of(host: &str) -> Self {
        let directory = place::directory();
        let locked = place::make(&directory)
            .map_err(io::Error::other)
            .and_then(|()| lock(&directory, host));
        let lock = locked.unwrap_or_else(|error| {
            tracing::debug!("the lock of host {host}: {error}");
            None
        });
        let name = match lock {
            Some(_) => host.to_owned(),
            None => format!("{host} {}", std::process::id()),
        };
        Self { name, _lock: lock }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Takes the lock; `None` if another process holds it.
fn lock(directory: &Path, host: &str) -> io::Result<Option<Lock>> {
    let name = format!("host-{:016x}.lock", Identifier::fingerprint(host));
    let path = directory.join(name);
    loop {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // The former holder may have removed the file, and another may be in its
            // place.
            Ok(()) if is_at(&file, &path) => return Ok(Some(Lock { path, file })),
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

impl Drop for Lock {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            // The lock is released after that, so nobody gets it before the file is gone.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_hosts_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let first = lock(scratch.path(), "/etc/vcp/host.toml").unwrap();
        assert!(first.is_some());
        assert!(
            lock(scratch.path(), "/etc/vcp/host.toml")
                .unwrap()
                .is_none()
        );
        assert!(lock(scratch.path(), "run:1").unwrap().is_some());
        drop(first);
        let files = || fs::read_dir(scratch.path()).unwrap().count();
        assert_eq!(files(), 0, "nothing is left");
        let again = lock(scratch.path(), "/etc/vcp/host.toml").unwrap();
        assert!(again.is_some() && files() == 1);
    }
}
