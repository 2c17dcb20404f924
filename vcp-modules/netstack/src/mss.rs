//! Keeps segments to the link's MTU while smoltcp believes in a larger one.
//!
//! smoltcp 0.14 drops IPv6 packets over the interface's MTU even if the link
//! would segment them, and does not hand on the segment size of those it sends.
//! On a segmenting link the stack therefore tells smoltcp of an MTU of 65535 and
//! clamps the MSS option of SYNs both ways, as routers do: peers learn of the
//! link's MTU, and smoltcp cuts by what they offer, never above it. For IPv6 the
//! segment size of each flow is remembered here.

use alloc::vec::Vec;

use crate::headers::Tcp;

/// The most flows remembered; the oldest is dropped, and uses [`FALLBACK_IPV6`].
const FLOWS: usize = 64;
/// The segment size of every IPv6 path: 1280 less 60 bytes of headers.
const FALLBACK_IPV6: u16 = 1220;
/// The MSS that smoltcp assumes if none was announced, and the least it accepts.
const DEFAULT: u16 = 536;
const LEAST: u16 = 48;

struct Flow {
    peer: [u8; 16],
    peer_port: u16,
    local_port: u16,
    mss: u16,
}

/// The segment sizes of a link.
pub(crate) struct SegmentSizes {
    mtu: u16,
    flows: Vec<Flow>,
    next: usize,
}

impl SegmentSizes {
    pub(crate) fn new(mtu: u16) -> Self {
        SegmentSizes {
            mtu,
            flows: Vec::with_capacity(FLOWS),
            next: 0,
        }
    }

    /// The largest payload of an unsegmented frame without TCP options.
    pub(crate) fn limit(&self, ipv6: bool) -> u16 {
        self.mtu - if ipv6 { 60 } else { 40 }
    }

    /// Clamps the MSS that a received SYN announces, and remembers it.
    pub(crate) fn received(&mut self, frame: &mut [u8], tcp: &Tcp) {
        let limit = self.limit(tcp.ipv6);
        let announced = clamp(&mut frame[tcp.segment.clone()][20..tcp.header], limit);
        if !tcp.ipv6 {
            return;
        }
        let mss = match announced {
            None | Some(0) => DEFAULT.min(limit),
            Some(mss) => mss.max(LEAST),
        };
        let peer = address(frame, tcp.addresses.start);
        let (peer_port, local_port) = (tcp.source_port, tcp.destination_port);
        if let Some(flow) = self.find(&peer, peer_port, local_port) {
            flow.mss = mss;
            return;
        }
        let flow = Flow {
            peer,
            peer_port,
            local_port,
            mss,
        };
        if self.flows.len() < FLOWS {
            self.flows.push(flow);
        } else {
            self.flows[self.next] = flow;
            self.next = (self.next + 1) % FLOWS;
        }
    }

    /// Clamps the MSS that our own SYN announces.
    pub(crate) fn sent(&self, frame: &mut [u8], tcp: &Tcp) {
        clamp(
            &mut frame[tcp.segment.clone()][20..tcp.header],
            self.limit(tcp.ipv6),
        );
    }

    /// The payload bytes per segment of an IPv6 frame that smoltcp sends.
    pub(crate) fn of_ipv6(&mut self, frame: &[u8], tcp: &Tcp) -> u16 {
        let peer = address(frame, tcp.addresses.start + 16);
        let limit = self.limit(true);
        let known = self
            .find(&peer, tcp.destination_port, tcp.source_port)
            .map(|flow| flow.mss);
        known.unwrap_or(FALLBACK_IPV6.min(limit))
    }

    fn find(&mut self, peer: &[u8; 16], peer_port: u16, local_port: u16) -> Option<&mut Flow> {
        self.flows.iter_mut().find(|flow| {
            flow.peer_port == peer_port && flow.local_port == local_port && flow.peer == *peer
        })
    }
}

fn address(frame: &[u8], at: usize) -> [u8; 16] {
    frame[at..at + 16].try_into().expect("the range is 16 long")
}

/// Lowers the MSS option among TCP `options` to `limit`; returns its value.
fn clamp(options: &mut [u8], limit: u16) -> Option<u16> {
    let mut at = 0;
    while at < options.len() {
        match options[at] {
            0 => return None,
            1 => at += 1,
            kind => {
                let length = usize::from(*options.get(at + 1)?);
                if length < 2 || at + length > options.len() {
                    return None;
                }
                if kind == 2 && length == 4 {
                    let mss = u16::from_be_bytes([options[at + 2], options[at + 3]]).min(limit);
                    options[at + 2..at + 4].copy_from_slice(&mss.to_be_bytes());
                    return Some(mss);
                }
                at += length;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lowers_but_never_raises() {
        let mut options = [1, 3, 3, 7, 2, 4, 0xff, 0xc3, 0, 0, 0, 0];
        assert_eq!(clamp(&mut options, 1440), Some(1440));
        assert_eq!(&options[4..8], &[2, 4, 0x05, 0xa0]);
        assert_eq!(clamp(&mut options, 8000), Some(1440));
    }

    proptest! {
        #[test]
        fn any_options_end(mut options in proptest::collection::vec(any::<u8>(), 0..40)) {
            let before = options.clone();
            if clamp(&mut options, 1440).is_none() {
                prop_assert_eq!(before, options);
            }
        }
    }
}
