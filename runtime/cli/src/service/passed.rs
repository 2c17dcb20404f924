//! Descriptors that the service manager passes to this process (sd_listen_fds(3)):
//! sockets of its own socket units, and those that the former process stored there.
//!
//! This is the only module of the program with `unsafe` code: it makes a descriptor of a
//! number.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use vcp_config::NbdAddress;
use vcp_nbd::{Address, Server};

use super::manager::Manager;
use super::stored::Stored;

/// The prefix of a kept listening socket's name.
const LISTENING: &str = "vcp-nbd=";
/// The name of a control socket.
const CONTROL: &str = "control";

/// Listening sockets that were passed.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// Sockets that nobody has taken yet.
    waiting: Vec<Socket>,
    /// Sockets of socket units that have been taken. They stay here too: an export may go
    /// and come back, and its socket listens all the time.
    of_units: Vec<Socket>,
    /// The names of taken sockets that the manager keeps already.
    kept: Vec<String>,
}

#[derive(Debug)]
struct Socket {
    name: String,
    address: Address,
    socket: OwnedFd,
}

/// Takes the passed descriptors; to be called once, before anything else.
pub(super) fn take() -> Result<(Sockets, Stored)> {
    let passed = sd_notify::listen_fds_with_names().context("LISTEN_FDS")?;
    let mut sockets = Sockets::default();
    let mut stored = Stored::default();
    for (number, name) in passed {
        // SAFETY: the service manager has passed this process this open descriptor, as
        // LISTEN_PID and LISTEN_FDS say; this is called once, and nothing else here knows
        // of the descriptor.
        let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
        let Some(socket) = stored.take(&name, descriptor) else {
            continue;
        };
        match Server::address_of(socket.as_fd()) {
            Ok(address) => sockets.waiting.push(Socket {
                name,
                address,
                socket,
            }),
            Err(error) => tracing::warn!("descriptor {name:?} was passed: {error}; closed"),
        }
    }
    Ok((sockets, stored))
}

/// The name under which the manager keeps a listening socket: no colons, and at most 255
/// characters.
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
    /// Takes the socket that listens at this address.
    pub(crate) fn take(&mut self, address: &Address) -> Option<OwnedFd> {
        self.forget_replaced(address);
        let Some(at) = self.find(address) else {
            let of_unit = self.of_units.iter().find(|s| same(&s.address, address))?;
            return of_unit.socket.try_clone().ok();
        };
        let taken = self.waiting.swap_remove(at);
        if taken.name.starts_with(LISTENING) {
            self.kept.push(taken.name);
            return Some(taken.socket);
        }
        let socket = taken.socket.try_clone().ok()?;
        self.of_units.push(taken);
        Some(socket)
    }

    /// Forgets a kept socket whose path a socket unit, started since, has taken: clients
    /// that connect come to the unit's.
    fn forget_replaced(&mut self, address: &Address) {
        let (name, path) = (name_of(&address.to_string()), address.to_string());
        let of_unit = |s: &Socket| !s.name.starts_with(LISTENING) && same(&s.address, address);
        if !self.waiting.iter().any(of_unit) {
            return;
        }
        let kept = self.waiting.iter().position(|socket| socket.name == name);
        if let Some(kept) = kept {
            tracing::info!("{path}: the socket unit's from now on");
            self.kept.push(self.waiting.swap_remove(kept).name);
        }
    }

    /// The index of the waiting socket for this address. A kept socket has the configured
    /// address in its name, for example with a host's name, where the socket itself knows
    /// only a number.
    fn find(&self, address: &Address) -> Option<usize> {
        let name = name_of(&address.to_string());
        let mut waiting = self.waiting.iter();
        let by_name = waiting.position(|s| s.name == name);
        by_name.or_else(|| self.waiting.iter().position(|s| same(&s.address, address)))
    }

    /// Whether the socket there will be passed to the next process in any case.
    pub(crate) fn is_of_unit(&self, address: &Address) -> bool {
        self.of_units.iter().any(|s| s.address == *address)
    }

    /// The names of sockets, taken since the last call, that the manager keeps since an
    /// earlier process.
    pub(crate) fn kept(&mut self) -> Vec<String> {
        std::mem::take(&mut self.kept)
    }

    /// The address of the socket of this name, without taking it.
    pub(crate) fn named(&self, name: &str) -> Option<NbdAddress> {
        let mut all = self.waiting.iter().chain(&self.of_units);
        // The manager takes no name with a colon, and a socket unit none with a slash.
        let encoded = vcp_mount::file_name(name);
        let socket = all.find(|s| s.name == name || s.name == encoded)?;
        Some(match &socket.address {
            Address::Unix(path) => NbdAddress::Unix(path.clone()),
            Address::Tcp { host, port } => NbdAddress::Tcp {
                host: host.clone(),
                port: *port,
            },
        })
    }

    /// Takes the control socket.
    pub(crate) fn control(&mut self) -> Option<OwnedFd> {
        let at = self.waiting.iter().position(|s| s.name == CONTROL)?;
        Some(self.waiting.swap_remove(at).socket)
    }

    /// Closes and logs the sockets that nobody has taken.
    pub(crate) fn close(&mut self, manager: Manager) {
        for Socket { name, address, .. } in self.waiting.drain(..) {
            if name.starts_with(LISTENING) {
                manager.forget(&name);
            }
            tracing::warn!("socket {name:?} at {address} was passed, and no export is there");
        }
    }
}

/// Whether two addresses are the same, as far as can be told without a resolver.
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

    fn sockets(waiting: &[(&str, Address)]) -> Sockets {
        let socket = |(name, address): &(&str, Address)| Socket {
            name: (*name).to_owned(),
            address: address.clone(),
            socket: std::fs::File::open("/dev/null").unwrap().into(),
        };
        Sockets {
            waiting: waiting.iter().map(socket).collect(),
            ..Sockets::default()
        }
    }

    #[test]
    fn what_was_kept_is_found_by_the_name_of_a_machine() {
        let tcp = |host: &str| Address::Tcp {
            host: host.to_owned(),
            port: 10809,
        };
        let name = name_of("tcp:storage.example:10809");
        let mut sockets = sockets(&[(&name, tcp("192.0.2.1"))]);
        assert!(sockets.take(&tcp("other.example")).is_none());
        assert!(sockets.take(&tcp("storage.example")).is_some());
        assert_eq!(sockets.kept(), [name]);
        assert!(sockets.kept().is_empty(), "told once");
    }

    #[test]
    fn a_units_socket_comes_before_one_that_was_kept_for_its_path() {
        let address = Address::Unix("/run/vcp/disk0.sock".into());
        let kept = name_of("unix:/run/vcp/disk0.sock");
        for order in [[&*kept, "disk0"], ["disk0", &kept]] {
            let mut sockets = sockets(&order.map(|name| (name, address.clone())));
            assert!(sockets.take(&address).is_some());
            assert!(sockets.is_of_unit(&address));
            // The socket no longer listens, so the manager forgets it.
            assert_eq!(sockets.kept(), std::slice::from_ref(&kept));
            assert!(sockets.waiting.is_empty());
        }
    }

    #[test]
    fn a_units_socket_stays_that_of_its_name() {
        let address = Address::Unix("/run/vcp/disk0.sock".into());
        let mut sockets = sockets(&[("disk0", address.clone())]);
        let named = NbdAddress::Unix("/run/vcp/disk0.sock".into());
        assert_eq!(sockets.named("disk0"), Some(named.clone()));
        assert!(sockets.take(&address).is_some());
        assert_eq!(sockets.named("disk0"), Some(named), "once it is taken, too");
        assert!(sockets.is_of_unit(&address));
        assert!(sockets.take(&address).is_some(), "its export came back");
        assert!(sockets.kept().is_empty());
    }

    #[test]
    fn a_unit_can_name_any_export() {
        let address = Address::Unix("/run/vcp/d.sock".into());
        let sockets = sockets(&[("iqn.x%3Adisk%2F1", address)]);
        assert!(sockets.named("iqn.x:disk/1").is_some());
        assert!(sockets.named("iqn.x:disk/2").is_none());
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
