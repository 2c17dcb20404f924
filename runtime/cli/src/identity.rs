//! A host's identity towards its targets, where its configuration gives none.
//!
//! A new login with the same identity replaces the old session, and the target ends what
//! was left of it. A host that follows one that was killed has to do that; two hosts at a
//! time must not do it to each other. So a name belongs to the process that holds its
//! lock, and a process that finds it held uses another name.
//! that holds its lock, and whoever finds it held is somebody else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use vcp_attach::Identifier;
use vcp_control::place;

/// A name, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Identity {
    name: String,
    owner: Owner,
}

/// The process that has a name.
#[derive(Debug)]
enum Owner {
    /// This process.
    Own { _lock: Lock },
    /// Another process, by its number as far as that is known.
    Other(String),
    /// It can't be found out.
    Unknown,
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
        let owner = match locked {
            Ok(Ok(lock)) => Owner::Own { _lock: lock },
            Ok(Err(pid)) => Owner::Other(pid),
            Err(error) => {
                tracing::debug!("the lock of host {host}: {error}");
                Owner::Unknown
            }
        };
        let name = match owner {
            Owner::Own { .. } => host.to_owned(),
            Owner::Other(_) | Owner::Unknown => format!("{host} {}", std::process::id()),
        };
        Self { name, owner }
    }

    /// The process that has the name, where that is another.
    pub(crate) fn other(&self) -> Option<&str> {
        match &self.owner {
            Owner::Other(pid) => Some(pid),
            Owner::Own { .. } | Owner::Unknown => None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Takes the lock, or says which process has it.
fn lock(directory: &Path, host: &str) -> io::Result<Result<Lock, String>> {
    let name = format!("host-{:016x}.lock", Identifier::fingerprint(host));
    let path = directory.join(name);
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // Who had it may have removed it meanwhile, and another be there.
            Ok(()) if is_at(&file, &path) => {
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())?;
                return Ok(Ok(Lock { path, file }));
            }
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                // A process that has just taken it may not have written its number yet.
                let _ = file.read_to_string(&mut pid);
                let known = pid.trim().parse::<u32>().is_ok();
                let pid = if known { pid.trim() } else { "unknown" };
                return Ok(Err(pid.to_owned()));
            }
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
        assert!(first.is_ok());
        let second = lock(scratch.path(), "/etc/vcp/host.toml").unwrap();
        assert_eq!(second.unwrap_err(), std::process::id().to_string());
        assert!(lock(scratch.path(), "run:1").unwrap().is_ok());
        drop(first);
        let files = || fs::read_dir(scratch.path()).unwrap().count();
        assert_eq!(files(), 0, "nothing is left");
        let again = lock(scratch.path(), "/etc/vcp/host.toml").unwrap();
        assert!(again.is_ok() && files() == 1);
    }
}
