//! The system calls for which there is no safe binding: setting up a TAP and a
//! packet socket. The only module of this crate with `unsafe`.
#![expect(unsafe_code, reason = "ioctl and setsockopt take untyped memory")]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

const TUN_OFFLOAD_CHECKSUM: libc::c_uint = libc::TUN_F_CSUM;
const TUN_OFFLOAD_SEGMENTATION: libc::c_uint =
    libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
/// `linux/if_packet.h`.
const PACKET_ADD_MEMBERSHIP: libc::c_int = 1;
const PACKET_VNET_HDR: libc::c_int = 15;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const PACKET_MR_PROMISC: libc::c_ushort = 1;
const PACKET_MR_ALLMULTI: libc::c_ushort = 2;

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Makes an open /dev/net/tun the TAP of this name (at most 15 bytes), whose
/// frames come with a virtio_net_hdr and without packet information.
pub(crate) fn attach_tap(tun: impl AsFd, name: &str) -> io::Result<()> {
    // SAFETY: ifreq is plain old data, for which zeroes are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes one ifreq, which outlives the call.
    check(unsafe {
        libc::ioctl(
            tun.as_fd().as_raw_fd(),
            libc::TUNSETIFF as _,
            &raw mut request,
        )
    })
}

/// The descriptor of an interface; `tun-tap` predates `AsFd`.
pub(crate) fn borrow(interface: &tun_tap::Iface) -> BorrowedFd<'_> {
    // SAFETY: the interface owns its descriptor and closes it only when dropped,
    // and the result cannot outlive this borrow of the interface.
    unsafe { BorrowedFd::borrow_raw(interface.as_raw_fd()) }
}

/// Sets the length of the virtio_net_hdr of a TAP.
pub(crate) fn set_tap_header(tun: impl AsFd, length: usize) -> io::Result<()> {
    let length = length as libc::c_int;
    // SAFETY: TUNSETVNETHDRSZ reads one int, which outlives the call.
    check(unsafe {
        libc::ioctl(
            tun.as_fd().as_raw_fd(),
            libc::TUNSETVNETHDRSZ as _,
            &raw const length,
        )
    })
}

/// Says which frames a TAP may hand over unfinished. The kernel takes the flags
/// in place of a pointer.
pub(crate) fn set_tap_offload(
    tun: impl AsFd,
    checksum: bool,
    segmentation: bool,
) -> io::Result<()> {
    let mut flags = 0;
    if checksum {
        flags |= TUN_OFFLOAD_CHECKSUM;
    }
    if segmentation {
        flags |= TUN_OFFLOAD_SEGMENTATION;
    }
    // SAFETY: TUNSETOFFLOAD takes its argument by value and touches no memory.
    check(unsafe {
        libc::ioctl(
            tun.as_fd().as_raw_fd(),
            libc::TUNSETOFFLOAD as _,
            libc::c_ulong::from(flags),
        )
    })
}

/// Sets an option of `T`'s size on a socket.
fn set_option<T: Copy>(
    socket: impl AsFd,
    level: libc::c_int,
    option: libc::c_int,
    value: T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of `value`, which outlives the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            length,
        )
    })
}

/// Has frames of a packet socket come and go with a virtio_net_hdr.
pub(crate) fn set_packet_header(socket: impl AsFd) -> io::Result<()> {
    set_option(socket, libc::SOL_PACKET, PACKET_VNET_HDR, 1 as libc::c_int)
}

/// Keeps frames that others send on the interface from a packet socket.
pub(crate) fn ignore_outgoing(socket: impl AsFd) -> io::Result<()> {
    set_option(
        socket,
        libc::SOL_PACKET,
        PACKET_IGNORE_OUTGOING,
        1 as libc::c_int,
    )
}

/// Has an interface take frames for every group, and if `promiscuous` for every
/// station, while the packet socket is open.
pub(crate) fn join(socket: impl AsFd, index: u32, promiscuous: bool) -> io::Result<()> {
    let request = libc::packet_mreq {
        mr_ifindex: index as libc::c_int,
        mr_type: if promiscuous {
            PACKET_MR_PROMISC
        } else {
            PACKET_MR_ALLMULTI
        },
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set_option(socket, libc::SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
}

/// Attaches a classic BPF program to a socket; the kernel checks and copies it.
pub(crate) fn attach_filter(socket: impl AsFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let length = program
        .len()
        .try_into()
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    // The kernel does not write through `filter`.
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
}

/// Binds a packet socket to an interface, for frames of every protocol.
pub(crate) fn bind_packet(socket: impl AsFd, index: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::c_ushort,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: index as libc::c_int,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes of `address`, which outlives the call.
    check(unsafe {
        libc::bind(
            socket.as_fd().as_raw_fd(),
            (&raw const address).cast(),
            length,
        )
    })
}
