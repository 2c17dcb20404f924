//! The addresses of NBD exports.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::{parse_port, split_host};
use crate::error::Invalid;

/// A listening address: `unix:PATH` or `tcp:HOST:PORT`, an IPv6 host in
/// brackets. Port 0 lets the kernel choose one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NbdAddress {
    /// A unix socket at this path.
    Unix(PathBuf),
    /// A TCP socket.
    Tcp {
        /// A name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// The port; 0 for any.
        port: u16,
    },
}

const EXPECTED: &str = "an NBD address, \"unix:PATH\" or \"tcp:HOST:PORT\" (IPv6 in brackets)";

/// `sun_path` holds 108 bytes with its terminating 0.
const EXPECTED_UNIX: &str = "\"unix:PATH\" with a path of 1 to 107 bytes";

impl FromStr for NbdAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(path) = text.strip_prefix("unix:") {
            let fits = (1..=107).contains(&path.len()) && !path.contains('\0');
            return fits
                .then(|| Self::Unix(PathBuf::from(path)))
                .ok_or_else(|| Invalid::new(EXPECTED_UNIX, text));
        }
        let tcp = || {
            let (host, after) = split_host(text.strip_prefix("tcp:")?)?;
            let host = host.to_owned();
            let port = parse_port(after)?;
            Some(Self::Tcp { host, port })
        };
        tcp().ok_or_else(|| Invalid::new(EXPECTED, text))
    }
}

impl fmt::Display for NbdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NbdAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            NbdAddress::Tcp { host, port } if host.contains(':') => {
                write!(f, "tcp:[{host}]:{port}")
            }
            NbdAddress::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_address() {
        for bad in [
            "",
            "unix:",
            "tcp:",
            "tcp:host",
            "tcp:host:",
            "tcp::1",
            "tcp:::1:1",
            "tcp:[::1]",
            "tcp:host:65536",
            "tcp:host:+1",
            "tcp:a b:1",
            "tcp:[::g]:1",
            "nbd://x",
            "/run/x",
        ] {
            assert!(bad.parse::<NbdAddress>().is_err(), "{bad}");
        }
        assert!(
            format!("unix:/{}", "x".repeat(107))
                .parse::<NbdAddress>()
                .is_err()
        );
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(text in "(unix:[ -~]{1,107}|tcp:([a-z0-9.-]{1,20}|\\[[0-9a-f:]{2,8}\\]):[0-9]{1,5})") {
            if let Ok(address) = text.parse::<NbdAddress>() {
                prop_assert_eq!(address.to_string().parse::<NbdAddress>(), Ok(address));
            }
        }

        #[test]
        fn never_panics(text: String) {
            let _ = text.parse::<NbdAddress>().map(|a| a.to_string());
        }
    }
}
