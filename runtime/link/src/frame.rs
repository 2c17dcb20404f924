//! The checks that every link makes on a frame before it sends it. A VCP chose the frame and
//! the offload fields, so both may be anything.

use std::io;

use vcp_queue::link::MAX_FRAME;
use vcp_queue::{LinkProperties, Offload};

pub(crate) const ETHERNET: usize = 14;

/// Whether a link with these properties can carry the frame. A frame that can't be carried
/// is dropped, as a network would.
pub(crate) fn sendable(properties: &LinkProperties, frame: &[u8], offload: Offload) -> bool {
    if frame.len() < ETHERNET || frame.len() > MAX_FRAME {
        return false;
    }
    let largest = match offload.segment_size {
        0 => properties.mtu as usize + ETHERNET,
        _ => MAX_FRAME,
    };
    if frame.len() > largest {
        return false;
    }
    let start = usize::from(offload.checksum_start);
    match (start, offload.segment_size) {
        (0, 0) => true,
        (0, _) => false,
        (_, size) => {
            let field = start + usize::from(offload.checksum_offset);
            properties.checksum_offload
                && (size == 0 || properties.segmentation_offload)
                && start >= ETHERNET
                && field + 2 <= frame.len()
        }
    }
}

/// What the kernel's answer to a frame means to the caller of `send`. A frame
/// that the kernel will not take, for its form or because the interface is down
/// or out of memory for the moment, is lost as on any network; only an interface
/// that is no more ends the link.
pub(crate) fn sent(result: io::Result<usize>) -> io::Result<bool> {
    let error = match result {
        Ok(_) => return Ok(true),
        Err(error) => error,
    };
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Ok(false),
        Some(
            libc::EINVAL
            | libc::EMSGSIZE
            | libc::ENOBUFS
            | libc::ENOMEM
            | libc::EIO
            | libc::ENETDOWN
            | libc::EINTR
            | libc::EPERM,
        ) => Ok(true),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offload(checksum_start: u16, checksum_offset: u16, segment_size: u16) -> Offload {
        Offload {
            checksum_start,
            checksum_offset,
            segment_size,
        }
    }

    #[test]
    fn only_a_vanished_interface_ends_the_link() {
        let errno = |code| sent(Err(io::Error::from_raw_os_error(code)));
        assert!(sent(Ok(60)).unwrap());
        assert!(!errno(libc::EAGAIN).unwrap());
        assert!(errno(libc::EINVAL).unwrap() && errno(libc::EIO).unwrap());
        assert!(errno(libc::EBADFD).is_err() && errno(libc::ENXIO).is_err());
    }

    #[test]
    fn only_what_the_link_announced() {
        let full = LinkProperties {
            mac: [2; 6],
            mtu: 1500,
            checksum_offload: true,
            segmentation_offload: true,
        };
        let checksum = LinkProperties {
            segmentation_offload: false,
            ..full.clone()
        };
        let none = LinkProperties {
            checksum_offload: false,
            ..checksum.clone()
        };
        let frame = vec![0; MAX_FRAME + 1];
        let cases = [
            (60, offload(0, 0, 0), [true, true, true]),
            (1514, offload(34, 16, 0), [true, true, false]),
            (1515, offload(34, 16, 0), [false, false, false]),
            (60_000, offload(34, 16, 1460), [true, false, false]),
            (60_000, offload(0, 0, 1460), [false, false, false]),
            (60, offload(34, 25, 0), [false, false, false]),
            (60, offload(65_535, 65_535, 1), [false, false, false]),
            (60, offload(13, 16, 0), [false, false, false]),
            (13, offload(0, 0, 0), [false, false, false]),
            (MAX_FRAME + 1, offload(34, 16, 1460), [false, false, false]),
        ];
        for (length, offload, expected) in cases {
            let found =
                [&full, &checksum, &none].map(|link| sendable(link, &frame[..length], offload));
            assert_eq!(found, expected, "{length} bytes, {offload:?}");
        }
    }
}
