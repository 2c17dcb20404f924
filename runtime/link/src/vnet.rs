//! The header that travels with each frame between the kernel and an offloading
//! link (virtio 1.2 §5.1.6, `struct virtio_net_hdr`, 10 bytes, native endian).

use vcp_queue::{Checksum, Offload};

/// Bytes of the header.
pub(crate) const HEADER: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;

/// The decoded header of a received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) checksum: Checksum,
    /// Where to complete a partial checksum: from where to sum, and where in the
    /// frame the sum goes.
    pub(crate) checksum_start: usize,
    pub(crate) checksum_field: usize,
    /// Payload bytes per segment of a frame that is many segments, or 0.
    pub(crate) segment_size: u16,
}

pub(crate) fn decode(header: &[u8; HEADER]) -> Header {
    let at = |offset: usize| u16::from_ne_bytes([header[offset], header[offset + 1]]);
    let checksum = match header[0] {
        flags if flags & NEEDS_CHECKSUM != 0 => Checksum::Partial,
        flags if flags & DATA_VALID != 0 => Checksum::Verified,
        _ => Checksum::Unverified,
    };
    let (start, offset) = (usize::from(at(6)), usize::from(at(8)));
    Header {
        checksum,
        checksum_start: start,
        checksum_field: start + offset,
        segment_size: if header[1] == 0 { 0 } else { at(4) },
    }
}

/// The header for a frame that [`sendable`](crate::frame::sendable) let through.
pub(crate) fn encode(frame: &[u8], offload: Offload) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    if offload.checksum_start == 0 {
        return header;
    }
    header[0] = NEEDS_CHECKSUM;
    let mut put = |at: usize, value: u16| header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    put(6, offload.checksum_start);
    put(8, offload.checksum_offset);
    if offload.segment_size > 0 {
        // The TCP header's length is in its 13th byte; the kernel wants to know
        // how much of the frame is headers.
        let tcp = usize::from(offload.checksum_start);
        let length = frame
            .get(tcp + 12)
            .map_or(20, |byte| u16::from(byte >> 4) * 4);
        put(2, offload.checksum_start.saturating_add(length));
        put(4, offload.segment_size);
        let ipv6 = frame.get(12..14) == Some(&[0x86, 0xdd]);
        header[1] = if ipv6 { GSO_TCPV6 } else { GSO_TCPV4 };
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn super_frames_say_what_and_where() {
        let mut frame = vec![0; 5000];
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        frame[66] = 8 << 4;
        let offload = Offload {
            checksum_start: 54,
            checksum_offset: 16,
            segment_size: 1428,
        };
        let header = encode(&frame, offload);
        assert_eq!(header[..2], [NEEDS_CHECKSUM, GSO_TCPV6]);
        assert_eq!(header[2..4], 86u16.to_ne_bytes());
        let back = decode(&header);
        assert_eq!(back.checksum, Checksum::Partial);
        assert_eq!(
            (back.checksum_start, back.checksum_field, back.segment_size),
            (54, 70, 1428)
        );
        assert_eq!(encode(&frame, Offload::default()), [0; HEADER]);
    }

    #[test]
    fn what_the_kernel_knows() {
        let mut header = [0; HEADER];
        assert_eq!(decode(&header).checksum, Checksum::Unverified);
        header[0] = DATA_VALID;
        assert_eq!(decode(&header).checksum, Checksum::Verified);
        header[0] = DATA_VALID | NEEDS_CHECKSUM;
        assert_eq!(decode(&header).checksum, Checksum::Partial);
    }
}
