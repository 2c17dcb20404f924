//! The description of a link, and the one function that opens it.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use vcp_queue::Link;

use crate::capture::Capture;
use crate::error::{LinkError, LinkName};
use crate::packet::PacketLink;
use crate::tap::Tap;

/// The description of a link. Text is not parsed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpec {
    /// What carries the frames.
    pub kind: LinkKind,
    /// How much of TCP the link does.
    pub offload: Offloading,
    /// Largest IP packet in bytes, 500 to 65535; `None` for the interface's own.
    /// A TAP's interface is set to it; for `packet` it must not be more than the
    /// interface's.
    pub mtu: Option<u32>,
    /// The VCP's Ethernet address; `None` for a random, locally administered one.
    pub mac: Option<[u8; 6]>,
    /// Addresses and prefix lengths to give the host's end of a TAP.
    pub host_addresses: Vec<(IpAddr, u8)>,
    /// Where to write a capture of the link.
    pub pcap: Option<PathBuf>,
    /// Bytes of each frame that the capture keeps.
    pub snap_length: u32,
    /// Whether a TAP interface that is not there is made; otherwise that is an error.
    pub make: bool,
}

/// What carries the frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkKind {
    /// The TAP interface of this name; see [`LinkSpec::make`].
    Tap(String),
    /// A packet socket on the interface of this name.
    Packet(String),
}

/// How much of TCP a link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Offloading {
    /// Nothing: frames are as on a wire.
    None,
    /// Checksums.
    Checksum,
    /// Checksums and segmentation.
    #[default]
    Segmentation,
}

impl Offloading {
    pub(crate) fn checksum(self) -> bool {
        self != Offloading::None
    }

    pub(crate) fn segmentation(self) -> bool {
        self == Offloading::Segmentation
    }
}

impl LinkSpec {
    /// A link of this kind with the defaults: full offload, random address, the
    /// interface's MTU, no capture.
    pub fn new(kind: LinkKind) -> Self {
        LinkSpec {
            kind,
            offload: Offloading::default(),
            mtu: None,
            mac: None,
            host_addresses: Vec::new(),
            pcap: None,
            snap_length: Capture::WHOLE,
            make: true,
        }
    }

    pub(crate) fn name(&self) -> LinkName {
        let (kind, name) = match &self.kind {
            LinkKind::Tap(name) => ("tap", name),
            LinkKind::Packet(name) => ("packet", name),
        };
        LinkName {
            kind,
            name: name.clone(),
        }
    }

    /// The VCP's address: the one asked for, or a random one.
    pub(crate) fn mac(&self) -> [u8; 6] {
        self.mac.unwrap_or_else(random_mac)
    }

    fn check(&self) -> Result<(), LinkError> {
        let link = self.name();
        link.check()?;
        let problem = match self {
            LinkSpec { mtu: Some(mtu), .. } if !(500..=65_535).contains(mtu) => {
                format!("mtu {mtu} is not between 500 and 65535")
            }
            LinkSpec { mac: Some(mac), .. } if mac[0] & 1 != 0 || *mac == [0; 6] => {
                "mac is no unicast Ethernet address".into()
            }
            LinkSpec {
                kind: LinkKind::Packet(_),
                host_addresses,
                ..
            } if !host_addresses.is_empty() => {
                "host-address is for tap links; the interface of a packet link is the host's own"
                    .into()
            }
            _ => return Ok(()),
        };
        Err(LinkError::Options { link, problem })
    }
}

/// Opens a link. Changes to interfaces that were there before are not undone; an interface
/// that it made goes with it.
pub fn open(spec: &LinkSpec) -> Result<Box<dyn Link>, LinkError> {
    open_with(spec, Capture::create)
}

/// Looks whether a link can be opened, as far as that can be seen without doing it: that
/// its description makes sense, and that its interface is there and fit. A TAP that is not
/// there is no error if it is to be made.
pub fn look(spec: &LinkSpec) -> Result<(), LinkError> {
    spec.check()?;
    match spec.kind {
        LinkKind::Tap(_) if spec.make => Ok(()),
        LinkKind::Tap(_) => Tap::look(&spec.name()).map(drop),
        LinkKind::Packet(_) => crate::packet::find(&spec.name()).map(drop),
    }
}

/// How a link is captured: to a new file, or to what is there already.
type Capturing = fn(Box<dyn Link>, &Path, u32, &str) -> io::Result<Capture>;

pub(crate) fn open_with(spec: &LinkSpec, capture: Capturing) -> Result<Box<dyn Link>, LinkError> {
    spec.check()?;
    let link: Box<dyn Link> = match spec.kind {
        LinkKind::Tap(_) => Box::new(Tap::open(spec)?),
        LinkKind::Packet(_) => Box::new(PacketLink::open(spec)?),
    };
    let Some(path) = &spec.pcap else {
        return Ok(link);
    };
    let name = spec.name();
    match capture(link, path, spec.snap_length, &name.to_string()) {
        Ok(link) => Ok(Box::new(link)),
        Err(source) => Err(LinkError::Capture {
            link: name,
            path: path.clone(),
            source,
        }),
    }
}

/// A locally administered unicast address. It need not be secret, only unlikely
/// to be another's.
pub fn random_mac() -> [u8; 6] {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one("mac").to_ne_bytes();
    [
        random[0] & 0xfc | 0x02,
        random[1],
        random[2],
        random[3],
        random[4],
        random[5],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_addresses_are_local_unicast_and_differ() {
        let macs = [random_mac(), random_mac(), random_mac()];
        assert!(macs.iter().all(|mac| mac[0] & 3 == 2));
        assert!(macs[0] != macs[1] && macs[1] != macs[2]);
    }

    #[test]
    fn contradictions_are_named() {
        let tap = LinkSpec::new(LinkKind::Tap("vcp0".into()));
        let packet = LinkSpec::new(LinkKind::Packet("eth0".into()));
        let cases = [
            (
                LinkSpec {
                    mtu: Some(499),
                    ..tap.clone()
                },
                "tap vcp0: mtu 499 is not between 500 and 65535",
            ),
            (
                LinkSpec {
                    mac: Some([1; 6]),
                    ..tap.clone()
                },
                "tap vcp0: mac is no unicast",
            ),
            (
                LinkSpec {
                    mac: Some([0; 6]),
                    ..packet.clone()
                },
                "packet eth0: mac is no unicast",
            ),
            (
                LinkSpec {
                    host_addresses: vec![([10, 0, 0, 1].into(), 24)],
                    ..packet
                },
                "packet eth0: host-address is for tap",
            ),
            (
                LinkSpec::new(LinkKind::Tap("a/b".into())),
                "tap a/b: the name has",
            ),
        ];
        for (spec, start) in cases {
            let error = open(&spec).err().expect("opened").to_string();
            assert!(error.starts_with(start), "{error}");
        }
    }
}
