//! Finishing in software what a packet socket hands over unfinished, for a VCP
//! that was promised frames as they are on a wire: partial checksums and TCP
//! frames of many segments. TAPs never need this, their kernel side does it.

use std::ops::Range;

use crate::frame::ETHERNET;

const TCP: u8 = 6;
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

fn sum(data: &[u8], mut total: u64) -> u64 {
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        total += u64::from(u32::from_be_bytes(word.try_into().expect("chunks of 4")));
    }
    let mut last = [0; 4];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    total + u64::from(u32::from_be_bytes(last))
}

fn fold(mut total: u64) -> u16 {
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}

/// Completes a partial checksum: sums from `start`, and puts the result at
/// `field`. Leaves alone a frame that has no such places.
pub(crate) fn complete_checksum(frame: &mut [u8], start: usize, field: usize) {
    if start > field || field + 2 > frame.len() {
        return;
    }
    let check = match !fold(sum(&frame[start..], 0)) {
        // UDP keeps 0 for "none" (RFC 768); for TCP the two are the same.
        0 => 0xffff,
        check => check,
    };
    frame[field..field + 2].copy_from_slice(&check.to_be_bytes());
}

/// A TCP frame of many segments, on its way out one by one.
#[derive(Debug, Default)]
pub(crate) struct Split {
    frame: Vec<u8>,
    addresses: Range<usize>,
    tcp: usize,
    payload: usize,
    size: usize,
    /// Offset in the frame of the next segment's payload.
    next: usize,
}

impl Split {
    /// Takes a frame whose segments carry `size` bytes each. `false` if it is no
    /// TCP frame that can be cut; it had better be dropped.
    pub(crate) fn start(&mut self, frame: &[u8], size: u16) -> bool {
        let Some((addresses, tcp, payload, end)) = locate(frame) else {
            return false;
        };
        if size == 0 || payload >= end {
            return false;
        }
        self.frame.clear();
        self.frame.extend_from_slice(&frame[..end]);
        (self.addresses, self.tcp, self.payload) = (addresses, tcp, payload);
        (self.size, self.next) = (usize::from(size), payload);
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.next >= self.frame.len()
    }

    /// Writes the next segment, complete, to `out`, which holds any frame.
    /// Returns its length, or `None` when there is no more.
    pub(crate) fn next(&mut self, out: &mut [u8]) -> Option<usize> {
        if self.is_empty() {
            return None;
        }
        let (at, headers) = (self.next, self.payload);
        let end = (at + self.size).min(self.frame.len());
        let length = headers + end - at;
        let out = out.get_mut(..length)?;
        out[..headers].copy_from_slice(&self.frame[..headers]);
        out[headers..].copy_from_slice(&self.frame[at..end]);
        self.next = end;
        self.fix_ip(out, (at - headers) / self.size);
        self.fix_tcp(out, at - headers);
        Some(length)
    }

    fn fix_ip(&self, out: &mut [u8], index: usize) {
        if out[ETHERNET] >> 4 == 6 {
            let payload = (out.len() - ETHERNET - 40) as u16;
            out[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&payload.to_be_bytes());
            return;
        }
        let total = (out.len() - ETHERNET) as u16;
        let id =
            u16::from_be_bytes([out[ETHERNET + 4], out[ETHERNET + 5]]).wrapping_add(index as u16);
        out[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&total.to_be_bytes());
        out[ETHERNET + 4..ETHERNET + 6].copy_from_slice(&id.to_be_bytes());
        out[ETHERNET + 10..ETHERNET + 12].fill(0);
        let check = !fold(sum(&out[ETHERNET..self.tcp], 0));
        out[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&check.to_be_bytes());
    }

    fn fix_tcp(&self, out: &mut [u8], offset: usize) {
        let tcp = self.tcp;
        let field = out[tcp + 4..tcp + 8].try_into().expect("4 bytes");
        let sequence = u32::from_be_bytes(field).wrapping_add(offset as u32);
        out[tcp + 4..tcp + 8].copy_from_slice(&sequence.to_be_bytes());
        if offset > 0 {
            out[tcp + 13] &= !CWR;
        }
        if !self.is_empty() {
            out[tcp + 13] &= !FIN_PSH;
        }
        out[tcp + 16..tcp + 18].fill(0);
        let pseudo = sum(
            &out[self.addresses.clone()],
            u64::from(TCP) + (out.len() - tcp) as u64,
        );
        let check = !fold(sum(&out[tcp..], pseudo));
        out[tcp + 16..tcp + 18].copy_from_slice(&check.to_be_bytes());
    }
}

/// Finds the addresses of a TCP frame, the start of its TCP header and payload, and its end.
fn locate(frame: &[u8]) -> Option<(Range<usize>, usize, usize, usize)> {
    let be16 = |at: usize| {
        Some(usize::from(u16::from_be_bytes([
            *frame.get(at)?,
            *frame.get(at + 1)?,
        ])))
    };
    let (addresses, tcp, end, protocol) = match be16(12)? {
        0x0800 => {
            let header = usize::from(*frame.get(ETHERNET)? & 0x0f) * 4;
            let end = ETHERNET + be16(ETHERNET + 2)?;
            (
                ETHERNET + 12..ETHERNET + 20,
                ETHERNET + header.max(20),
                end,
                *frame.get(ETHERNET + 9)?,
            )
        }
        0x86dd => {
            let end = ETHERNET + 40 + be16(ETHERNET + 4)?;
            (
                ETHERNET + 8..ETHERNET + 40,
                ETHERNET + 40,
                end,
                *frame.get(ETHERNET + 6)?,
            )
        }
        _ => return None,
    };
    let payload = tcp + usize::from(*frame.get(tcp + 12)? >> 4) * 4;
    let whole = protocol == TCP && payload >= tcp + 20 && payload <= end && end <= frame.len();
    whole.then_some((addresses, tcp, payload, end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn super_frame(ipv6: bool, payload: usize) -> Vec<u8> {
        let tcp = if ipv6 { 54 } else { 34 };
        let mut frame = vec![0; tcp + 20];
        frame.extend((0..payload).map(|at| (at / 7) as u8));
        let length = frame.len();
        if ipv6 {
            frame[12..14].copy_from_slice(&[0x86, 0xdd]);
            frame[14] = 0x60;
            frame[18..20].copy_from_slice(&((length - 54) as u16).to_be_bytes());
            frame[20] = TCP;
            frame[22..54].fill(0x11);
        } else {
            frame[12..14].copy_from_slice(&[8, 0]);
            frame[14] = 0x45;
            frame[16..18].copy_from_slice(&((length - 14) as u16).to_be_bytes());
            frame[23] = TCP;
            frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        }
        frame[tcp + 4..tcp + 8].copy_from_slice(&0xffff_fff0u32.to_be_bytes());
        frame[tcp + 12] = 5 << 4;
        frame[tcp + 13] = 0x99;
        frame
    }

    #[test]
    fn segments_are_complete_frames() {
        for ipv6 in [false, true] {
            let frame = super_frame(ipv6, 3500);
            let mut split = Split::default();
            assert!(split.start(&frame, 1400));
            let mut out = vec![0; 2000];
            let (tcp, mut payload, mut flags) = (if ipv6 { 54 } else { 34 }, vec![], vec![]);
            while let Some(length) = split.next(&mut out) {
                let segment = &out[..length];
                let sequence = u32::from_be_bytes(segment[tcp + 4..tcp + 8].try_into().unwrap());
                assert_eq!(sequence, 0xffff_fff0u32.wrapping_add(payload.len() as u32));
                let addresses = if ipv6 { 22..54 } else { 26..34 };
                let pseudo = sum(&segment[addresses], 6 + (length - tcp) as u64);
                assert_eq!(fold(sum(&segment[tcp..], pseudo)), 0xffff);
                if !ipv6 {
                    assert_eq!(fold(sum(&segment[14..34], 0)), 0xffff);
                }
                flags.push(segment[tcp + 13]);
                payload.extend_from_slice(&segment[tcp + 20..]);
            }
            assert_eq!(payload, frame[tcp + 20..]);
            assert_eq!(flags, [0x90, 0x10, 0x19]);
        }
    }

    proptest! {
        #[test]
        fn any_frame_ends(mut frame in proptest::collection::vec(any::<u8>(), 0..300), size: u16, v6: bool) {
            if frame.len() > 24 {
                frame[12..14].copy_from_slice(if v6 { &[0x86, 0xdd] } else { &[8, 0] });
                frame[if v6 { 20 } else { 23 }] = TCP;
                frame[16..20].copy_from_slice(&[0, 150, 0, 100]);
            }
            let mut split = Split::default();
            let mut out = vec![0; 400];
            if split.start(&frame, size) {
                let mut count = 0;
                while split.next(&mut out).is_some() {
                    count += 1;
                }
                prop_assert!(count > 0 && split.is_empty());
            }
        }

        #[test]
        fn partial_checksums_complete(mut data in proptest::collection::vec(any::<u8>(), 20..90)) {
            let pseudo = u16::from_be_bytes([data[16], data[17]]);
            complete_checksum(&mut data, 0, 16);
            prop_assert_eq!(fold(sum(&data, u64::from(pseudo))), 0xffff);
            // A place outside the frame is left alone.
            complete_checksum(&mut data, 0, 200);
        }
    }
}
