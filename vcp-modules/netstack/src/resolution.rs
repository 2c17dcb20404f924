//! Frames of address resolution (RFC 826, RFC 4861) that are made here rather than by
//! smoltcp: answers that fill its cache in advance, and questions that it would delay,
//! since it asks only one a second for all connections together.

use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    Icmpv6Packet, Icmpv6Repr, IpProtocol, IpRepr, Ipv6Repr, NdiscNeighborFlags, NdiscRepr,
};

type Mac = [u8; 6];

/// The answer of `hop` to us, who are `mac` and `local`, that its address is `neighbor`.
///
/// Empty, which is no frame, if the addresses are of different families; so is
/// [`question`].
pub(crate) fn answer(mac: Mac, local: IpAddr, neighbor: Mac, hop: IpAddr) -> Vec<u8> {
    match (hop, local) {
        (IpAddr::V4(hop), IpAddr::V4(local)) => {
            let reply = ArpRepr::EthernetIpv4 {
                operation: ArpOperation::Reply,
                source_hardware_addr: EthernetAddress(neighbor),
                source_protocol_addr: hop,
                target_hardware_addr: EthernetAddress(mac),
                target_protocol_addr: local,
            };
            arp_frame(neighbor, mac, &reply)
        }
        (IpAddr::V6(hop), IpAddr::V6(local)) => {
            let advertisement = NdiscRepr::NeighborAdvert {
                flags: NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE,
                target_addr: hop,
                lladdr: Some(EthernetAddress(neighbor).into()),
            };
            ndisc_frame(neighbor, mac, [hop, local], advertisement)
        }
        _ => Vec::new(),
    }
}

/// Our question for the Ethernet address of `hop`.
pub(crate) fn question(mac: Mac, local: IpAddr, hop: IpAddr) -> Vec<u8> {
    match (local, hop) {
        (IpAddr::V4(local), IpAddr::V4(hop)) => {
            let request = ArpRepr::EthernetIpv4 {
                operation: ArpOperation::Request,
                source_hardware_addr: EthernetAddress(mac),
                source_protocol_addr: local,
                target_hardware_addr: EthernetAddress::BROADCAST,
                target_protocol_addr: hop,
            };
            arp_frame(mac, [0xff; 6], &request)
        }
        (IpAddr::V6(local), IpAddr::V6(hop)) => {
            let solicitation = NdiscRepr::NeighborSolicit {
                target_addr: hop,
                lladdr: Some(EthernetAddress(mac).into()),
            };
            // This is the solicited-node group (RFC 4291 §2.7.1) and its Ethernet
            // address.
            let [.., x, y, z] = hop.octets();
            let low = [0xff00 | u16::from(x), u16::from_be_bytes([y, z])];
            let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, low[0], low[1]);
            let to = [0x33, 0x33, 0xff, x, y, z];
            ndisc_frame(mac, to, [local, group], solicitation)
        }
        _ => Vec::new(),
    }
}

/// An Ethernet frame with an IP header and an empty payload.
pub(crate) fn ip_frame(from: Mac, to: Mac, ip: &IpRepr) -> EthernetFrame<Vec<u8>> {
    let protocol = match ip {
        IpRepr::Ipv4(_) => EthernetProtocol::Ipv4,
        IpRepr::Ipv6(_) => EthernetProtocol::Ipv6,
    };
    let mut frame = ethernet(from, to, protocol, ip.buffer_len());
    ip.emit(frame.payload_mut(), &ChecksumCapabilities::default());
    frame
}

fn ethernet(
    from: Mac,
    to: Mac,
    protocol: EthernetProtocol,
    payload: usize,
) -> EthernetFrame<Vec<u8>> {
    let buffer = vec![0; EthernetFrame::<&[u8]>::buffer_len(payload)];
    let mut frame = EthernetFrame::new_unchecked(buffer);
    frame.set_src_addr(EthernetAddress(from));
    frame.set_dst_addr(EthernetAddress(to));
    frame.set_ethertype(protocol);
    frame
}

fn arp_frame(from: Mac, to: Mac, arp: &ArpRepr) -> Vec<u8> {
    let mut frame = ethernet(from, to, EthernetProtocol::Arp, arp.buffer_len());
    arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    frame.into_inner()
}

fn ndisc_frame(from: Mac, to: Mac, ends: [Ipv6Addr; 2], message: NdiscRepr<'_>) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(message);
    let ip = IpRepr::Ipv6(Ipv6Repr {
        src_addr: ends[0],
        dst_addr: ends[1],
        next_header: IpProtocol::Icmpv6,
        payload_len: message.buffer_len(),
        hop_limit: 255,
    });
    let mut frame = ip_frame(from, to, &ip);
    let mut packet = Icmpv6Packet::new_unchecked(&mut frame.payload_mut()[ip.header_len()..]);
    let checksums = ChecksumCapabilities::default();
    message.emit(&ends[0], &ends[1], &mut packet, &checksums);
    frame.into_inner()
}
