//! The parts of a link's description; each prints the text that it parses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::Invalid;

/// The kind of a link, which carries frames or streams. The host decides whether a kind
/// is built in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// `tap:NAME`: a TAP interface of this name.
    Tap(String),
    /// `packet:IFACE`: a packet socket on this interface.
    Packet(String),
    /// `macvtap:IFACE`: a macvtap on this interface.
    Macvtap(String),
    /// `pipe:NAME`: an in-memory wire of this name.
    Pipe(String),
    /// `host`: no frames; the host's TCP carries streams.
    Host,
}

const EXPECTED_LINK: &str =
    "a link, \"tap:NAME\", \"packet:IFACE\", \"macvtap:IFACE\", \"pipe:NAME\" or \"host\"";

/// IFNAMSIZ is 16 with its terminating 0; the other rules are the kernel's
/// `dev_valid_name`, with control characters refused too.
const EXPECTED_INTERFACE: &str =
    "an interface name of 1 to 15 bytes without \"/\", \":\" or spaces";

/// Whether an interface can have this name, and the name fits into a link's description.
pub(crate) fn is_interface_name(name: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/:,".contains(c);
    (1..=15).contains(&name.len()) && !name.contains(odd) && name != "." && name != ".."
}

impl LinkKind {
    /// The interface to which the link belongs, if any.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Tap(name) | Self::Packet(name) | Self::Macvtap(name) => Some(name),
            Self::Pipe(_) | Self::Host => None,
        }
    }
}

impl FromStr for LinkKind {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "host" {
            return Ok(Self::Host);
        }
        let unknown = || Invalid::new(EXPECTED_LINK, text);
        let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
        let make = match kind {
            "tap" => Self::Tap,
            "packet" => Self::Packet,
            "macvtap" => Self::Macvtap,
            "pipe" => Self::Pipe,
            _ => return Err(unknown()),
        };
        is_interface_name(name)
            .then(|| make(name.to_owned()))
            .ok_or_else(|| Invalid::new(EXPECTED_INTERFACE, name))
    }
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkKind::Tap(name) => write!(f, "tap:{name}"),
            LinkKind::Packet(name) => write!(f, "packet:{name}"),
            LinkKind::Macvtap(name) => write!(f, "macvtap:{name}"),
            LinkKind::Pipe(name) => write!(f, "pipe:{name}"),
            LinkKind::Host => f.write_str("host"),
        }
    }
}

/// The parts of TCP that are done below the VCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Offload {
    /// Nothing.
    None,
    /// Checksums.
    Csum,
    /// Checksums and segmentation.
    #[default]
    Tso,
}

impl FromStr for Offload {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "none" => Ok(Self::None),
            "csum" => Ok(Self::Csum),
            "tso" => Ok(Self::Tso),
            other => Err(Invalid::new("\"none\", \"csum\" or \"tso\"", other)),
        }
    }
}

impl fmt::Display for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Offload::None => "none",
            Offload::Csum => "csum",
            Offload::Tso => "tso",
        })
    }
}

/// An address of an interface with the length of its network's prefix:
/// `10.77.0.2/24`, `fd77::2/64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InterfaceAddress {
    /// The address; unicast.
    pub address: IpAddr,
    /// The prefix length in bits, 1 to 32 or 128.
    pub prefix: u8,
}

impl InterfaceAddress {
    /// Whether `other` is on this address's network, or is any IPv6 link-local
    /// address, which every IPv6 interface reaches.
    pub fn reaches(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let same = (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.prefix);
                same || b.is_unicast_link_local()
            }
            _ => false,
        }
    }

    /// What the address stands for, if not a single machine: the first and the last
    /// address of an IPv4 network do (RFC 1122 §3.2.1.3). A network of two addresses has
    /// neither (RFC 3021), and that of one address has no other.
    /// 3021), and that of one address has no other.
    fn stands_for(&self) -> Option<&'static str> {
        let IpAddr::V4(address) = self.address else {
            return None;
        };
        let rest = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
        match address.to_bits() & rest {
            _ if rest <= 1 => None,
            0 => Some("the network itself"),
            host if host == rest => Some("its broadcast address"),
            _ => None,
        }
    }
}

impl FromStr for InterfaceAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok().filter(|ip| is_unicast(*ip))?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let plain = prefix.bytes().all(|b| b.is_ascii_digit());
            let prefix = prefix.parse::<u8>().ok()?;
            (plain && (1..=bits).contains(&prefix)).then_some(Self { address, prefix })
        };
        let parsed = parse().ok_or_else(|| {
            Invalid::new(
                "an address with its prefix, such as \"10.77.0.2/24\" or \"fd77::2/64\"",
                text,
            )
        })?;
        match parsed.stands_for() {
            None => Ok(parsed),
            Some(all) => Err(Invalid::new(
                format!(
                    "the address of one machine, and {} is {all}",
                    parsed.address
                ),
                text,
            )),
        }
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// A unicast Ethernet address: `02:00:00:00:00:01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Its bytes in the order they are sent.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for Mac {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let octet = |part: &str| {
            let hex = part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        };
        let octets: Option<Vec<u8>> = text.split(':').map(octet).collect();
        octets
            .and_then(|octets| <[u8; 6]>::try_from(octets).ok())
            .filter(|octets| octets[0] & 1 == 0 && *octets != [0; 6])
            .map(Self)
            .ok_or_else(|| {
                Invalid::new(
                    "a unicast Ethernet address such as \"02:00:00:00:00:01\"",
                    text,
                )
            })
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Whether a host can have this address on a link.
pub(super) fn is_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_unspecified() || ip.is_loopback() || ip.is_multicast() || broadcast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links() {
        let link = |text: &str| text.parse::<LinkKind>().ok();
        assert_eq!(link("tap:vcp0"), Some(LinkKind::Tap("vcp0".into())));
        assert_eq!(link("host"), Some(LinkKind::Host));
        for bad in [
            "",
            "tap",
            "tap:",
            "tap:a b",
            "tap:a/b",
            "wire:x",
            "host:",
            "tap:sixteen-letters0",
            "tap:..",
        ] {
            assert_eq!(link(bad), None, "{bad}");
        }
    }

    #[test]
    fn addresses() {
        let good = ["10.77.0.2/24", "fd77::2/64", "fe80::1/128", "10.0.0.1/32"];
        for text in good {
            assert_eq!(text.parse::<InterfaceAddress>().unwrap().to_string(), text);
        }
        let bad = [
            "",
            "10.0.0.1",
            "10.0.0.1/",
            "10.0.0.1/0",
            "10.0.0.1/33",
            "fd77::2/129",
            "0.0.0.0/8",
            "224.0.0.1/8",
            "127.0.0.1/8",
            "::/64",
            "ff02::1/64",
            "10.0.0.1/+8",
            "x/8",
            "255.255.255.255/8",
        ];
        for text in bad {
            assert!(text.parse::<InterfaceAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_ends_of_a_network_are_no_machines() {
        let error = |text: &str| text.parse::<InterfaceAddress>().map_err(|e| e.to_string());
        let expected = |what: &str, found: &str| {
            let expected = format!("expected the address of one machine, and {what}");
            Err(format!("{expected}, found {found:?}"))
        };
        for (text, what) in [
            ("10.0.0.0/24", "10.0.0.0 is the network itself"),
            ("10.0.0.255/24", "10.0.0.255 is its broadcast address"),
            ("10.0.0.4/30", "10.0.0.4 is the network itself"),
            ("10.0.0.7/30", "10.0.0.7 is its broadcast address"),
        ] {
            assert_eq!(error(text), expected(what, text));
        }
        for good in [
            "10.0.0.0/31",
            "10.0.0.1/31",
            "10.0.0.0/32",
            "10.0.0.255/32",
            "10.0.0.255/16",
            "fd77::/64",
        ] {
            assert!(error(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn ethernet_addresses() {
        assert_eq!(
            "02:00:00:00:00:0A".parse::<Mac>().unwrap().octets(),
            [2, 0, 0, 0, 0, 10]
        );
        for bad in [
            "",
            "02:00:00:00:00",
            "01:00:00:00:00:00",
            "00:00:00:00:00:00",
            "2:0:0:0:0:1",
            "02:00:00:00:00:01:00",
            "02:00:00:00:00:+1",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_reaches_its_own() {
        let own: InterfaceAddress = "10.77.0.2/24".parse().unwrap();
        assert!(own.reaches("10.77.0.1".parse().unwrap()));
        assert!(!own.reaches("10.77.1.1".parse().unwrap()));
        assert!(!own.reaches("fd00::1".parse().unwrap()));
        let own: InterfaceAddress = "fd77::2/64".parse().unwrap();
        assert!(own.reaches("fe80::1".parse().unwrap()));
        assert!(!own.reaches("fd78::1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn print_what_they_parse(address: IpAddr, prefix in 1u8..=128, octets: [u8; 6]) {
            if let Ok(address) = format!("{address}/{prefix}").parse::<InterfaceAddress>() {
                prop_assert_eq!(address.to_string().parse::<InterfaceAddress>(), Ok(address));
            }
            if let Ok(mac) = Mac(octets).to_string().parse::<Mac>() {
                prop_assert_eq!(mac.octets(), octets);
            }
        }

        #[test]
        fn never_panics(text: String) {
            let _ = text.parse::<LinkKind>().map(|l| l.to_string());
            let _ = (text.parse::<InterfaceAddress>(), text.parse::<Mac>());
        }
    }
}
