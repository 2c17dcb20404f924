//! A TAP interface: the host's kernel is the other end of the wire.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use vcp_queue::{Checksum, Link, LinkProperties, Offload, Received};

use crate::error::{LinkError, LinkName};
use crate::netlink::{self, Interface};
use crate::spec::{LinkSpec, Offloading};
use crate::{frame, sys, vnet};

const TUN: &str = "/dev/net/tun";

/// A TAP interface. Made by [`open`](crate::open).
#[derive(Debug)]
pub struct Tap {
    properties: LinkProperties,
    device: Device,
}

#[derive(Debug)]
enum Device {
    /// Whole frames, and nothing else.
    Plain(tun_tap::Iface),
    /// Frames with a virtio_net_hdr.
    Offloading(File),
}

impl Tap {
    pub(crate) fn open(spec: &LinkSpec) -> Result<Self, LinkError> {
        let link = spec.name();
        let existed = match spec.make {
            true => find(&link)?.is_some(),
            false => Self::look(&link).map(|_| true)?,
        };
        let device = Device::open(&link, spec.offload, existed)?;
        let gone = || link.interface("it vanished while it was set up");
        let interface = find(&link)?.ok_or_else(gone)?;
        let mtu = configure(&link, spec, &interface)?;
        let properties = LinkProperties {
            mac: spec.mac(),
            mtu,
            checksum_offload: spec.offload.checksum(),
            segmentation_offload: spec.offload.segmentation(),
        };
        Ok(Tap { properties, device })
    }

    /// Looks up an interface that has to be there already.
    pub(crate) fn look(link: &LinkName) -> Result<Interface, LinkError> {
        find(link)?.ok_or_else(|| link.interface("there is no such interface"))
    }
}

fn find(link: &LinkName) -> Result<Option<Interface>, LinkError> {
    netlink::interface(&link.name).map_err(|error| link.refused("looking it up", error))
}

impl Device {
    fn open(link: &LinkName, offload: Offloading, existed: bool) -> Result<Self, LinkError> {
        // It is opened here first, so that the two ways of being refused are told apart.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(TUN)
            .map_err(|error| refused_tun(link, error))?;
        let attached = |error| refused_attach(link, error, existed);
        let refused = |error| link.refused("setting up offload", error);
        if offload == Offloading::None {
            drop(file);
            let interface = tun_tap::Iface::without_packet_info(&link.name, tun_tap::Mode::Tap);
            let device = Device::Plain(interface.map_err(attached)?);
            // A persistent interface keeps what its last user set.
            sys::set_tap_offload(device.fd(), false, false).map_err(refused)?;
            rustix::io::ioctl_fionbio(device.fd(), true).map_err(|error| refused(error.into()))?;
            return Ok(device);
        }
        sys::attach_tap(&file, &link.name).map_err(attached)?;
        sys::set_tap_header(&file, vnet::HEADER).map_err(refused)?;
        sys::set_tap_offload(&file, true, offload.segmentation()).map_err(refused)?;
        Ok(Device::Offloading(file))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Device::Plain(interface) => sys::borrow(interface),
            Device::Offloading(file) => file.as_fd(),
        }
    }
}

fn refused_tun(link: &LinkName, error: io::Error) -> LinkError {
    let name = &link.name;
    match error.kind() {
        io::ErrorKind::NotFound => LinkError::NoTun { link: link.clone() },
        _ => link.refused_with(
            format!("opening {TUN}"),
            error,
            &format!(
                "run as root or give CAP_NET_ADMIN, or have an administrator make {TUN} accessible \
                 and create the interface with `ip tuntap add dev {name} mode tap user $USER`"
            ),
        ),
    }
}

fn refused_attach(link: &LinkName, error: io::Error, existed: bool) -> LinkError {
    let name = &link.name;
    match error.raw_os_error() {
        Some(libc::EBUSY) => link.interface("another program is using it"),
        Some(libc::EINVAL) if existed => {
            link.interface("the interface exists and is no TAP, or one of several queues")
        }
        _ if existed => link.refused_with(
            "attaching to the interface",
            error,
            &format!(
                "it belongs to another user; run as root or give CAP_NET_ADMIN, or have an \
                 administrator recreate it with `ip tuntap add dev {name} mode tap user $USER`"
            ),
        ),
        _ => link.refused_with(
            "creating the interface",
            error,
            &format!(
                "run as root or give CAP_NET_ADMIN, or have an administrator create it with \
                 `ip tuntap add dev {name} mode tap user $USER`"
            ),
        ),
    }
}

/// Makes the host's end as the spec wants it, leaving alone what is so already;
/// returns the MTU.
fn configure(link: &LinkName, spec: &LinkSpec, interface: &Interface) -> Result<u32, LinkError> {
    let (name, index) = (&link.name, interface.index);
    let wanted = spec.mtu.unwrap_or(interface.mtu);
    if wanted != interface.mtu {
        netlink::set_mtu(index, wanted).map_err(|error| {
            let hint =
                format!("an administrator can do it with `ip link set dev {name} mtu {wanted}`");
            link.refused_with(format!("setting its mtu to {wanted}"), error, &hint)
        })?;
    }
    for &(address, prefix) in &spec.host_addresses {
        match netlink::add_address(index, address, prefix) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_local(address) => {}
            result => result.map_err(|error| {
                let hint = format!(
                    "an administrator can do it with `ip address add {address}/{prefix} dev {name}`"
                );
                link.refused_with(
                    format!("giving it the address {address}/{prefix}"),
                    error,
                    &hint,
                )
            })?,
        }
    }
    if !interface.up {
        netlink::bring_up(index).map_err(|error| {
            let hint = format!("an administrator can do it with `ip link set dev {name} up`");
            link.refused_with("bringing it up", error, &hint)
        })?;
    }
    Ok(wanted)
}

/// Whether the host has the address already, so that giving it again is not needed.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

impl Link for Tap {
    fn properties(&self) -> &LinkProperties {
        &self.properties
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.device.fd()
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        let mut header = [0; vnet::HEADER];
        let (result, checksum) = match &self.device {
            Device::Plain(interface) => (interface.recv(buffer), Checksum::Unverified),
            Device::Offloading(file) => {
                let mut parts = [IoSliceMut::new(&mut header), IoSliceMut::new(buffer)];
                let result = rustix::io::readv(file, &mut parts);
                let length = result.map(|length| length.saturating_sub(vnet::HEADER));
                (
                    length.map_err(io::Error::from),
                    vnet::decode(&header).checksum,
                )
            }
        };
        match result {
            Ok(length) => Ok(Some(Received { length, checksum })),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send(&mut self, frame: &[u8], offload: Offload) -> io::Result<bool> {
        if !frame::sendable(&self.properties, frame, offload) {
            return Ok(true);
        }
        let result = match &self.device {
            Device::Plain(interface) => interface.send(frame),
            Device::Offloading(file) => {
                let header = vnet::encode(frame, offload);
                let parts = [IoSlice::new(&header), IoSlice::new(frame)];
                rustix::io::writev(file, &parts).map_err(io::Error::from)
            }
        };
        frame::sent(result)
    }
}
