//! Finds the TCP segment in an Ethernet frame, and decides which frames smoltcp may see
//! at all. It reads only headers and changes nothing.

use core::net::IpAddr;
use core::ops::Range;

use smoltcp::wire::IpEndpoint;

const ETHERNET: usize = 14;
const TCP: u8 = 6;
/// Hop-by-hop, routing, fragment, authentication, destination options, mobility,
/// host identity, shim6.
const EXTENSION_HEADERS: [u8; 8] = [0, 43, 44, 51, 60, 135, 139, 140];

const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// The place of the TCP segment and its addresses in a frame, and fields of its header.
/// The ranges are inside the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tcp {
    pub(crate) ipv6: bool,
    /// Source and destination address, side by side.
    pub(crate) addresses: Range<usize>,
    /// The header and payload, without padding of the frame.
    pub(crate) segment: Range<usize>,
    /// The length of the TCP header, 20 to 60 bytes.
    pub(crate) header: usize,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) flags: u8,
}

/// The contents of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents {
    /// A TCP segment.
    Tcp(Tcp),
    /// Something else that the stack may look at.
    Other,
    /// A frame to drop: cut short, or of a kind that could carry a TCP segment
    /// past the checks above (fragments, extension headers).
    Refused,
}

/// Parses a frame.
pub(crate) fn parse(frame: &[u8]) -> Contents {
    let ethertype = match frame.get(12..ETHERNET) {
        Some(bytes) => u16::from_be_bytes([bytes[0], bytes[1]]),
        None => return Contents::Refused,
    };
    match ethertype {
        0x0800 => parse_ipv4(frame).unwrap_or(Contents::Refused),
        0x86dd => parse_ipv6(frame).unwrap_or(Contents::Refused),
        0x0806 => Contents::Other,
        _ => Contents::Refused,
    }
}

fn parse_ipv4(frame: &[u8]) -> Option<Contents> {
    let header = frame.get(ETHERNET..ETHERNET + 20)?;
    let header_len = usize::from(header[0] & 0x0f) * 4;
    let total = usize::from(be16(header, 2));
    let fragment = be16(header, 6) & 0x3fff != 0;
    let unspecified = header[12..16] == [0; 4];
    let whole = header[0] >> 4 == 4 && header_len >= 20 && total >= header_len;
    if !whole || fragment || unspecified || frame.len() - ETHERNET < total {
        return None;
    }
    if header[9] != TCP {
        return Some(Contents::Other);
    }
    let segment = ETHERNET + header_len..ETHERNET + total;
    parse_tcp(frame, false, ETHERNET + 12..ETHERNET + 20, segment)
}

fn parse_ipv6(frame: &[u8]) -> Option<Contents> {
    let header = frame.get(ETHERNET..ETHERNET + 40)?;
    let end = ETHERNET + 40 + usize::from(be16(header, 4));
    let loopback = header[24..39] == [0; 15];
    if header[0] >> 4 != 6
        || frame.len() < end
        || loopback
        || EXTENSION_HEADERS.contains(&header[6])
    {
        return None;
    }
    if header[6] != TCP {
        return Some(Contents::Other);
    }
    parse_tcp(frame, true, ETHERNET + 8..ETHERNET + 40, ETHERNET + 40..end)
}

fn parse_tcp(
    frame: &[u8],
    ipv6: bool,
    addresses: Range<usize>,
    segment: Range<usize>,
) -> Option<Contents> {
    let tcp = frame.get(segment.clone())?;
    let fixed = tcp.get(..20)?;
    let header = usize::from(fixed[12] >> 4) * 4;
    if header < 20 || header > tcp.len() {
        return None;
    }
    Some(Contents::Tcp(Tcp {
        ipv6,
        addresses,
        segment,
        header,
        source_port: be16(fixed, 0),
        destination_port: be16(fixed, 2),
        flags: fixed[13],
    }))
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The options of a SYN; of several of a kind the last counts, as with smoltcp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub(crate) mss: Option<u16>,
    pub(crate) window_scale: Option<u8>,
    pub(crate) sack_permitted: bool,
}

impl Tcp {
    /// The source and destination. `frame` is the parsed one, here and below.
    pub(crate) fn endpoints(&self, frame: &[u8]) -> (IpEndpoint, IpEndpoint) {
        let half = self.addresses.len() / 2;
        let at = |start: usize| {
            let bytes = &frame[start..start + half];
            match <[u8; 4]>::try_from(bytes) {
                Ok(v4) => IpAddr::from(v4),
                Err(_) => {
                    IpAddr::from(<[u8; 16]>::try_from(bytes).expect("an address is 4 or 16 bytes"))
                }
            }
        };
        let start = self.addresses.start;
        (
            IpEndpoint::new(at(start).into(), self.source_port),
            IpEndpoint::new(at(start + half).into(), self.destination_port),
        )
    }

    pub(crate) fn sequence(&self, frame: &[u8]) -> u32 {
        be32(frame, self.segment.start + 4)
    }

    pub(crate) fn acknowledgement(&self, frame: &[u8]) -> u32 {
        be32(frame, self.segment.start + 8)
    }

    /// The window field of the header, not scaled.
    pub(crate) fn window(&self, frame: &[u8]) -> u16 {
        be16(frame, self.segment.start + 14)
    }

    pub(crate) fn options(&self, frame: &[u8]) -> Options {
        let mut options = Options::default();
        let mut rest = &frame[self.segment.start + 20..self.segment.start + self.header];
        loop {
            rest = match *rest {
                [] | [0, ..] => return options,
                [1, ref next @ ..] => next,
                [_, length, ..] if length < 2 || usize::from(length) > rest.len() => {
                    return options;
                }
                [_, length, ..] => {
                    match rest[..usize::from(length)] {
                        [2, _, high, low] => options.mss = Some(u16::from_be_bytes([high, low])),
                        [3, _, shift] => options.window_scale = Some(shift),
                        [4, _] => options.sack_permitted = true,
                        _ => {}
                    }
                    &rest[usize::from(length)..]
                }
                [_] => return options,
            };
        }
    }

    pub(crate) fn payload(&self) -> usize {
        self.segment.len() - self.header
    }

    /// The number of sequence numbers that it occupies.
    pub(crate) fn sequence_length(&self) -> u32 {
        let flags = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        self.payload() as u32 + flags
    }

    /// The offsets in the frame of the blocks of a SACK option (RFC 2018 §3), each of two
    /// sequence numbers.
    pub(crate) fn sack_blocks(&self, frame: &[u8]) -> core::iter::StepBy<Range<usize>> {
        const SACK: u8 = 5;
        let end = self.segment.start + self.header;
        let mut at = self.segment.start + 20;
        while at + 1 < end {
            let length = usize::from(frame[at + 1]);
            at += match frame[at] {
                0 => break,
                1 => 1,
                SACK if length >= 10 && at + length <= end => {
                    return (at + 2..at + 2 + (length - 2) / 8 * 8).step_by(8);
                }
                _ if length < 2 => break,
                _ => length,
            };
        }
        (0..0).step_by(8)
    }

    /// Whether it is a SYN without ACK.
    pub(crate) fn opens(&self) -> bool {
        self.flags & (SYN | ACK) == SYN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn ipv4_syn() -> Vec<u8> {
        let mut frame = alloc::vec![0; 60];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[14] = 0x45;
        frame[16..18].copy_from_slice(&40u16.to_be_bytes());
        frame[23] = TCP;
        frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        frame[34..38].copy_from_slice(&[0x12, 0x34, 0x0c, 0xbc]);
        frame[46] = 5 << 4;
        frame[47] = SYN;
        frame
    }

    #[test]
    fn padding_is_no_payload() {
        let Contents::Tcp(tcp) = parse(&ipv4_syn()) else {
            panic!("no TCP")
        };
        assert_eq!((tcp.segment.clone(), tcp.payload()), (34..54, 0));
        assert_eq!((tcp.source_port, tcp.destination_port), (0x1234, 3260));
        assert!(tcp.opens());
    }

    #[test]
    fn fragments_and_extension_headers_are_refused() {
        for (at, value) in [(20, 0x20), (21, 1), (14, 0x44), (14, 0x46), (17, 19)] {
            let mut frame = ipv4_syn();
            frame[at] = value;
            // A header that is longer by options leaves less than a TCP header.
            assert_eq!(parse(&frame), Contents::Refused, "byte {at} = {value}");
        }
        let mut frame = alloc::vec![0; 94];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[14] = 0x60;
        frame[19] = 40;
        frame[20] = 0;
        frame[53] = 2;
        assert_eq!(parse(&frame), Contents::Refused);
        frame[20] = 58;
        frame[38] = 0xfe;
        assert_eq!(parse(&frame), Contents::Other);
    }

    proptest! {
        #[test]
        fn ranges_lie_inside_any_frame(
            mut frame in proptest::collection::vec(any::<u8>(), 0..120),
            v6 in any::<bool>(),
        ) {
            if frame.len() > 24 {
                frame[12..14].copy_from_slice(if v6 { &[0x86, 0xdd] } else { &[8, 0] });
                frame[14] = if v6 { 0x60 } else { 0x45 };
                frame[if v6 { 20 } else { 23 }] = TCP;
            }
            if let Contents::Tcp(tcp) = parse(&frame) {
                prop_assert!(tcp.segment.end <= frame.len());
                prop_assert!(tcp.addresses.end <= tcp.segment.start);
                prop_assert!(tcp.header <= tcp.segment.len());
            }
        }
    }
}
