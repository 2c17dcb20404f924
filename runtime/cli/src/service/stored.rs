//! Connections that the service manager keeps from one process to the next: for each its
//! socket and a file with its state, under one name.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::fs::{FileType, MemfdFlags, SeekFrom};
use vcp_queue::Parked;

use super::manager::Manager;

/// The prefix of every such name.
const PREFIX: &str = "vcp-connection=";

/// The descriptors passed to this process for connections of former processes.
#[derive(Debug, Default)]
pub(super) struct Stored(BTreeMap<String, Vec<OwnedFd>>);

/// A connection of the former process, which the manager keeps until it is told to forget
/// the name.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) name: String,
    pub(super) parked: Parked,
}

impl Stored {
    /// Takes the descriptor if it belongs to a connection; returns it otherwise.
    pub(super) fn take(&mut self, name: &str, descriptor: OwnedFd) -> Option<OwnedFd> {
        if !name.starts_with(PREFIX) {
            return Some(descriptor);
        }
        self.0.entry(name.to_owned()).or_default().push(descriptor);
        None
    }

    /// The complete connections. Incomplete ones are forgotten: their parts must be gone
    /// when another connection is stored.
    pub(super) fn connections(self, manager: Manager) -> Vec<Connection> {
        let mut whole = Vec::new();
        for (name, descriptors) in self.0 {
            match connection(descriptors) {
                Ok(parked) => whole.push(Connection { name, parked }),
                Err(error) => {
                    tracing::info!("{name}: {error}");
                    manager.forget(&name);
                }
            }
        }
        whole
    }
}

/// Combines one socket and one file; with more of either it is unclear which belong
/// together.
fn connection(descriptors: Vec<OwnedFd>) -> io::Result<Parked> {
    let (mut sockets, mut files) = (Vec::new(), Vec::new());
    for descriptor in descriptors {
        match FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode) {
            FileType::Socket => sockets.push(descriptor),
            FileType::RegularFile => files.push(descriptor),
            _ => return Err(io::Error::other("neither a socket nor its state; closed")),
        }
    }
    match (sockets.pop(), files.pop(), sockets.len() + files.len()) {
        (Some(socket), Some(file), 0) => Ok(Parked {
            socket,
            state: read(file)?,
        }),
        // The manager drops a socket whose peer has hung up.
        (None, Some(_), 0) => Err(io::Error::other("its peer has hung up meanwhile")),
        _ => Err(io::Error::other("not one socket and its state; closed")),
    }
}

fn read(file: OwnedFd) -> io::Result<Vec<u8>> {
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    std::fs::File::from(file).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Has the manager keep connections for the next process.
#[derive(Debug)]
pub(super) struct Store {
    manager: Manager,
    /// Makes names unique to this process: what another process left is never taken for a
    /// part of what this one has stored.
    nonce: u64,
    count: usize,
}

impl Store {
    pub(super) fn new(manager: Manager) -> Self {
        Self {
            manager,
            // Its keys are random numbers of the system.
            nonce: RandomState::new().hash_one(std::process::id()),
            count: 0,
        }
    }

    /// Keeps one more connection.
    pub(super) fn keep(&mut self, parked: &Parked) -> io::Result<()> {
        let file = rustix::fs::memfd_create("vcp-connection", MemfdFlags::CLOEXEC)?;
        let mut file = std::fs::File::from(file);
        file.write_all(&parked.state)?;
        let name = format!("{PREFIX}{:016x}-{}", self.nonce, self.count);
        self.count += 1;
        self.manager
            .store(&name, &[parked.socket.as_fd(), file.as_fd()]);
        Ok(())
    }

    /// The number of kept connections.
    pub(super) fn count(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn socket() -> OwnedFd {
        UnixStream::pair().unwrap().0.into()
    }

    fn state(text: &[u8]) -> OwnedFd {
        let file = rustix::fs::memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        let mut file = std::fs::File::from(file);
        file.write_all(text).unwrap();
        file.into()
    }

    #[test]
    fn a_connection_is_one_socket_and_one_state() {
        let parked = connection(vec![state(b"abc"), socket()]).unwrap();
        assert_eq!(parked.state, b"abc");
        for other in [
            vec![],
            vec![socket()],
            vec![state(b"a")],
            vec![state(b"a"), state(b"b")],
            vec![socket(), state(b"new"), state(b"old")],
            vec![socket(), socket(), state(b"a")],
        ] {
            let count = other.len();
            assert!(connection(other).is_err(), "of {count}");
        }
    }

    #[test]
    fn no_two_processes_store_under_one_name() {
        let manager = Manager::of_process();
        assert_ne!(Store::new(manager).nonce, Store::new(manager).nonce);
    }

    #[test]
    fn only_what_is_a_connections_is_taken() {
        let mut stored = Stored::default();
        assert!(stored.take("vcp-connection=0", socket()).is_none());
        assert!(stored.take("control", socket()).is_some());
        assert_eq!(stored.0.len(), 1);
    }
}
