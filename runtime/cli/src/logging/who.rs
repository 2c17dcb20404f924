//! The subject of a message, as its fields tell.
//!
//! A subject is identified by what it can't change at will: a TCP client by its address
//! without the port, over IPv6 by its network of 64 bits, and a client on a unix socket,
//! which only this user reaches, not by its process.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use tracing::field::{Field, Visit};

use super::text::{Cut, Shown};

/// The subject of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// Nothing in particular.
    Nobody,
    /// A client, which can be anyone who can connect.
    Client(String),
    /// Something configured: a VCP, an export, a device; or this user.
    Own(String),
    /// Subjects for which there is no room in the table.
    Others,
}

/// The relevant parts of a message.
#[derive(Default)]
pub(super) struct About {
    client: Option<String>,
    own: Option<String>,
    /// The beginning of the message.
    pub(super) message: String,
}

impl About {
    /// The subject; to be called once.
    pub(super) fn who(&mut self) -> Who {
        match (self.client.take(), self.own.take()) {
            (Some(name), _) => client(&name),
            (None, Some(own)) => Who::Own(own),
            (None, None) => Who::Nobody,
        }
    }

    fn take(&mut self, field: &Field, value: &str) {
        match field.name() {
            "client" | "peer" => self.client = Some(value.to_owned()),
            "vcp" | "export" | "device" => self.own = Some(Shown(value).to_string()),
            _ => {}
        }
    }
}

impl Visit for About {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "message" => {
                let mut cut = Cut::new(&mut self.message, 100);
                // Writing to a String never fails.
                let _ = write!(cut, "{value:?}").and_then(|()| cut.finish());
            }
            "client" | "peer" | "vcp" | "export" | "device" => {
                self.take(field, &format!("{value:?}"));
            }
            _ => {}
        }
    }
}

/// The subject for a client of this name.
fn client(name: &str) -> Who {
    if name.starts_with("unix") {
        return Who::Own("unix".to_owned());
    }
    match name.parse::<SocketAddr>().map(|at| at.ip().to_canonical()) {
        Ok(IpAddr::V4(address)) => Who::Client(format!("tcp:{address}")),
        Ok(IpAddr::V6(address)) => {
            let network = Ipv6Addr::from(u128::from(address) >> 64 << 64);
            Who::Client(format!("tcp:[{network}/64]"))
        }
        Err(_) => Who::Client(Shown(name).to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_go_by_what_they_can_not_change() {
        let tcp = |name, is: &str| assert_eq!(client(name), Who::Client(is.to_owned()));
        tcp("10.0.0.1:4444", "tcp:10.0.0.1");
        tcp("[::ffff:10.0.0.1]:4444", "tcp:10.0.0.1");
        tcp("[2001:db8:1:2:3::4]:10", "tcp:[2001:db8:1:2::/64]");
        tcp("else\n", "else\\n");
        assert_eq!(client("unix:pid:4711"), Who::Own("unix".to_owned()));
    }
}
