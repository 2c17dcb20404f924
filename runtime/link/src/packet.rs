//! A packet socket on an interface of the host: the VCP is one more station on
//! that interface's network, with an Ethernet address of its own. The host itself
//! cannot be reached this way, unless the interface is one end of a veth pair.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use vcp_queue::{Checksum, Link, LinkProperties, Offload, Received};

use crate::error::{LinkError, LinkName};
use crate::netlink::{self, Interface};
use crate::segment::{self, Split};
use crate::spec::LinkSpec;
use crate::{frame, sys, vnet};

/// Memory for frames that wait, of which each takes more than its length: a few
/// hundred super-frames.
const RECEIVE_BUFFER: usize = 32 << 20;
const SEND_BUFFER: usize = 8 << 20;

/// A packet socket. Made by [`open`](crate::open).
#[derive(Debug)]
pub struct PacketLink {
    properties: LinkProperties,
    socket: OwnedFd,
    index: u32,
    /// Cuts up frames where there is no segmentation offload.
    wire: Option<AsOnAWire>,
}

/// Other programs of the host hand over unsegmented frames in any case; they are cut up
/// here. The segments that wait have to show on the descriptor, which is therefore an epoll
/// of the socket and of an eventfd that stands for them. It never polls writable, so a full
/// socket loses frames instead.
#[derive(Debug)]
struct AsOnAWire {
    split: Split,
    either: OwnedFd,
    waiting: OwnedFd,
}

impl PacketLink {
    pub(crate) fn open(spec: &LinkSpec) -> Result<Self, LinkError> {
        let link = spec.name();
        let interface = find(&link)?;
        let mtu = spec.mtu.unwrap_or(interface.mtu);
        if mtu > interface.mtu {
            let problem = format!("mtu {mtu} is more than the interface's {}", interface.mtu);
            return Err(LinkError::Options { link, problem });
        }
        let properties = LinkProperties {
            mac: spec.mac(),
            mtu,
            checksum_offload: spec.offload.checksum(),
            segmentation_offload: spec.offload.segmentation(),
        };
        let socket = open_socket(&link, &interface, properties.mac)?;
        let wire = match properties.segmentation_offload {
            true => None,
            false => Some(AsOnAWire::new(&socket).map_err(|error| link.refused("polling", error))?),
        };
        Ok(PacketLink {
            properties,
            socket,
            index: interface.index,
            wire,
        })
    }

    /// Reads one frame as the kernel has it. Frames from before the interface
    /// went down still come; then it is either down or gone.
    fn read(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, vnet::Header)>> {
        let mut header = [0; vnet::HEADER];
        let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(buffer)];
        match rustix::io::readv(&self.socket, &mut parts) {
            Ok(length) => Ok(Some((
                length.saturating_sub(vnet::HEADER),
                vnet::decode(&header),
            ))),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(rustix::io::Errno::NETDOWN) => {
                rustix::net::netdevice::index_to_name_inlined(&self.socket, self.index)?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

pub(crate) fn find(link: &LinkName) -> Result<Interface, LinkError> {
    let found =
        netlink::interface(&link.name).map_err(|error| link.refused("looking it up", error))?;
    let interface = found.ok_or_else(|| link.interface("there is no such interface"))?;
    if interface.mac.is_none_or(|mac| mac == [0; 6]) {
        return Err(link.interface("it is no Ethernet interface"));
    }
    if !interface.up {
        let hint = format!(
            "it is down; `ip link set dev {} up` brings it up",
            link.name
        );
        return Err(link.interface(hint));
    }
    Ok(interface)
}

fn open_socket(link: &LinkName, interface: &Interface, mac: [u8; 6]) -> Result<OwnedFd, LinkError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Protocol 0: nothing arrives before the filter is in place and it is bound.
    let socket =
        socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None).map_err(|error| {
            link.refused_with(
                "opening a packet socket",
                error.into(),
                "run as root or give CAP_NET_RAW",
            )
        })?;
    let set_up = || -> io::Result<()> {
        sys::set_packet_header(&socket)?;
        sys::ignore_outgoing(&socket)?;
        sys::attach_filter(&socket, &filter(mac))?;
        // Beyond the system's limits if we may, up to them if not.
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        }
        sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
        sys::join(&socket, interface.index, interface.mac != Some(mac))?;
        sys::bind_packet(&socket, interface.index)
    };
    set_up().map_err(|error| link.refused("setting up a packet socket", error))?;
    Ok(socket)
}

/// A classic BPF program that takes untagged frames for `mac` and for groups.
/// The kernel has taken VLAN tags off frames by now: without the first test, a
/// tagged frame would look like one of the untagged network.
fn filter(mac: [u8; 6]) -> [libc::sock_filter; 10] {
    let op = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let tagged = (libc::SKF_AD_OFF + libc::SKF_AD_VLAN_TAG_PRESENT) as u32;
    let high = u32::from_be_bytes([mac[0], mac[1], mac[2], mac[3]]);
    let low = u32::from(u16::from_be_bytes([mac[4], mac[5]]));
    [
        op(load | libc::BPF_B, 0, 0, tagged),
        op(equal, 0, 6, 0),
        op(load | libc::BPF_W, 0, 0, 0),
        op(equal, 0, 2, high),
        op(load | libc::BPF_H, 0, 0, 4),
        op(equal, 3, 0, low),
        op(load | libc::BPF_B, 0, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 1, 0, 1),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
        op(libc::BPF_RET | libc::BPF_K, 0, 0, 0x4_0000),
    ]
}

impl AsOnAWire {
    fn new(socket: &OwnedFd) -> io::Result<Self> {
        let either = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let waiting = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        for fd in [socket, &waiting] {
            epoll::add(
                &either,
                fd,
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN,
            )?;
        }
        Ok(AsOnAWire {
            split: Split::default(),
            either,
            waiting,
        })
    }

    /// Writes the next segment that waits to `buffer`.
    fn next(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let Some(length) = self.split.next(buffer) else {
            return Ok(None);
        };
        if self.split.is_empty() {
            rustix::io::read(&self.waiting, &mut [0; 8])?;
        }
        Ok(Some(Received {
            length,
            checksum: Checksum::Verified,
        }))
    }

    /// Takes a frame of many segments, which wait from now on.
    fn start(&mut self, frame: &[u8], size: u16) -> io::Result<()> {
        if self.split.start(frame, size) {
            rustix::io::write(&self.waiting, &1u64.to_ne_bytes())?;
        }
        Ok(())
    }
}

impl Link for PacketLink {
    fn properties(&self) -> &LinkProperties {
        &self.properties
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.wire {
            Some(wire) => wire.either.as_fd(),
            None => self.socket.as_fd(),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        loop {
            if let Some(wire) = &mut self.wire
                && let Some(received) = wire.next(buffer)?
            {
                return Ok(Some(received));
            }
            let Some((length, header)) = self.read(buffer)? else {
                return Ok(None);
            };
            let mut received = Received {
                length,
                checksum: header.checksum,
            };
            if let Some(wire) = &mut self.wire
                && header.segment_size > 0
            {
                wire.start(&buffer[..length], header.segment_size)?;
                continue;
            }
            if header.checksum == Checksum::Partial && !self.properties.checksum_offload {
                let (start, field) = (header.checksum_start, header.checksum_field);
                segment::complete_checksum(&mut buffer[..length], start, field);
                received.checksum = Checksum::Unverified;
            }
            return Ok(Some(received));
        }
    }

    fn send(&mut self, frame: &[u8], offload: Offload) -> io::Result<bool> {
        if !frame::sendable(&self.properties, frame, offload) {
            return Ok(true);
        }
        let header = vnet::encode(frame, offload);
        let parts = [IoSlice::new(&header), IoSlice::new(frame)];
        let taken = frame::sent(rustix::io::writev(&self.socket, &parts).map_err(io::Error::from))?;
        Ok(taken || self.wire.is_some())
    }
}
