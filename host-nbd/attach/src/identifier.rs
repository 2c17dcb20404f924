//! The identifier that the kernel stores with each device: `NBD_ATTR_BACKEND_IDENTIFIER`,
//! shown in `/sys/block/nbdX/backend`. It has all that a host needs to know of a device
//! that its predecessor left, so that there is no state file that could be lost or be
//! wrong.

use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// The host and export that a device belongs to, and how it was attached.
///
/// ```text
/// vcp/1 export=disk0 connections=1 timeout=0 dead=300 device=90c3c10d5fa3a5b6 host=/etc/vcp/host.toml
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// The host; only one of that name runs at a time.
    pub host: String,
    /// The host's export.
    pub export: String,
    /// The number of the kernel's connections, dead or alive.
    pub connections: u32,
    /// The time limit for a request, in seconds; 0: none.
    pub timeout: u64,
    /// How long requests wait for another host, in seconds.
    pub dead_timeout: u64,
    /// Whether the device was attached read-only, even if the export is not.
    pub read_only: bool,
    /// A fingerprint of the device's identity: another disk in its place must not get its
    /// requests.
    pub device: u64,
}

impl Identifier {
    /// A fingerprint of a device's identity: FNV-1a, as it has to be the same in every
    /// version of this program.
    #[must_use]
    pub fn fingerprint(identity: &str) -> u64 {
        identity.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}

/// The characters of an export's name that are encoded: all but letters, digits and
/// these.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'_').remove(b'-');

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read_only = if self.read_only { " read-only" } else { "" };
        write!(
            f,
            "vcp/1 export={} connections={} timeout={} dead={}{read_only} device={:016x} host={}",
            percent_encode(self.export.as_bytes(), ENCODED),
            self.connections,
            self.timeout,
            self.dead_timeout,
            self.device,
            self.host
        )
    }
}

/// The identifier is not one of this program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not attached by vcp, or by another version")]
pub struct Foreign;

impl FromStr for Identifier {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let (head, host) = text.split_once(" host=").ok_or(Foreign)?;
        let mut words = head.split(' ');
        if words.next() != Some("vcp/1") || host.is_empty() {
            return Err(Foreign);
        }
        let mut next = |key: &str| words.next().and_then(|word| word.strip_prefix(key));
        let export = percent_decode_str(next("export=").ok_or(Foreign)?);
        let export = export.decode_utf8().map_err(|_| Foreign)?.into_owned();
        let connections = next("connections=").and_then(|n| n.parse().ok());
        let connections = connections.filter(|n| *n > 0).ok_or(Foreign)?;
        let mut seconds = |key| next(key).and_then(|n| n.parse().ok()).ok_or(Foreign);
        let (timeout, dead_timeout) = (seconds("timeout=")?, seconds("dead=")?);
        let mut word = words.next();
        let read_only = word == Some("read-only");
        if read_only {
            word = words.next();
        }
        let device = word.and_then(|word| word.strip_prefix("device="));
        let device = device.and_then(|hex| u64::from_str_radix(hex, 16).ok());
        match (device, words.next()) {
            (Some(device), None) => Ok(Self {
                host: host.to_owned(),
                export,
                connections,
                timeout,
                dead_timeout,
                read_only,
                device,
            }),
            _ => Err(Foreign),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_ours_is_foreign() {
        for text in [
            "",
            "disk0",
            "vcp/2 export=a connections=1 device=0 host=b",
            "vcp/1",
            "vcp/1 host=b",
            "vcp/1 export=a connections=1 device=0 host=b",
            "vcp/1 export=a connections=0 timeout=0 dead=1 device=0 host=b",
            "vcp/1 export=a connections=1 timeout=0 dead=x device=0 host=b",
            "vcp/1 export=a connections=1 timeout=0 dead=1 device=x host=b",
            "vcp/1 export=a connections=1 timeout=0 dead=1 device=0 more=1 host=b",
            "vcp/1 export=a connections=1 timeout=0 dead=1 device=0 host=",
        ] {
            assert_eq!(text.parse::<Identifier>(), Err(Foreign), "{text}");
        }
    }

    #[test]
    fn an_export_is_one_word_whatever_its_name_is() {
        let identifier = |export: &str| Identifier {
            host: "h".into(),
            export: export.into(),
            connections: 1,
            timeout: 0,
            dead_timeout: 1,
            read_only: false,
            device: 0,
        };
        let text = identifier("a host=b/ü%").to_string();
        assert!(
            text.starts_with("vcp/1 export=a%20host%3Db%2F%C3%BC%25 connections=1"),
            "{text}"
        );
        // The form that earlier versions wrote.
        let plain = identifier("a.b_c-0").to_string();
        assert!(
            plain.starts_with("vcp/1 export=a.b_c-0 connections=1"),
            "{plain}"
        );
        let broken = text.replace("%C3%BC", "%FF");
        assert_eq!(broken.parse::<Identifier>(), Err(Foreign));
    }

    #[test]
    fn a_fingerprint_never_changes() {
        // The values of the FNV-1a specification.
        assert_eq!(Identifier::fingerprint(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Identifier::fingerprint("foobar"), 0x8594_4171_f739_67e8);
    }

    proptest! {
        #[test]
        fn they_come_through(
            host in "[ -~]{1,60}", export in "[a-z0-9._-]{1,20}|\\PC{1,60}", connections in 1..64_u32,
            read_only: bool, device: u64, timeout: u64, dead_timeout: u64,
        ) {
            let identifier =
                Identifier { host, export, connections, timeout, dead_timeout, read_only, device };
            prop_assert_eq!(identifier.to_string().parse(), Ok(identifier));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = text.parse::<Identifier>();
        }
    }
}
