//! Addresses of NBD sockets and iSCSI targets. Names are not resolved here.

mod iscsi;
mod nbd;
mod zone;

pub use iscsi::{
    DEFAULT_PORT, DiscoveryUri, IscsiUri, Login, MAX_LUN, Portal, PortalHost, UriError,
};
pub use nbd::NbdAddress;

use std::net::Ipv6Addr;

/// Splits a text into a host, as it is written in front of `:PORT`, and the rest. An IPv4
/// address or a name is written as it is; an IPv6 address is in brackets, which are
/// removed. `None` when it is neither.
fn split_host(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        inside.parse::<Ipv6Addr>().ok()?;
        return Some((inside, after));
    }
    let end = text.find(':').unwrap_or(text.len());
    let (host, after) = text.split_at(end);
    let label = |l: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !l.is_empty() && l.len() <= 63 && l.chars().all(inner) && !l.starts_with('-')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    (host.len() <= 253 && name.split('.').all(label)).then_some((host, after))
}

/// Parses `:PORT`; decimal digits only.
fn parse_port(text: &str) -> Option<u16> {
    let digits = text.strip_prefix(':')?;
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}
