//! A VCP's network: the link, and the VCP's addresses on it. Written as a `net` table, or
//! as `--link KIND[:NAME][,key=value…]`.

mod forms;
mod parts;
mod reach;
mod spec;
mod subnet;

pub use forms::{LinkForm, LinkOption};
pub(crate) use parts::is_interface_name;
pub use parts::{InterfaceAddress, LinkKind, Mac, Offload};
pub use subnet::Subnet;

use std::net::IpAddr;
use std::path::PathBuf;

use parts::is_unicast;

use crate::check;
use crate::error::{Invalid, did_you_mean};

/// The keys of a `net` table besides `link`, in the order they are printed.
pub(crate) const OPTIONS: [&str; 8] = [
    "address",
    "gateway",
    "mtu",
    "mac",
    "offload",
    "pcap",
    "host-address",
    "allow",
];

/// The link and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// The kind of link.
    pub link: LinkKind,
    /// The VCP's addresses, at least one unless the link is [`LinkKind::Host`].
    pub addresses: Vec<InterfaceAddress>,
    /// Default gateways, at most one for each family.
    pub gateways: Vec<IpAddr>,
    /// The largest IP packet in bytes; `None` for the link's own.
    pub mtu: Option<u16>,
    /// The VCP's Ethernet address; `None` for the link's choice.
    pub mac: Option<Mac>,
    /// How much of TCP is done below the VCP, if the link can.
    pub offload: Offload,
    /// The file for a capture of the link.
    pub pcap: Option<PathBuf>,
    /// Addresses to give the host's end of a TAP.
    pub host_addresses: Vec<InterfaceAddress>,
    /// Networks to which the VCP may connect besides its target, over [`LinkKind::Host`].
    pub allow: Vec<Subnet>,
}

impl Net {
    /// A link with nothing set.
    pub fn new(link: LinkKind) -> Self {
        Self {
            link,
            addresses: Vec::new(),
            gateways: Vec::new(),
            mtu: None,
            mac: None,
            offload: Offload::default(),
            pcap: None,
            host_addresses: Vec::new(),
            allow: Vec::new(),
        }
    }

    /// Sets one option from text. `address`, `gateway`, `host-address` and `allow` can be
    /// given several times; any other only once, which the caller has to ensure. The
    /// error continues `key: …`.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let text = |error: Invalid| error.to_string();
        match key {
            "address" => check::push(&mut self.addresses, value.parse().map_err(text)?)?,
            "host-address" => {
                check::push(&mut self.host_addresses, value.parse().map_err(text)?)?;
            }
            "allow" => check::push(&mut self.allow, value.parse()?)?,
            "gateway" => self.gateways.push(parse_ip(value).map_err(text)?),
            "mtu" => self.mtu = Some(parse_mtu(value).map_err(text)?),
            "mac" => self.mac = Some(value.parse().map_err(text)?),
            "offload" => self.offload = value.parse().map_err(text)?,
            "pcap" if value.is_empty() => return Err("expected a file name".into()),
            "pcap" => self.pcap = Some(PathBuf::from(value)),
            other => {
                let hint = did_you_mean(other, &OPTIONS);
                return Err(format!(
                    "unknown option{hint}; a link has: {}",
                    OPTIONS.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// Checks the parts together; the error has the key and the message.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        if self.link == LinkKind::Host {
            return self.check_host();
        }
        if !self.allow.is_empty() {
            let message = "only with link \"host\": over frames the VCP reaches all that is there";
            return Err(("allow", message.into()));
        }
        if self.addresses.is_empty() {
            let message =
                "missing; expected the VCP's own address on the link, such as \"10.77.0.2/24\"";
            return Err(("address", message.into()));
        }
        if let Some(twice) = repeated(self.addresses.iter().map(|a| a.address)) {
            return Err(("address", format!("{twice} is given twice")));
        }
        let v6 = self.addresses.iter().any(|a| a.address.is_ipv6());
        if v6 && self.mtu.is_some_and(|mtu| mtu < 1280) {
            return Err(("mtu", "expected at least 1280, as IPv6 requires".into()));
        }
        if !self.host_addresses.is_empty() && !matches!(self.link, LinkKind::Tap(_)) {
            let message = format!(
                "only a TAP has a host end to give an address, not {}",
                self.link
            );
            return Err(("host-address", message));
        }
        self.check_host_addresses()?;
        self.check_gateways()
    }

    fn check_host(&self) -> Result<(), (&'static str, String)> {
        let plain = Self {
            offload: self.offload,
            allow: self.allow.clone(),
            ..Self::new(LinkKind::Host)
        };
        let given = [
            (!self.addresses.is_empty(), "address"),
            (!self.gateways.is_empty(), "gateway"),
            (self.mtu != plain.mtu, "mtu"),
            (self.mac != plain.mac, "mac"),
            (self.pcap != plain.pcap, "pcap"),
            (!self.host_addresses.is_empty(), "host-address"),
        ];
        match given.iter().find(|(set, _)| *set) {
            Some((_, key)) => Err((
                key,
                "not with link \"host\", where the host's own TCP is used".into(),
            )),
            None => Ok(()),
        }
    }

    fn check_host_addresses(&self) -> Result<(), (&'static str, String)> {
        let all = self.host_addresses.iter().chain(&self.addresses);
        match repeated(all.map(|a| a.address)) {
            Some(twice) => Err((
                "host-address",
                format!("{twice} is given twice; host and VCP need different addresses"),
            )),
            None => Ok(()),
        }
    }

    fn check_gateways(&self) -> Result<(), (&'static str, String)> {
        for (index, gateway) in self.gateways.iter().enumerate() {
            let family = |other: &IpAddr| other.is_ipv4() == gateway.is_ipv4();
            if self.gateways[..index].iter().any(family) {
                return Err((
                    "gateway",
                    format!("{gateway} is a second one of its family"),
                ));
            }
            if !self.addresses.iter().any(|a| a.reaches(*gateway)) {
                return Err((
                    "gateway",
                    format!("{gateway} is outside the networks of the VCP's addresses"),
                ));
            }
            if self.addresses.iter().any(|a| a.address == *gateway) {
                return Err(("gateway", format!("{gateway} is the VCP's own address")));
            }
        }
        Ok(())
    }
}

fn repeated(addresses: impl Iterator<Item = IpAddr>) -> Option<IpAddr> {
    let mut seen = Vec::new();
    for address in addresses {
        if seen.contains(&address) {
            return Some(address);
        }
        seen.push(address);
    }
    None
}

fn parse_ip(text: &str) -> Result<IpAddr, Invalid> {
    text.parse::<IpAddr>()
        .ok()
        .filter(|ip| is_unicast(*ip))
        .ok_or_else(|| Invalid::new("an IPv4 or IPv6 address", text))
}

fn parse_mtu(text: &str) -> Result<u16, Invalid> {
    text.parse::<u16>()
        .ok()
        .filter(|mtu| *mtu >= 500)
        .ok_or_else(|| Invalid::new("a number of bytes from 500 to 65535", text))
}
