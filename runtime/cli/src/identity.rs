//! What a host is to its targets, where its configuration does not say.
//!
//! Who logs in again as the same takes the old session's place, and the target ends what
//! was left of it: that is what a host has to do that follows one that was killed, and
//! what two hosts at a time must not do to each other. So a name belongs to the process
//! that holds its lock, and whoever finds it held is somebody else.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use vcp_attach::Identifier;
use vcp_control::place;

/// A name, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Identity {
    name: String,
    _lock: Option<Lock>,
}

/// A file, locked; it goes with this, or stays behind a process that was killed, where
/// the next takes it.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    file: File,
}

impl Identity {
    /// That of the host of this name; of a process of its own where another has it, or
    /// where that can't be found out.
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

/// `None` where another process has it.
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
            // Who had it may have removed it meanwhile, and another be there.
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
            // The lock ends after that: nobody has it before the file is gone.
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
