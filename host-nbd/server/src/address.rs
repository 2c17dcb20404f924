//! Where a server listens, and the NBD URIs (NetworkBlockDevice/nbd,
//! `doc/uri.md`) by which clients find its exports.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// The characters that are not escaped in a URI: unreserved ones, and the slash, which
/// needs no escape in a path or in the value of a query (RFC 3986 §3.3, §3.4).
const KEEP: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A unix socket at this path.
    Unix(PathBuf),
    /// A TCP socket.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// 0 to let the kernel choose.
        port: u16,
    },
}

impl Address {
    /// The URI of the export `name` at this address; an empty name means the default.
    #[must_use]
    pub fn uri(&self, name: &str) -> String {
        let name = percent_encode(name.as_bytes(), KEEP);
        match self {
            Self::Unix(path) => {
                let path = percent_encode(path.as_os_str().as_bytes(), KEEP);
                format!("nbd+unix:///{name}?socket={path}")
            }
            Self::Tcp { host, port } if host.contains(':') => {
                // The percent sign of a zone identifier is escaped too (RFC 6874).
                format!("nbd://[{}]:{port}/{name}", host.replace('%', "%25"))
            }
            Self::Tcp { host, port } => format!("nbd://{host}:{port}/{name}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp:[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_encoded() {
        let unix = Address::Unix("/run/a b/disk?0.sock".into());
        assert_eq!(
            unix.uri("disk 0"),
            "nbd+unix:///disk%200?socket=/run/a%20b/disk%3F0.sock"
        );
        assert_eq!(unix.uri(""), "nbd+unix:///?socket=/run/a%20b/disk%3F0.sock");
        let tcp = |host: &str| Address::Tcp {
            host: host.into(),
            port: 10809,
        };
        assert_eq!(
            tcp("localhost").uri("ü/#"),
            "nbd://localhost:10809/%C3%BC/%23"
        );
        assert_eq!(tcp("::1").uri("a"), "nbd://[::1]:10809/a");
        assert_eq!(
            tcp("fe80::1%eth0").uri("a"),
            "nbd://[fe80::1%25eth0]:10809/a"
        );
        assert_eq!(tcp("::1").to_string(), "tcp:[::1]:10809");
        assert_eq!(tcp("h").to_string(), "tcp:h:10809");
        assert_eq!(unix.to_string(), "unix:/run/a b/disk?0.sock");
    }
}
