//! `--link KIND[:NAME][,key=value…]`: the `net` table on one line. A value
//! cannot contain a comma; a file name that does needs the configuration file.

use std::fmt;
use std::str::FromStr;

use super::Net;
use crate::error::OneLine;

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (link, options) = match text.split_once(',') {
            Some((link, options)) => (link, options.split(',').collect()),
            None => (text, Vec::new()),
        };
        let mut net = Net::new(link.parse().map_err(|e: crate::Invalid| e.to_string())?);
        let mut seen: Vec<&str> = Vec::new();
        for option in options {
            let (key, value) = option.split_once('=').ok_or_else(|| {
                format!(
                    "expected key=value after a comma, found {}",
                    crate::error::quote(option)
                )
            })?;
            let repeatable = ["address", "gateway", "host-address", "allow"].contains(&key);
            if seen.contains(&key) && !repeatable {
                return Err(format!("{}: given twice", OneLine(key)));
            }
            seen.push(key);
            net.set(key, value)
                .map_err(|message| format!("{}: {message}", OneLine(key)))?;
        }
        net.check()
            .map_err(|(key, message)| format!("{key}: {message}"))?;
        Ok(net)
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.link)?;
        for address in &self.addresses {
            write!(f, ",address={address}")?;
        }
        for gateway in &self.gateways {
            write!(f, ",gateway={gateway}")?;
        }
        if let Some(mtu) = self.mtu {
            write!(f, ",mtu={mtu}")?;
        }
        if let Some(mac) = self.mac {
            write!(f, ",mac={mac}")?;
        }
        if self.offload != Default::default() {
            write!(f, ",offload={}", self.offload)?;
        }
        if let Some(pcap) = &self.pcap {
            write!(f, ",pcap={}", pcap.display())?;
        }
        for address in &self.host_addresses {
            write!(f, ",host-address={address}")?;
        }
        for subnet in &self.allow {
            write!(f, ",allow={subnet}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{LinkKind, Offload};
    use proptest::prelude::*;

    #[test]
    fn reads_every_option() {
        let text = "tap:vcp0,address=10.77.0.2/24,address=fd77::2/64,gateway=10.77.0.1,gateway=fe80::1,\
                    mtu=9000,mac=02:00:00:00:00:01,offload=csum,pcap=/tmp/x.pcap,host-address=10.77.0.1/24";
        // The gateway may be the host's own end.
        let net: Net = text.parse().unwrap();
        assert_eq!(net.link, LinkKind::Tap("vcp0".into()));
        assert_eq!((net.addresses.len(), net.gateways.len()), (2, 2));
        assert_eq!((net.mtu, net.offload), (Some(9000), Offload::Csum));
        assert_eq!(net.to_string(), text);
    }

    #[test]
    fn the_hosts_tcp_may_be_allowed_networks() {
        let text = "host,allow=10.0.0.0/24,allow=fd00::/8";
        let net: Net = text.parse().unwrap();
        assert_eq!((&net.link, net.allow.len()), (&LinkKind::Host, 2));
        assert_eq!(net.to_string(), text);
    }

    #[test]
    fn frames_of_ipv4_may_be_small() {
        let net: Net = "tap:t,address=10.0.0.2/24,mtu=500".parse().unwrap();
        assert_eq!(net.mtu, Some(500));
    }

    #[test]
    fn every_refusal_names_the_option() {
        let cases = [
            (
                "wire:x",
                "expected a link, \"tap:NAME\", \"packet:IFACE\", \"macvtap:IFACE\", \"pipe:NAME\" or \"host\", found \"wire:x\"",
            ),
            (
                "tap:a/b",
                "expected an interface name of 1 to 15 bytes without \"/\", \":\" or spaces, found \"a/b\"",
            ),
            (
                "tap:t",
                "address: missing; expected the VCP's own address on the link, such as \"10.77.0.2/24\"",
            ),
            (
                "tap:t,address",
                "expected key=value after a comma, found \"address\"",
            ),
            (
                "tap:t,adress=1",
                "adress: unknown option (did you mean \"address\"?); a link has: address, gateway, mtu, mac, offload, pcap, host-address, allow",
            ),
            (
                "tap:t,a\n\n=1",
                "a\\n\\n: unknown option; a link has: address, gateway, mtu, mac, offload, pcap, host-address, allow",
            ),
            (
                "tap:t,address=10.0.0.2",
                "address: expected an address with its prefix, such as \"10.77.0.2/24\" or \"fd77::2/64\", found \"10.0.0.2\"",
            ),
            (
                "tap:t,address=10.0.0.2/24,address=10.0.0.2/24",
                "address: 10.0.0.2 is given twice",
            ),
            (
                "tap:t,address=10.0.0.2/24,gateway=10.0.1.1",
                "gateway: 10.0.1.1 is outside the networks of the VCP's addresses",
            ),
            (
                "tap:t,address=10.0.0.2/24,gateway=10.0.0.2",
                "gateway: 10.0.0.2 is the VCP's own address",
            ),
            (
                "tap:t,address=10.0.0.2/24,gateway=10.0.0.1,gateway=10.0.0.3",
                "gateway: 10.0.0.3 is a second one of its family",
            ),
            (
                "tap:t,address=10.0.0.2/24,mtu=499",
                "mtu: expected a number of bytes from 500 to 65535, found \"499\"",
            ),
            (
                "tap:t,address=fd00::2/64,mtu=1000",
                "mtu: expected at least 1280, as IPv6 requires",
            ),
            (
                "tap:t,address=10.0.0.2/24,mtu=900,mtu=900",
                "mtu: given twice",
            ),
            (
                "tap:t,address=10.0.0.2/24,mac=01:00:00:00:00:00",
                "mac: expected a unicast Ethernet address such as \"02:00:00:00:00:01\", found \"01:00:00:00:00:00\"",
            ),
            (
                "tap:t,address=10.0.0.2/24,offload=all",
                "offload: expected \"none\", \"csum\" or \"tso\", found \"all\"",
            ),
            (
                "tap:t,address=10.0.0.2/24,pcap=",
                "pcap: expected a file name",
            ),
            (
                "pipe:t,address=10.0.0.2/24,host-address=10.0.0.1/24",
                "host-address: only a TAP has a host end to give an address, not pipe:t",
            ),
            (
                "tap:t,address=10.0.0.2/24,host-address=10.0.0.2/24",
                "host-address: 10.0.0.2 is given twice; host and VCP need different addresses",
            ),
            (
                "host,allow=10.0.0.5/24",
                "allow: expected the first address of a network, found \"10.0.0.5/24\"; 10.0.0.0/24 is the one it is in",
            ),
            (
                "host,allow=",
                "allow: expected a network such as \"10.0.0.0/24\" or \"fd00::/8\", or an address without a prefix, found \"\"",
            ),
            (
                "tap:t,address=10.0.0.2/24,allow=10.0.0.0/24",
                "allow: only with link \"host\": over frames the VCP reaches all that is there",
            ),
            (
                "host,mtu=1500",
                "mtu: not with link \"host\", where the host's own TCP is used",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<Net>().unwrap_err(), message, "{text}");
        }
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(
            kind in "(tap|packet|macvtap|pipe):[a-z0-9]{1,15}",
            host in 1u8..200, prefix in 8u8..=24, v6: bool,
            mtu in proptest::option::of(1280u16..), offload in "(none|csum|tso)",
        ) {
            let v6 = if v6 { format!(",address=fd77::{host}/64,gateway=fe80::1") } else { String::new() };
            let mtu = mtu.map(|m| format!(",mtu={m}")).unwrap_or_default();
            let text = format!("{kind},address=10.7.0.{host}/{prefix}{v6},gateway=10.7.0.254{mtu},offload={offload}");
            let net: Net = text.parse().unwrap();
            prop_assert_eq!(net.to_string().parse::<Net>(), Ok(net));
        }

        #[test]
        fn never_panics(text in "(tap:x,)?\\PC{0,60}") {
            let _ = text.parse::<Net>();
        }
    }
}
