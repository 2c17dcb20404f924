//! The addresses that a VCP may connect to over the host's TCP. The grants are decided
//! elsewhere; here a guest's request is compared with them.

use std::net::IpAddr;

/// The addresses that a VCP may connect to, at any port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peers {
    networks: Vec<(IpAddr, u8)>,
    zone: Option<String>,
}

impl Peers {
    /// Allows one address, and no other.
    pub fn only(address: IpAddr) -> Self {
        let mut peers = Self::default();
        peers.allow(address, 128);
        peers
    }

    /// Allows all addresses with the first `prefix` bits of this one, too.
    pub fn allow(&mut self, address: IpAddr, prefix: u8) {
        self.networks.push((address.to_canonical(), prefix));
    }

    /// Takes link-local addresses for those of this interface, by name or number.
    #[must_use]
    pub fn on(mut self, interface: Option<String>) -> Self {
        self.zone = interface;
        self
    }

    /// The address that a guest means by `ADDRESS` or `ADDRESS%INTERFACE`, and its
    /// interface, if it may connect there. The error is one line.
    pub(crate) fn find(&self, wanted: &str) -> Result<(IpAddr, Option<&str>), String> {
        let (address, zone) = match wanted.split_once('%') {
            Some((address, zone)) => (address, Some(zone)),
            None => (wanted, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| "not an IP address".to_owned())?;
        // ::ffff:10.0.0.1 is 10.0.0.1, and connects there.
        let address = address.to_canonical();
        if zone.is_some() && zone != self.zone.as_deref() {
            return Err(format!(
                "connecting to {address} on another interface is not granted"
            ));
        }
        if !self.networks.iter().any(|network| has(*network, address)) {
            return Err(format!(
                "connecting to {address} is not granted; net.allow = [\"{address}\"] grants it"
            ));
        }
        let local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        Ok((address, self.zone.as_deref().filter(|_| local)))
    }
}

/// Whether the first bits of an address are the network's.
fn has((network, prefix): (IpAddr, u8), address: IpAddr) -> bool {
    let common = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    let bits = if network.is_ipv4() { 32 } else { 128 };
    common >= u32::from(prefix).min(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_is_granted_and_no_other() {
        let peers = Peers::only(ip("10.0.0.1"));
        assert_eq!(peers.find("10.0.0.1"), Ok((ip("10.0.0.1"), None)));
        assert_eq!(peers.find("::ffff:10.0.0.1"), Ok((ip("10.0.0.1"), None)));
        assert_eq!(
            peers.find("10.0.0.2").unwrap_err(),
            "connecting to 10.0.0.2 is not granted; net.allow = [\"10.0.0.2\"] grants it"
        );
        for other in ["::1", "127.0.0.1", "0.0.0.0", "::a00:1", "::ffff:10.0.0.2"] {
            peers.find(other).unwrap_err();
        }
        assert_eq!(peers.find("host").unwrap_err(), "not an IP address");
        Peers::default().find("10.0.0.1").unwrap_err();
    }

    #[test]
    fn networks_are_granted_to_their_last_address() {
        let mut peers = Peers::only(ip("192.0.2.1"));
        peers.allow(ip("10.0.0.0"), 23);
        peers.allow(ip("fd00::"), 8);
        for inside in [
            "192.0.2.1",
            "10.0.0.0",
            "10.0.1.255",
            "fd12::1",
            "fdff:ffff::",
        ] {
            assert_eq!(peers.find(inside), Ok((ip(inside), None)));
        }
        for outside in [
            "192.0.2.2",
            "10.0.2.0",
            "9.255.255.255",
            "fe00::1",
            "fc00::1",
        ] {
            peers.find(outside).unwrap_err();
        }
        peers.allow(ip("0.0.0.0"), 0);
        assert!(peers.find("8.8.8.8").is_ok() && peers.find("2001:db8::1").is_err());
    }

    #[test]
    fn link_local_addresses_are_of_one_interface() {
        let mut peers = Peers::only(ip("fe80::1")).on(Some("eth0".to_owned()));
        peers.allow(ip("fd00::"), 8);
        let there = Ok((ip("fe80::1"), Some("eth0")));
        assert_eq!(peers.find("fe80::1"), there);
        assert_eq!(peers.find("fe80::1%eth0"), there);
        assert_eq!(peers.find("fd00::1"), Ok((ip("fd00::1"), None)));
        assert_eq!(
            peers.find("fe80::1%eth1").unwrap_err(),
            "connecting to fe80::1 on another interface is not granted"
        );
        peers.find("fe80::2").unwrap_err();
        Peers::only(ip("fe80::1")).find("fe80::1%eth0").unwrap_err();
    }
}
