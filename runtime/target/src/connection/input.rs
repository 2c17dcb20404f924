//! Cuts an initiator's byte stream into PDUs and verifies their digests. It does not look
//! at their contents.

use vcp_iscsi_proto::{BHS_LEN, Bhs, BhsBytes, DIGEST_LEN};

use super::digest::crc32c;

/// One PDU of the initiator, borrowed from the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pdu<'a> {
    pub(super) header: &'a BhsBytes,
    pub(super) additional: &'a [u8],
    pub(super) data: &'a [u8],
    /// Whether the data digest matches.
    pub(super) data_intact: bool,
}

/// Why the stream cannot be cut any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FramingError {
    /// The header digest does not match, so its lengths mean nothing.
    HeaderDigest,
    /// The data segment is longer than this side takes.
    TooLong { length: u32, limit: u32 },
}

/// How the stream is currently cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framing {
    pub(super) header_digest: bool,
    pub(super) data_digest: bool,
    /// The longest data segment accepted, in bytes.
    pub(super) limit: u32,
}

/// The result of cutting.
pub(super) enum Cut<'a> {
    /// A PDU and its length in bytes.
    Pdu(Pdu<'a>, usize),
    /// An incomplete PDU, and the least number of bytes needed.
    Need(usize),
}

impl Framing {
    /// Examines the start of `bytes`.
    pub(super) fn cut<'a>(&self, bytes: &'a [u8]) -> Result<Cut<'a>, FramingError> {
        let Some(header) = bytes.first_chunk::<BHS_LEN>() else {
            return Ok(Cut::Need(BHS_LEN));
        };
        let bhs = Bhs::parse(header);
        let layout = bhs.layout(self.header_digest, self.data_digest);
        if self.header_digest {
            let Some(digest) = bytes.get(layout.header_len..layout.header_len + DIGEST_LEN) else {
                return Ok(Cut::Need(layout.header_len + DIGEST_LEN));
            };
            if crc32c(&bytes[..layout.header_len]) != digest {
                return Err(FramingError::HeaderDigest);
            }
        }
        if bhs.data_len > self.limit {
            return Err(FramingError::TooLong {
                length: bhs.data_len,
                limit: self.limit,
            });
        }
        if bytes.len() < layout.total {
            return Ok(Cut::Need(layout.total));
        }
        let padded = &bytes[layout.data_start..layout.data_end()];
        let digest = &bytes[layout.data_end()..layout.total];
        let pdu = Pdu {
            header,
            additional: &bytes[BHS_LEN..layout.header_len],
            data: &padded[..layout.data_len],
            data_intact: !layout.has_data_digest() || crc32c(padded) == digest,
        };
        Ok(Cut::Pdu(pdu, layout.total))
    }
}

/// The bytes of PDUs that are not complete yet.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

/// The least room for a driver's read.
const SPARE: usize = 256 * 1024;

impl Buffer {
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Room behind the filled part: enough for the rest of a PDU of `need` bytes, and at
    /// least [`SPARE`].
    pub(super) fn spare(&mut self, need: usize) -> &mut [u8] {
        let filled = self.end - self.start;
        let wanted = need.saturating_sub(filled).max(SPARE);
        if self.bytes.len() - self.end < wanted {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, filled);
            if self.bytes.len() < filled + wanted {
                self.bytes.resize(filled + wanted, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// Notes that `count` bytes have been put into the room.
    pub(super) fn filled_by(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.spare(self.end - self.start + bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.filled_by(bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Framing = Framing {
        header_digest: false,
        data_digest: false,
        limit: 100,
    };

    fn pdu(data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 48];
        bytes[7] = data.len() as u8;
        bytes.extend_from_slice(data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn cuts_where_the_header_says() {
        let mut bytes = pdu(b"hello");
        let Ok(Cut::Pdu(first, length)) = PLAIN.cut(&bytes) else {
            panic!()
        };
        assert_eq!((first.data, length), (&b"hello"[..], 56));
        bytes.truncate(55);
        assert!(matches!(PLAIN.cut(&bytes), Ok(Cut::Need(56))));
        assert!(matches!(PLAIN.cut(&bytes[..20]), Ok(Cut::Need(48))));
    }

    #[test]
    fn refuses_before_it_buffers() {
        let error = PLAIN.cut(&pdu(&[0; 101])[..48]).map(|_| ()).unwrap_err();
        assert_eq!(
            error,
            FramingError::TooLong {
                length: 101,
                limit: 100
            }
        );
    }

    #[test]
    fn digests_cover_padding() {
        let framing = Framing {
            header_digest: true,
            data_digest: true,
            ..PLAIN
        };
        let plain = pdu(b"hello");
        let mut bytes = plain[..48].to_vec();
        bytes.extend_from_slice(&crc32c(&plain[..48]));
        bytes.extend_from_slice(&plain[48..]);
        bytes.extend_from_slice(&crc32c(&plain[48..]));
        let intact = |bytes: &[u8]| match framing.cut(bytes) {
            Ok(Cut::Pdu(pdu, length)) => Ok((pdu.data_intact, length)),
            Ok(Cut::Need(_)) => panic!("whole"),
            Err(error) => Err(error),
        };
        assert_eq!(intact(&bytes), Ok((true, 64)));
        bytes[58] ^= 1; // padding
        assert_eq!(intact(&bytes), Ok((false, 64)));
        bytes[30] ^= 1;
        assert_eq!(intact(&bytes), Err(FramingError::HeaderDigest));
    }

    #[test]
    fn buffer_keeps_what_is_left() {
        let mut buffer = Buffer::default();
        buffer.extend(&[1, 2, 3, 4]);
        buffer.consume(3);
        let big = vec![5; 2 * SPARE];
        buffer.extend(&big);
        assert_eq!(buffer.filled()[..2], [4, 5]);
        assert_eq!(buffer.filled().len(), 1 + big.len());
    }
}
