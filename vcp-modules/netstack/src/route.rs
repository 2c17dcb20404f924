//! The choice of the stack's address for a host, and of the next hop for its frames.

use core::net::{IpAddr, Ipv6Addr};

use smoltcp::wire::IpCidr;

use crate::config::{Config, MAX_ADDRESSES};

impl Config {
    /// The stack's addresses and their subnets.
    pub(crate) fn cidrs(&self) -> impl Iterator<Item = IpCidr> + '_ {
        let own = self.addresses.iter().copied();
        own.chain(self.link_local())
            .map(|(address, prefix)| IpCidr::new(address.into(), prefix))
    }

    /// The address that every IPv6 interface has to have (RFC 4291 §2.8), if none was
    /// given: a gateway or a target may be known only by such an address, and answers to
    /// no other.
    fn link_local(&self) -> Option<(IpAddr, u8)> {
        let given = self.addresses.iter().any(|(own, _)| is_link_local(*own));
        let wanted = self.has_ipv6() && !given && self.addresses.len() < MAX_ADDRESSES;
        let [a, b, c, d, e, f] = self.mac;
        // RFC 4291, appendix A.
        let identifier = [a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        let bits = (0xfe80 << 112) | u128::from(u64::from_be_bytes(identifier));
        wanted.then_some((Ipv6Addr::from_bits(bits).into(), 64))
    }

    pub(crate) fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(|(address, _)| address.is_ipv6())
    }

    /// The host on the link to which frames for `remote` are sent.
    pub(crate) fn next_hop(&self, remote: IpAddr) -> Option<IpAddr> {
        if self.cidrs().any(|cidr| cidr.contains_addr(&remote.into())) {
            return Some(remote);
        }
        // Beyond a gateway the same link-local address would be another host.
        let mut gateways = self.gateways.iter().copied();
        gateways.find(|gateway| gateway.is_ipv4() == remote.is_ipv4() && !is_link_local(remote))
    }

    /// The source address of a connection to `remote`, if that is an IPv6 address (RFC
    /// 6724 §5, rules 2 and 8): one of the same scope, then one with the most bits in
    /// common within its subnet, then the first.
    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        let IpAddr::V6(to) = remote else { return None };
        let mut best: Option<((bool, u32), IpAddr)> = None;
        for cidr in self.cidrs() {
            let own = IpAddr::from(cidr.address());
            let IpAddr::V6(from) = own else { continue };
            let common = (from.to_bits() ^ to.to_bits()).leading_zeros();
            let common = common.min(u32::from(cidr.prefix_len()));
            let rank = (is_link_local(own) == is_link_local(remote), common);
            if best.is_none_or(|(before, _)| rank > before) {
                best = Some((rank, own));
            }
        }
        best.map(|(_, own)| own)
    }
}

/// Whether an address is valid only on the link.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn config(addresses: &[(&str, u8)], gateways: &[&str]) -> Config {
        let mut config = Config::new([2, 0, 0, 0x12, 0x34, 0x56], 1500, 1);
        let own = addresses.iter().map(|(own, prefix)| (ip(own), *prefix));
        config.addresses = own.collect();
        config.gateways = gateways.iter().map(|gateway| ip(gateway)).collect();
        config
    }

    #[test]
    fn an_ipv6_interface_has_a_link_local_address() {
        let own = |config: &Config| {
            let own = config.cidrs().map(|cidr| IpAddr::from(cidr.address()));
            own.collect::<alloc::vec::Vec<_>>()
        };
        let made = ip("fe80::ff:fe12:3456");
        assert_eq!(own(&config(&[("fd07::1", 64)], &[])), [ip("fd07::1"), made]);
        assert_eq!(own(&config(&[("10.7.0.1", 24)], &[])), [ip("10.7.0.1")]);
        assert_eq!(own(&config(&[("fe80::1", 64)], &[])), [ip("fe80::1")]);
        let full = config(&[("fd07::1", 64); MAX_ADDRESSES], &[]);
        assert_eq!(own(&full).len(), MAX_ADDRESSES);
    }

    #[test]
    fn frames_go_to_the_host_or_to_a_gateway() {
        let config = config(
            &[("fd07::1", 64), ("10.7.0.1", 24)],
            &["fe80::1", "10.7.0.9"],
        );
        let hop = |remote: &str| config.next_hop(ip(remote));
        assert_eq!(hop("fd07::2"), Some(ip("fd07::2")));
        assert_eq!(hop("2001:db8::1"), Some(ip("fe80::1")));
        assert_eq!(hop("192.0.2.1"), Some(ip("10.7.0.9")));
        assert_eq!(hop("fe80::5"), Some(ip("fe80::5")));
        // The address belongs to another link, as far as can be told.
        assert_eq!(hop("fe80:0:0:1::5"), None);
    }

    #[test]
    fn the_source_is_of_the_same_scope() {
        let config = config(&[("2001:db8::1", 64), ("fd07::1", 64)], &["fe80::1"]);
        let from = |remote: &str| config.source_for(ip(remote));
        assert_eq!(from("fe80::1"), Some(ip("fe80::ff:fe12:3456")));
        assert_eq!(from("2001:db8::2"), Some(ip("2001:db8::1")));
        assert_eq!(from("fd07::2"), Some(ip("fd07::1")));
        // It shares more bits with fe80::, which must not leave the link.
        assert_eq!(from("fd99::2"), Some(ip("fd07::1")));
        assert_eq!(from("2a00::1"), Some(ip("2001:db8::1")));
        assert_eq!(from("10.0.0.1"), None);
    }
}
