//! The configuration of a stack, checked once when the stack is made.

use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::{EthernetAddress, IpAddress};
use thiserror::Error;

use crate::route::is_link_local;

/// The most addresses of a stack.
pub(crate) const MAX_ADDRESSES: usize = 8;

/// The congestion control of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Congestion {
    /// None: only the peer's window limits sending. For links that do not leave the
    /// machine.
    None,
    /// RFC 5681.
    Reno,
}

/// The configuration of a [`Stack`](crate::Stack). Times are in nanoseconds.
#[derive(Debug, Clone)]
pub struct Config {
    /// The stack's Ethernet address: unicast and not zero.
    pub mac: [u8; 6],
    /// The largest IP packet that the link carries unsegmented: 500 to 65535 bytes, at
    /// least 1280 with an IPv6 address.
    pub mtu: usize,
    /// Addresses and prefix lengths, 1 to 8. If there is an IPv6 address, but no
    /// link-local one among fewer than 8, a link-local one made of `mac` is added.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Default gateways, at most one for each family, each on the subnet of an address or
    /// link-local.
    pub gateways: Vec<IpAddr>,
    /// Whether the link completes TCP checksums.
    pub checksum_offload: bool,
    /// Whether the link cuts TCP frames into segments. Needs `checksum_offload`.
    pub segmentation_offload: bool,
    /// The seed of initial sequence numbers and local ports; different at each start.
    pub seed: u64,
    /// The bytes that each connection can hold received, 4 KiB to 64 MiB.
    pub receive_buffer: usize,
    /// The bytes that each connection can hold unacknowledged, 4 KiB to 64 MiB.
    pub send_buffer: usize,
    /// The bytes of frames that may wait to be sent, 128 KiB or more.
    pub arena: usize,
    /// The most connections at a time, including those that wait to be accepted.
    pub max_connections: usize,
    /// Congestion control.
    pub congestion: Congestion,
    /// The time after which a connection that is not established has failed.
    pub connect_timeout: u64,
    /// The silence of a peer after which a connection has failed.
    pub timeout: u64,
    /// The silence after which a keep-alive is sent. Less than `timeout`.
    pub keep_alive: u64,
    /// How long an acknowledgement may wait to be sent with data; 0: not at all, one is
    /// sent for each batch of frames.
    pub ack_delay: u64,
}

impl Config {
    /// A configuration with no addresses, no offloads and the defaults: 1 MiB
    /// buffers, 16 connections, Reno, 10 s to connect, 30 s of silence. The arena
    /// is 512 KiB, small enough to stay in the processor's cache between being
    /// filled and being sent.
    pub fn new(mac: [u8; 6], mtu: usize, seed: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        Config {
            mac,
            mtu,
            addresses: Vec::new(),
            gateways: Vec::new(),
            checksum_offload: false,
            segmentation_offload: false,
            seed,
            receive_buffer: 1 << 20,
            send_buffer: 1 << 20,
            arena: 512 << 10,
            max_connections: 16,
            congestion: Congestion::Reno,
            connect_timeout: 10 * SECOND,
            timeout: 30 * SECOND,
            keep_alive: 10 * SECOND,
            ack_delay: 0,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mac = EthernetAddress(self.mac);
        if !mac.is_unicast() || self.mac == [0; 6] {
            return Err(ConfigError::Mac(self.mac));
        }
        let least = if self.has_ipv6() { 1280 } else { 500 };
        if !(least..=65535).contains(&self.mtu) {
            return Err(ConfigError::Mtu {
                mtu: self.mtu,
                least,
            });
        }
        if self.addresses.is_empty() || self.addresses.len() > MAX_ADDRESSES {
            return Err(ConfigError::AddressCount(self.addresses.len()));
        }
        for &(address, prefix) in &self.addresses {
            check_address(address, prefix)?;
        }
        self.check_gateways()?;
        if self.segmentation_offload && !self.checksum_offload {
            return Err(ConfigError::Offload);
        }
        self.check_sizes()
    }

    fn check_gateways(&self) -> Result<(), ConfigError> {
        for (index, &gateway) in self.gateways.iter().enumerate() {
            let near = self.cidrs().any(|cidr| cidr.contains_addr(&gateway.into()));
            // Every link reaches link-local addresses.
            let local = is_link_local(gateway) && self.has_ipv6();
            if !(near || local) || !IpAddress::from(gateway).is_unicast() {
                return Err(ConfigError::GatewayOffLink(gateway));
            }
            if self.gateways[..index]
                .iter()
                .any(|other| other.is_ipv4() == gateway.is_ipv4())
            {
                return Err(ConfigError::SecondGateway(gateway));
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), ConfigError> {
        let sizes = [
            ("receive-buffer", self.receive_buffer, 4 << 10, 64 << 20),
            ("send-buffer", self.send_buffer, 4 << 10, 64 << 20),
            ("arena", self.arena, 128 << 10, 64 << 20),
            ("max-connections", self.max_connections, 1, 4096),
        ];
        for (name, value, least, most) in sizes {
            if !(least..=most).contains(&value) {
                return Err(ConfigError::Size {
                    name,
                    value,
                    least,
                    most,
                });
            }
        }
        if self.keep_alive == 0 || self.keep_alive >= self.timeout || self.connect_timeout == 0 {
            return Err(ConfigError::Timeouts);
        }
        Ok(())
    }
}

fn check_address(address: IpAddr, prefix: u8) -> Result<(), ConfigError> {
    let most = if address.is_ipv4() { 32 } else { 128 };
    if prefix > most {
        return Err(ConfigError::Prefix { address, prefix });
    }
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if !IpAddress::from(address).is_unicast() || address.is_loopback() || mapped {
        return Err(ConfigError::NotUnicast(address));
    }
    Ok(())
}

/// An error of a [`Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// The address has the group bit set, or is all zero.
    #[error("{} is no unicast Ethernet address", EthernetAddress(*.0))]
    Mac([u8; 6]),
    /// The MTU is out of range.
    #[error("an MTU of {mtu} is not between {least} and 65535")]
    Mtu {
        /// The configured MTU.
        mtu: usize,
        /// The least MTU: 500, or 1280 with IPv6.
        least: usize,
    },
    /// There are no addresses or too many.
    #[error("{0} addresses; between 1 and {MAX_ADDRESSES} can be used")]
    AddressCount(usize),
    /// The prefix is longer than the address.
    #[error("{address}/{prefix}: the prefix is longer than the address")]
    Prefix {
        /// The configured address.
        address: IpAddr,
        /// The configured prefix length.
        prefix: u8,
    },
    /// The address is multicast, loopback, unspecified or IPv4-mapped.
    #[error("{0} is not an address that a host can have")]
    NotUnicast(IpAddr),
    /// The gateway is on no subnet of an own address, and not link-local.
    #[error("gateway {0} is not on the subnet of any address")]
    GatewayOffLink(IpAddr),
    /// There is another gateway of this family.
    #[error("gateway {0} is the second of its family")]
    SecondGateway(IpAddr),
    /// Segmentation offload is set without checksum offload.
    #[error("segmentation offload needs checksum offload")]
    Offload,
    /// A size is out of range.
    #[error("{name} of {value} is not between {least} and {most}")]
    Size {
        /// The name of the size.
        name: &'static str,
        /// The configured value.
        value: usize,
        /// The least value.
        least: usize,
        /// The largest value.
        most: usize,
    },
    /// A time is zero, or keep-alive is not before the timeout.
    #[error("timeouts must not be 0, and keep-alive must be shorter than the timeout")]
    Timeouts,
}
