//! Descriptors that the service manager passes to this process (sd_listen_fds(3)):
//! sockets of its own socket units, and what the process before this one had it keep.
//!
//! The one module of this program with `unsafe`: a number becomes a descriptor.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use rustix::fs::{FileType, MemfdFlags, SeekFrom};
use vcp_config::NbdAddress;
use vcp_nbd::{Address, Server};
use vcp_queue::Parked;

use super::manager::Manager;

/// How the name of a kept connection begins.
const CONNECTION: &str = "vcp-connection=";
/// How the name of a kept listening socket begins.
const LISTENING: &str = "vcp-nbd=";
/// The name of a control socket.
const CONTROL: &str = "control";

/// Sockets that somebody listens on already.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Those that nobody has wanted yet.
    waiting: Vec<Socket>,
    /// Where those listen that have been taken and are a socket unit's.
    of_units: Vec<Address>,
    /// The names of those that have been taken and are kept by the manager already.
    kept: Vec<String>,
}

#[derive(Debug)]
struct Socket {
    name: String,
    address: Address,
    socket: OwnedFd,
}

/// A connection of the process before, under its name.
pub(crate) type Connection = (String, Parked);

/// Takes what was passed; to be called once, before anything else.
pub(crate) fn take() -> Result<(Sockets, Vec<Connection>)> {
    let passed = sd_notify::listen_fds_with_names().context("LISTEN_FDS")?;
    let mut sockets = Sockets::default();
    let mut kept: BTreeMap<String, Vec<OwnedFd>> = BTreeMap::new();
    for (number, name) in passed {
        // SAFETY: whoever started this process has passed it this descriptor, open,
        // as LISTEN_PID and LISTEN_FDS say; this is called once, and nobody else here
        // knows of it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        if name.starts_with(CONNECTION) {
            kept.entry(name).or_default().push(descriptor);
            continue;
        }
        match Server::address_of(descriptor.as_fd()) {
            Ok(address) => sockets.waiting.push(Socket {
                name,
                address,
                socket: descriptor,
            }),
            Err(error) => tracing::warn!("descriptor {name:?} was passed: {error}; closed"),
        }
    }
    let mut connections = Vec::new();
    for (name, descriptors) in kept {
        match connection(descriptors) {
            Ok(parked) => connections.push((name, parked)),
            // The peer has hung up meanwhile, most likely: that takes the socket away.
            Err(error) => tracing::info!("{name}: {error}"),
        }
    }
    Ok((sockets, connections))
}

/// A socket, and a file with what is to be known of it.
fn connection(descriptors: Vec<OwnedFd>) -> io::Result<Parked> {
    let (mut socket, mut state) = (None, None);
    for descriptor in descriptors {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&descriptor)?.st_mode);
        match kind {
            FileType::Socket => socket = Some(descriptor),
            _ => state = Some(read(descriptor)?),
        }
    }
    let incomplete = || io::Error::other("its connection is gone");
    Ok(Parked {
        socket: socket.ok_or_else(incomplete)?,
        state: state.ok_or_else(incomplete)?,
    })
}

fn read(file: OwnedFd) -> io::Result<Vec<u8>> {
    rustix::fs::seek(&file, SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    std::fs::File::from(file).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Has the manager keep a connection.
pub(crate) fn keep(manager: Manager, number: usize, parked: &Parked) -> io::Result<()> {
    let file = rustix::fs::memfd_create("vcp-connection", MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(file);
    file.write_all(&parked.state)?;
    let name = format!("{CONNECTION}{number}");
    manager.store(&name, &[parked.socket.as_fd(), file.as_fd()]);
    Ok(())
}

/// The name under which the manager keeps a listening socket: neither colons nor
/// more than 255 characters.
pub(crate) fn name_of(address: &str) -> String {
    let mut name = LISTENING.to_owned();
    for byte in address.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' => {
                name.push(byte.into());
            }
            other => name += &format!("%{other:02X}"),
        }
    }
    name.truncate(255);
    name
}

impl Sockets {
    /// The one that listens there.
    pub(crate) fn take(&mut self, address: &Address) -> Option<OwnedFd> {
        let at = self
            .waiting
            .iter()
            .position(|s| same(&s.address, address))?;
        let taken = self.waiting.swap_remove(at);
        match taken.name.starts_with(LISTENING) {
            true => self.kept.push(taken.name),
            false => self.of_units.push(address.clone()),
        }
        Some(taken.socket)
    }

    /// Whether the socket there will be passed to the next process in any case.
    pub(crate) fn is_of_unit(&self, address: &Address) -> bool {
        self.of_units.contains(address)
    }

    /// Whether the manager keeps one of this name since an earlier process.
    pub(crate) fn is_kept(&self, name: &str) -> bool {
        self.kept.iter().any(|kept| kept == name)
    }

    /// Where the one of this name listens; it stays to be taken.
    pub(crate) fn named(&self, name: &str) -> Option<NbdAddress> {
        let socket = self.waiting.iter().find(|s| s.name == name)?;
        Some(match &socket.address {
            Address::Unix(path) => NbdAddress::Unix(path.clone()),
            Address::Tcp { host, port } => NbdAddress::Tcp {
                host: host.clone(),
                port: *port,
            },
        })
    }

    /// The control socket.
    pub(crate) fn control(&mut self) -> Option<OwnedFd> {
        let at = self.waiting.iter().position(|s| s.name == CONTROL)?;
        Some(self.waiting.swap_remove(at).socket)
    }

    /// Closes those that nobody wants, and says which.
    pub(crate) fn close(&mut self, manager: Manager) {
        for Socket { name, address, .. } in self.waiting.drain(..) {
            if name.starts_with(LISTENING) {
                manager.forget(&name);
            }
            tracing::warn!("socket {name:?} at {address} was passed, and no export is there");
        }
    }
}

/// Whether two addresses are one, as far as can be told without asking a resolver.
fn same(one: &Address, other: &Address) -> bool {
    let ip = |host: &str| match host {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        host => host.parse().ok(),
    };
    match (one, other) {
        (Address::Tcp { host: a, port: p }, Address::Tcp { host: b, port: q }) => {
            p == q && ip(a).is_some() && ip(a) == ip(b)
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_a_manager_takes() {
        assert_eq!(
            name_of("unix:/run/vcp/d 0.sock"),
            "vcp-nbd=unix%3A/run/vcp/d%200.sock"
        );
        assert_eq!(
            name_of("tcp:[::1]:10809"),
            "vcp-nbd=tcp%3A%5B%3A%3A1%5D%3A10809"
        );
        assert_eq!(name_of(&"x".repeat(400)).len(), 255);
    }

    #[test]
    fn addresses_match_however_they_are_written() {
        let tcp = |host: &str, port| Address::Tcp {
            host: host.to_owned(),
            port,
        };
        assert!(same(&tcp("::1", 1), &tcp("0:0::1", 1)));
        assert!(same(&tcp("127.0.0.1", 1), &tcp("localhost", 1)));
        assert!(!same(&tcp("127.0.0.1", 1), &tcp("127.0.0.1", 2)));
        assert!(!same(&tcp("a", 1), &tcp("b", 1)));
        assert!(same(
            &Address::Unix("/a".into()),
            &Address::Unix("/a".into())
        ));
        assert!(!same(&Address::Unix("/a".into()), &tcp("::1", 1)));
    }
}
