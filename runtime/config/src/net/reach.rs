//! Whether a link can reach a target.

use std::net::IpAddr;

use super::{LinkKind, Net};
use crate::address::{Portal, PortalHost};

impl Net {
    /// Checks that this portal can be reached over this link, as far as the configuration
    /// tells. Whether a name's address can be reached is known only later.
    pub fn leads_to(&self, portal: &Portal) -> Result<(), String> {
        let PortalHost::Address(target) = portal.host else {
            return Ok(());
        };
        if !self.has_family_of(target) {
            let family = if target.is_ipv4() { "IPv4" } else { "IPv6" };
            return Err(format!(
                "{target} can't be reached: net.address has no {family} address"
            ));
        }
        match (&self.link, portal.zone.as_deref()) {
            (LinkKind::Host, None) if is_link_local(target) => Err(format!(
                "{target} is on every interface: expected the one that is meant, \
                 as in [{target}%eth0]"
            )),
            (LinkKind::Host, _) | (_, None) => Ok(()),
            // Traffic over a link is on its interface; an in-memory wire has none.
            (link, Some(zone)) => match link.interface() {
                Some(interface) if interface != zone => Err(format!(
                    "[{target}%{zone}] can't be reached: the link {link} is another interface"
                )),
                _ => Ok(()),
            },
        }
    }

    /// Whether the VCP has an address of the same family, or uses the host's.
    fn has_family_of(&self, other: IpAddr) -> bool {
        let same = |own: &super::InterfaceAddress| own.address.is_ipv4() == other.is_ipv4();
        self.link == LinkKind::Host || self.addresses.iter().any(same)
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_the_interface_of_the_link() {
        let leads = |link: &str, portal: &str| {
            let net: Net = link.parse().unwrap();
            net.leads_to(&portal.parse().unwrap())
        };
        let eth0 = "packet:eth0,address=fd00::2/64";
        assert_eq!(leads(eth0, "[fe80::1%25eth0]"), Ok(()));
        assert_eq!(leads(eth0, "[fe80::1%eth0]:3261"), Ok(()));
        assert_eq!(leads(eth0, "[fe80::1]"), Ok(()));
        assert_eq!(
            leads(eth0, "[fe80::1%eth1]").unwrap_err(),
            "[fe80::1%eth1] can't be reached: the link packet:eth0 is another interface"
        );
        // An in-memory wire's name is not that of an interface.
        assert_eq!(leads("pipe:w,address=fe80::2/64", "[fe80::1%eth1]"), Ok(()));
        assert_eq!(
            leads("tap:eth0,address=10.0.0.2/24", "[fe80::1%eth0]").unwrap_err(),
            "fe80::1 can't be reached: net.address has no IPv6 address"
        );
    }

    #[test]
    fn the_hosts_own_tcp_needs_the_interface() {
        let leads = |portal: &str| Net::new(LinkKind::Host).leads_to(&portal.parse().unwrap());
        assert_eq!(leads("[fe80::1%eth0]"), Ok(()));
        assert_eq!(leads("10.0.0.1"), Ok(()));
        assert_eq!(leads("[fd00::1]"), Ok(()));
        assert_eq!(
            leads("[fe80::1]").unwrap_err(),
            "fe80::1 is on every interface: expected the one that is meant, as in [fe80::1%eth0]"
        );
    }
}
