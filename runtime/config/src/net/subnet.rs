//! Networks that a VCP may connect to: `10.0.0.0/24`, `fd00::/8`, or one address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::error::{Invalid, quote};

/// A network: the addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subnet {
    /// The first address.
    pub address: IpAddr,
    /// The prefix length in bits, 0 to 32 or 128.
    pub prefix: u8,
}

const EXPECTED: &str =
    "a network such as \"10.0.0.0/24\" or \"fd00::/8\", or an address without a prefix";

impl FromStr for Subnet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || Invalid::new(EXPECTED, text).to_string();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| unknown())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                prefix.parse().map_err(|_| unknown())?
            }
            Some(_) => return Err(unknown()),
        };
        if prefix > bits {
            return Err(unknown());
        }
        let first = first(address, prefix);
        if first != address {
            let meant = Self {
                address: first,
                prefix,
            };
            return Err(format!(
                "expected the first address of a network, found {}; {meant} is the one it is in",
                quote(text)
            ));
        }
        Ok(Self { address, prefix })
    }
}

/// The first address that has the same first `prefix` bits.
fn first(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn networks_and_addresses() {
        let read = |text: &str| text.parse::<Subnet>().map(|subnet| subnet.to_string());
        for text in ["10.0.0.0/24", "fd00::/8", "0.0.0.0/0", "::/0", "::1/128"] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
        assert_eq!(read("10.0.0.9").as_deref(), Ok("10.0.0.9/32"));
        assert_eq!(read("fd00::9").as_deref(), Ok("fd00::9/128"));
        for bad in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "fd00::/129",
            "10.0.0.0/+8",
            "10.0/8",
            "x/8",
            "10.0.0.0/8/8",
        ] {
            let expected = format!("expected {EXPECTED}, found {bad:?}");
            assert_eq!(read(bad), Err(expected));
        }
    }

    #[test]
    fn an_address_inside_of_a_network_is_a_mistake() {
        let error = |text: &str| text.parse::<Subnet>().unwrap_err();
        assert_eq!(
            error("10.0.0.5/24"),
            "expected the first address of a network, found \"10.0.0.5/24\"; 10.0.0.0/24 is the one it is in"
        );
        assert_eq!(
            error("::1/0"),
            "expected the first address of a network, found \"::1/0\"; ::/0 is the one it is in"
        );
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(address: IpAddr, prefix in 0u8..=128) {
            let subnet = Subnet { address: first(address, prefix.min(32)), prefix: prefix.min(32) };
            prop_assert_eq!(subnet.to_string().parse(), Ok(subnet));
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Subnet>();
        }
    }
}
