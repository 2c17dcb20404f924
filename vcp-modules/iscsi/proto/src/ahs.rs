//! Additional header segments (RFC 7143 §11.2.2): a CDB longer than 16 bytes, and the
//! read length of a bidirectional command.

use alloc::vec::Vec;

use crate::bhs::{padded, padding};
use crate::error::Error;
use crate::field::{u16_at, u32_at};

/// One additional header segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ahs<'a> {
    /// Type 1: the bytes of the CDB from the 17th on.
    ExtendedCdb(&'a [u8]),
    /// Type 2: how many bytes the read part of a bidirectional command expects.
    BidirectionalReadLength(u32),
    /// A type unknown here, preserved.
    Other {
        /// AHSType: the whole byte, reserved bits included.
        kind: u8,
        /// AHSLength bytes; the first is the specific byte of the segment's header.
        data: &'a [u8],
    },
}

const EXTENDED_CDB: u8 = 1;
const BIDI_READ_LENGTH: u8 = 2;
const CUT: Error = Error::Truncated("additional header segment");

impl<'a> Ahs<'a> {
    /// Iterates over the segments in the `TotalAHSLength` bytes behind a basic header.
    /// Ends after the first error.
    #[must_use]
    pub const fn parse_all(bytes: &'a [u8]) -> AhsIter<'a> {
        AhsIter { rest: bytes }
    }

    /// Appends the segment with its header and padding.
    ///
    /// # Panics
    /// When the data is longer than 65535 bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let begin = |out: &mut Vec<u8>, kind: u8, len: usize| {
            let len = u16::try_from(len).expect("AHSLength has 16 bits");
            out.extend_from_slice(&len.to_be_bytes());
            out.push(kind);
        };
        let len = match *self {
            Self::ExtendedCdb(cdb) => {
                begin(out, EXTENDED_CDB, cdb.len() + 1);
                out.push(0);
                out.extend_from_slice(cdb);
                cdb.len() + 1
            }
            Self::BidirectionalReadLength(expected) => {
                begin(out, BIDI_READ_LENGTH, 5);
                out.push(0);
                out.extend_from_slice(&expected.to_be_bytes());
                5
            }
            Self::Other { kind, data } => {
                begin(out, kind, data.len());
                out.extend_from_slice(data);
                data.len()
            }
        };
        out.extend_from_slice(&[0; 3][..padding(3 + len)]);
    }

    fn parse(kind: u8, data: &'a [u8]) -> Result<Self, Error> {
        match (kind & 0x3f, data) {
            (EXTENDED_CDB, [_, cdb @ ..]) if !cdb.is_empty() => Ok(Self::ExtendedCdb(cdb)),
            (BIDI_READ_LENGTH, [_, expected @ ..]) if expected.len() == 4 => {
                Ok(Self::BidirectionalReadLength(u32_at(expected, 0)))
            }
            (EXTENDED_CDB | BIDI_READ_LENGTH, _) => Err(Error::field("AHS", "AHSLength")),
            _ => Ok(Self::Other { kind, data }),
        }
    }
}

/// Iterator over additional header segments.
#[derive(Debug, Clone)]
pub struct AhsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for AhsIter<'a> {
    type Item = Result<Ahs<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = core::mem::take(&mut self.rest);
        if bytes.is_empty() {
            return None;
        }
        if bytes.len() < 4 {
            return Some(Err(CUT));
        }
        let len = usize::from(u16_at(bytes, 0));
        let Some(data) = bytes.get(3..3 + len) else {
            return Some(Err(CUT));
        };
        let segment = Ahs::parse(bytes[2], data);
        if segment.is_ok() {
            // The last segment's padding may be missing: TotalAHSLength counts words, so
            // then the length was no multiple of four and there is nothing after it.
            self.rest = bytes.get(padded(3 + len)..).unwrap_or_default();
        }
        Some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_cdb_and_bidirectional_length() {
        let cdb = [7; 16];
        let mut out = Vec::new();
        Ahs::ExtendedCdb(&cdb).emit(&mut out);
        // CDBLength - 15, type, reserved.
        assert_eq!(out[..4], [0, 17, 1, 0]);
        assert_eq!(out.len(), 20);
        Ahs::BidirectionalReadLength(0x1000).emit(&mut out);
        assert_eq!(out[20..], [0, 5, 2, 0, 0, 0, 0x10, 0]);
        let all: Vec<_> = Ahs::parse_all(&out).collect();
        assert_eq!(
            all,
            [
                Ok(Ahs::ExtendedCdb(&cdb)),
                Ok(Ahs::BidirectionalReadLength(0x1000))
            ]
        );
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for bad in [
            &[0, 5, 1][..],
            &[0, 9, 1, 0],
            &[0, 1, 1, 0],
            &[0, 4, 2, 0, 0, 0, 0, 0],
        ] {
            assert!(Ahs::parse_all(bad).next().unwrap().is_err(), "{bad:?}");
        }
        // An empty unknown segment still takes four bytes: no endless loop.
        assert_eq!(Ahs::parse_all(&[0; 1020]).count(), 255);
    }

    proptest! {
        #[test]
        fn unknown_segments_survive(kind in 3u8..0x40, data: Vec<u8>) {
            let ahs = Ahs::Other { kind, data: &data };
            let mut out = Vec::new();
            ahs.emit(&mut out);
            prop_assert_eq!(out.len() % 4, 0);
            prop_assert_eq!(Ahs::parse_all(&out).collect::<Vec<_>>(), [Ok(ahs)]);
        }

        #[test]
        fn arbitrary_bytes_end(bytes: Vec<u8>) {
            prop_assert!(Ahs::parse_all(&bytes).count() <= bytes.len());
        }
    }
}
