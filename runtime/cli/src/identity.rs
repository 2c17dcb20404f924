//! What a host is to its targets, where its configuration does not say.
//!
//! Who logs in again as the same takes the old session's place, and the target ends what
//! was left of it: that is what a host has to do that follows one that was killed, and
//! what two hosts at a time must not do to each other. So a name belongs to the process
//! that holds its lock, and whoever finds it held is somebody else.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use vcp_attach::Identifier;
use vcp_control::place;

/// A name, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Identity {
    name: String,
    _lock: Option<File>,
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
fn lock(directory: &Path, host: &str) -> io::Result<Option<File>> {
    let name = format!("host-{:016x}.lock", Identifier::fingerprint(host));
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(directory.join(name))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
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
        assert!(
            lock(scratch.path(), "/etc/vcp/host.toml")
                .unwrap()
                .is_some()
        );
    }
}
