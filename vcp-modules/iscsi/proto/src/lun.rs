//! Logical unit numbers as SCSI encodes them in eight bytes (SAM-5 §4.7).

use core::fmt;

/// The LUN field of a PDU or of REPORT LUNS data: eight bytes, read big-endian.
///
/// Only single-level LUNs are made here; others pass through unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lun(pub u64);

impl Lun {
    /// The encoding of logical unit `number`: peripheral device addressing with bus 0
    /// up to 255, flat space addressing up to 16383, `None` above.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match number {
            0..=0xff => Some(Self((number as u64) << 48)),
            0x100..=0x3fff => Some(Self(((number as u64) | FLAT << 14) << 48)),
            _ => None,
        }
    }

    /// The number of a single-level LUN in peripheral (bus 0) or flat addressing;
    /// `None` for every other method. Number 7 in either method is 7.
    #[must_use]
    pub const fn number(self) -> Option<u16> {
        if self.0 & 0x0000_ffff_ffff_ffff != 0 {
            return None;
        }
        let field = (self.0 >> 48) as u16;
        match (field >> 14) as u64 {
            PERIPHERAL if field & 0x3f00 == 0 => Some(field),
            FLAT => Some(field & 0x3fff),
            _ => None,
        }
    }

    /// The eight bytes as they go over the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// From the eight bytes of the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

/// Address methods: the two top bits.
const PERIPHERAL: u64 = 0;
const FLAT: u64 = 1;

impl fmt::Display for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) => number.fmt(f),
            None => write!(f, "{:#018x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        assert_eq!(Lun::new(1), Some(Lun(0x0001_0000_0000_0000)));
        assert_eq!(Lun::new(255), Some(Lun(0x00ff_0000_0000_0000)));
        assert_eq!(Lun::new(256), Some(Lun(0x4100_0000_0000_0000)));
        assert_eq!(Lun::new(16383), Some(Lun(0x7fff_0000_0000_0000)));
        assert_eq!(Lun::new(16384), None);
    }

    #[test]
    fn every_number_comes_back() {
        for number in 0..0x4000 {
            assert_eq!(Lun::new(number).and_then(Lun::number), Some(number));
        }
    }

    #[test]
    fn other_addressing_has_no_number() {
        assert_eq!(Lun(0x4007_0000_0000_0000).number(), Some(7));
        // Bus 1, a second level, extended addressing.
        for lun in [
            0x0107_0000_0000_0000,
            0x0007_0001_0000_0000,
            0xc101_0000_0000_0000,
        ] {
            assert_eq!(Lun(lun).number(), None);
        }
        assert_eq!(
            alloc::format!("{}", Lun(0xc101_0000_0000_0000)),
            "0xc101000000000000"
        );
    }
}
