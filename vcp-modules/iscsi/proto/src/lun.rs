//! Logical unit numbers as SCSI encodes them in eight bytes (SAM-5 §4.7).

use core::fmt;

/// The LUN field of a PDU or of REPORT LUNS data: eight bytes, read big-endian.
///
/// Only single-level LUNs are made here; others pass through unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lun(pub u64);

/// How eight bytes name a logical unit: the two top bits, and of the extended
/// methods the six below them (SAM-5 §4.7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LunMethod {
    /// Peripheral device addressing. The standard has a bus in the upper of the two
    /// bytes; common targets go on counting there.
    Peripheral,
    /// Flat space addressing.
    Flat,
    /// Logical unit addressing, of bus 0 and target 0.
    LogicalUnit,
    /// A well-known logical unit.
    WellKnown,
    /// Extended flat space addressing, of 24 bits.
    ExtendedFlat,
    /// Long extended flat space addressing, of 40 bits.
    LongExtendedFlat,
}

impl LunMethod {
    /// The standard's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peripheral => "peripheral device addressing",
            Self::Flat => "flat space addressing",
            Self::LogicalUnit => "logical unit addressing",
            Self::WellKnown => "well-known logical unit",
            Self::ExtendedFlat => "extended flat space addressing",
            Self::LongExtendedFlat => "long extended flat space addressing",
        }
    }

    /// Whether it is one that names 16384 logical units in two bytes at most.
    #[must_use]
    pub const fn is_simple(self) -> bool {
        matches!(self, Self::Peripheral | Self::Flat | Self::LogicalUnit)
    }
}

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

    /// Method and number of a single-level LUN; `None` for what names a unit behind
    /// others (several levels, a bus or target that is not 0), none at all, or is of
    /// no method that is known here.
    #[must_use]
    pub const fn address(self) -> Option<(LunMethod, u64)> {
        let field = self.0 >> 48;
        // The bytes after the first two, which most methods do not use.
        let alone = self.0 & 0x0000_ffff_ffff_ffff == 0;
        match (field >> 14, field >> 8) {
            (PERIPHERAL, _) if alone => Some((LunMethod::Peripheral, field & 0x3fff)),
            (FLAT, _) if alone => Some((LunMethod::Flat, field & 0x3fff)),
            (LOGICAL_UNIT, _) if alone && field & 0x3fe0 == 0 => {
                Some((LunMethod::LogicalUnit, field & 0x1f))
            }
            (_, WELL_KNOWN) if alone => Some((LunMethod::WellKnown, field & 0xff)),
            (_, EXTENDED_FLAT) if self.0 & 0xffff_ffff == 0 => {
                Some((LunMethod::ExtendedFlat, self.0 >> 32 & 0x00ff_ffff))
            }
            (_, LONG_EXTENDED_FLAT) if self.0 & 0xffff == 0 => {
                let number = self.0 >> 16 & 0x00ff_ffff_ffff;
                Some((LunMethod::LongExtendedFlat, number))
            }
            _ => None,
        }
    }

    /// The number of a single-level LUN in peripheral, flat or logical unit
    /// addressing, the two top bits aside; `None` for every other method. Number 7 in
    /// each of them is 7.
    #[must_use]
    pub const fn number(self) -> Option<u16> {
        match self.address() {
            Some((method, number)) if method.is_simple() => Some(number as u16),
            _ => None,
        }
    }

    /// The eight bytes as they go over the wire.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The LUN of eight bytes from the wire.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

/// Address methods: the two top bits.
const PERIPHERAL: u64 = 0;
const FLAT: u64 = 1;
const LOGICAL_UNIT: u64 = 2;
/// Extended ones: the top byte.
const WELL_KNOWN: u64 = 0xc1;
const EXTENDED_FLAT: u64 = 0xd2;
const LONG_EXTENDED_FLAT: u64 = 0xe2;

/// The number alone in the encoding of [`Lun::new`], with its method in every other.
impl fmt::Display for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.number(), self.address()) {
            (Some(number), _) if Self::new(number) == Some(*self) => number.fmt(f),
            (_, Some((method, number))) => write!(f, "{number} ({})", method.name()),
            _ => write!(f, "{:#018x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

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
        for number in 0..0x4000_u16 {
            assert_eq!(Lun::new(number).and_then(Lun::number), Some(number));
            for method in [PERIPHERAL, FLAT] {
                let lun = Lun((u64::from(number) | method << 14) << 48);
                assert_eq!(lun.number(), Some(number));
            }
        }
    }

    /// LUNs that a target may list, and how they are shown.
    #[test]
    fn numbers_of_every_method() {
        for (lun, number, shown) in [
            (0x0001_0000_0000_0000, Some(1), "1"),
            (0x412c_0000_0000_0000, Some(300), "300"),
            (
                0x012c_0000_0000_0000,
                Some(300),
                "300 (peripheral device addressing)",
            ),
            (0x4001_0000_0000_0000, Some(1), "1 (flat space addressing)"),
            (
                0x8007_0000_0000_0000,
                Some(7),
                "7 (logical unit addressing)",
            ),
            (0xc101_0000_0000_0000, None, "1 (well-known logical unit)"),
            (
                0xd200_0001_0000_0000,
                None,
                "1 (extended flat space addressing)",
            ),
            (
                0xe200_0001_0000_0000,
                None,
                "65536 (long extended flat space addressing)",
            ),
        ] {
            let lun = Lun(lun);
            assert_eq!((lun.number(), lun.to_string().as_str()), (number, shown));
        }
    }

    #[test]
    fn other_addressing_has_no_number() {
        // Target 1, bus 1, a second level, no unit at all.
        for lun in [
            0x8107_0000_0000_0000,
            0x8027_0000_0000_0000,
            0x0007_0001_0000_0000,
            0xffff_ffff_ffff_ffff,
        ] {
            assert_eq!((Lun(lun).number(), Lun(lun).address()), (None, None));
        }
        assert_eq!(Lun(0x0007_0001_0000_0000).to_string(), "0x0007000100000000");
    }
}
