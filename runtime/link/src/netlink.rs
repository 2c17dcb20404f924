//! Asking the kernel about interfaces and setting them up: as much of rtnetlink
//! (rtnetlink(7)) as links need. Every request opens a socket of its own, in the
//! caller's network namespace.

use std::io;
use std::net::IpAddr;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

const ERROR: u16 = 2;
const NEW_LINK: u16 = libc::RTM_NEWLINK;
const GET_LINK: u16 = libc::RTM_GETLINK;
const NEW_ADDRESS: u16 = libc::RTM_NEWADDR;
const REQUEST_AND_ACK: u16 = 0x05;
const CREATE_OR_REPLACE: u16 = 0x500;
const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
/// Usable at once: no duplicate address detection on a link of two.
const NO_DAD: u8 = 0x02;
const UP: u32 = 1;
const HEADER: usize = 16;
const LINK_BODY: usize = 16;

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) up: bool,
    pub(crate) mtu: u32,
    /// Not all interfaces are Ethernet.
    pub(crate) mac: Option<[u8; 6]>,
}

/// Looks an interface up; `None` if there is none of this name.
pub(crate) fn interface(name: &str) -> io::Result<Option<Interface>> {
    let mut name = name.as_bytes().to_vec();
    name.push(0);
    match request(GET_LINK, 0, &[0; LINK_BODY], &[(LINK_NAME, &name)]) {
        Ok(Some(reply)) => {
            let malformed = || io::Error::from(io::ErrorKind::InvalidData);
            parse_link(&reply).ok_or_else(malformed).map(Some)
        }
        Ok(None) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Brings an interface up.
pub(crate) fn bring_up(index: u32) -> io::Result<()> {
    request(NEW_LINK, 0, &link_body(index, UP), &[]).map(drop)
}

/// Sets the MTU of an interface.
pub(crate) fn set_mtu(index: u32, mtu: u32) -> io::Result<()> {
    request(
        NEW_LINK,
        0,
        &link_body(index, 0),
        &[(LINK_MTU, &mtu.to_ne_bytes())],
    )
    .map(drop)
}

/// Gives an interface an address; one it has already is no error.
pub(crate) fn add_address(index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
    let (family, bytes) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    let mut body = vec![family as u8, prefix, NO_DAD, 0];
    body.extend_from_slice(&index.to_ne_bytes());
    let attributes: &[(u16, &[u8])] = &[(LOCAL, &bytes), (ADDRESS, &bytes)];
    request(NEW_ADDRESS, CREATE_OR_REPLACE, &body, attributes).map(drop)
}

/// `struct ifinfomsg`: sets those `flags` that are given, leaves the others.
fn link_body(index: u32, flags: u32) -> [u8; LINK_BODY] {
    let mut body = [0; LINK_BODY];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    body[12..16].copy_from_slice(&flags.to_ne_bytes());
    body
}

/// Sends one request and waits for its answer: the body of the first message
/// that is no acknowledgement, if there was one.
fn request(
    kind: u16,
    flags: u16,
    body: &[u8],
    attributes: &[(u16, &[u8])],
) -> io::Result<Option<Vec<u8>>> {
    let mut message = vec![0; HEADER];
    message[4..6].copy_from_slice(&kind.to_ne_bytes());
    message[6..8].copy_from_slice(&(REQUEST_AND_ACK | flags).to_ne_bytes());
    message[8..12].copy_from_slice(&1u32.to_ne_bytes());
    message.extend_from_slice(body);
    for (attribute, value) in attributes {
        message.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
        message.extend_from_slice(&attribute.to_ne_bytes());
        message.extend_from_slice(value);
        message.resize(message.len().next_multiple_of(4), 0);
    }
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());

    // Protocol 0 is NETLINK_ROUTE; an unconnected socket talks to the kernel.
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    send(&socket, &message, SendFlags::empty())?;
    let mut found = None;
    let mut buffer = vec![0; 32 << 10];
    loop {
        let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        let mut rest = &buffer[..length];
        while let Some((kind, body, next)) = next_message(rest) {
            if kind == ERROR {
                let code = body.get(..4).and_then(|code| code.try_into().ok());
                return match i32::from_ne_bytes(code.ok_or(io::ErrorKind::InvalidData)?) {
                    0 => Ok(found),
                    code => Err(io::Error::from_raw_os_error(-code)),
                };
            }
            found.get_or_insert_with(|| body.to_vec());
            rest = next;
        }
    }
}

/// Splits the first message off a datagram: kind, body, the rest.
fn next_message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let header = bytes.get(..HEADER)?;
    let length = u32::from_ne_bytes(header[..4].try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(header[4..6].try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, rest))
}

fn parse_link(body: &[u8]) -> Option<Interface> {
    let fixed = body.get(..LINK_BODY)?;
    let word = |at: usize| fixed[at..at + 4].try_into().map(u32::from_ne_bytes).ok();
    let mut interface = Interface {
        index: word(4)?,
        up: word(8)? & UP != 0,
        mtu: 0,
        mac: None,
    };
    let mut rest = &body[LINK_BODY..];
    while let Some(header) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let value = rest.get(4..length)?;
        match u16::from_ne_bytes([header[2], header[3]]) {
            LINK_ADDRESS => interface.mac = value.try_into().ok(),
            LINK_MTU => interface.mtu = u32::from_ne_bytes(value.try_into().ok()?),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_loopback_and_not_what_is_not_there() {
        let loopback = interface("lo").unwrap().unwrap();
        assert_eq!((loopback.index, loopback.mac), (1, Some([0; 6])));
        assert!(loopback.mtu >= 1500);
        assert_eq!(interface("vcp-none").unwrap(), None);
    }
}
