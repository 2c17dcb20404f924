//! The Logical Block Provisioning page, B2h (SBC-3).

use super::{Vpd, page};
use crate::error::Error;

/// How blocks can be given back, and what reading them then returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogicalBlockProvisioning {
    /// LBPU: UNMAP is there.
    pub unmap: bool,
    /// LBPWS: WRITE SAME(16) can unmap.
    pub write_same_16: bool,
    /// LBPWS10: WRITE SAME(10) can unmap.
    pub write_same_10: bool,
    /// LBPRZ: unmapped blocks read as zeros. Later standards have three bits here, of
    /// which this is the lowest.
    pub reads_zeros: bool,
    /// ANC_SUP: blocks can be anchored.
    pub anchor: bool,
    /// Provisioning type: 0 unknown or full, 1 resource, 2 thin. Three bits.
    pub kind: u8,
    /// 2 to the power of this: blocks per threshold set; 0: no thresholds.
    pub threshold_exponent: u8,
}

impl LogicalBlockProvisioning {
    /// Length of the page's contents in bytes.
    pub const LEN: usize = 4;

    /// Provisioning type of a thin logical unit.
    pub const THIN: u8 = 2;

    /// Reads the contents.
    ///
    /// # Errors
    /// [`Error::Field`] for another page, [`Error::Truncated`] below 4 bytes.
    pub fn parse(vpd: &Vpd<'_>) -> Result<Self, Error> {
        if vpd.page != page::LOGICAL_BLOCK_PROVISIONING {
            return Err(Error::field("Logical Block Provisioning", "PAGE CODE"));
        }
        let Some(&[threshold_exponent, flags, kind, _]) = vpd.data.first_chunk() else {
            return Err(Error::Truncated("Logical Block Provisioning page"));
        };
        Ok(Self {
            unmap: flags & 0x80 != 0,
            write_same_16: flags & 0x40 != 0,
            write_same_10: flags & 0x20 != 0,
            reads_zeros: flags & 0x04 != 0,
            anchor: flags & 0x02 != 0,
            kind: kind & 7,
            threshold_exponent,
        })
    }

    /// Writes the page's contents, for [`Vpd::data`].
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let flags = u8::from(self.unmap) << 7
            | u8::from(self.write_same_16) << 6
            | u8::from(self.write_same_10) << 5
            | u8::from(self.reads_zeros) << 2
            | u8::from(self.anchor) << 1;
        [self.threshold_exponent, flags, self.kind & 7, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_thin_unit() {
        let thin = LogicalBlockProvisioning {
            unmap: true,
            write_same_16: true,
            reads_zeros: true,
            kind: LogicalBlockProvisioning::THIN,
            ..LogicalBlockProvisioning::default()
        };
        assert_eq!(thin.emit(), [0, 0xc4, 2, 0]);
        let short = Vpd {
            peripheral: 0,
            page: 0xb2,
            data: &[0, 0xc4, 2],
        };
        assert!(LogicalBlockProvisioning::parse(&short).is_err());
        assert!(
            LogicalBlockProvisioning::parse(&Vpd {
                page: 0xb0,
                ..short
            })
            .is_err()
        );
    }

    proptest! {
        #[test]
        fn round_trip(
            (unmap, write_same_16, write_same_10) in any::<(bool, bool, bool)>(),
            (reads_zeros, anchor, threshold_exponent) in any::<(bool, bool, u8)>(),
            kind in 0u8..8,
        ) {
            let given = LogicalBlockProvisioning {
                unmap, write_same_16, write_same_10, reads_zeros, anchor, kind, threshold_exponent,
            };
            let data = given.emit();
            let vpd = Vpd { peripheral: 0, page: page::LOGICAL_BLOCK_PROVISIONING, data: &data };
            prop_assert_eq!(LogicalBlockProvisioning::parse(&vpd), Ok(given));
        }
    }
}
