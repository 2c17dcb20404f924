//! The Block Limits page, B0h (SBC-3).

use super::{Vpd, page};
use crate::error::Error;
use crate::field::{put_u16, put_u32, put_u64, u16_at, u32_at, u64_at};

/// How much one command may do. Counts are logical blocks; zero means "not reported"
/// (for [`max_unmap_blocks`](Self::max_unmap_blocks): UNMAP isn't there).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockLimits {
    /// WRITE SAME with a length of zero is refused.
    pub no_zero_write_same: bool,
    /// Longest COMPARE AND WRITE.
    pub max_compare_and_write: u8,
    /// Transfers should be a multiple of this.
    pub optimal_granularity: u16,
    /// Longest transfer.
    pub max_transfer: u32,
    /// Longer transfers are slower.
    pub optimal_transfer: u32,
    /// Longest prefetch.
    pub max_prefetch: u32,
    /// Most blocks of one UNMAP; all ones: no limit.
    pub max_unmap_blocks: u32,
    /// Most descriptors of one UNMAP; all ones: no limit.
    pub max_unmap_descriptors: u32,
    /// UNMAPs should be a multiple of this.
    pub unmap_granularity: u32,
    /// First block at which a unit of that granularity begins.
    pub unmap_alignment: Option<u32>,
    /// Longest WRITE SAME.
    pub max_write_same: u64,
}

impl BlockLimits {
    /// Length of the page's contents in bytes.
    pub const LEN: usize = 60;

    /// Reads the contents. Older devices end after 12 bytes; what they leave out is
    /// zero.
    ///
    /// # Errors
    /// [`Error::Field`] for another page, [`Error::Truncated`] below 12 bytes.
    pub fn parse(vpd: &Vpd<'_>) -> Result<Self, Error> {
        if vpd.page != page::BLOCK_LIMITS {
            return Err(Error::field("Block Limits", "PAGE CODE"));
        }
        if vpd.data.len() < 12 {
            return Err(Error::Truncated("Block Limits page"));
        }
        let mut b = [0; Self::LEN];
        let len = vpd.data.len().min(Self::LEN);
        b[..len].copy_from_slice(&vpd.data[..len]);
        let alignment = u32_at(&b, 28);
        Ok(Self {
            no_zero_write_same: b[0] & 1 != 0,
            max_compare_and_write: b[1],
            optimal_granularity: u16_at(&b, 2),
            max_transfer: u32_at(&b, 4),
            optimal_transfer: u32_at(&b, 8),
            max_prefetch: u32_at(&b, 12),
            max_unmap_blocks: u32_at(&b, 16),
            max_unmap_descriptors: u32_at(&b, 20),
            unmap_granularity: u32_at(&b, 24),
            unmap_alignment: (alignment & VALID != 0).then_some(alignment & !VALID),
            max_write_same: u64_at(&b, 32),
        })
    }

    /// Writes the page's contents, for [`Vpd::data`].
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0] = self.no_zero_write_same.into();
        b[1] = self.max_compare_and_write;
        put_u16(&mut b, 2, self.optimal_granularity);
        put_u32(&mut b, 4, self.max_transfer);
        put_u32(&mut b, 8, self.optimal_transfer);
        put_u32(&mut b, 12, self.max_prefetch);
        put_u32(&mut b, 16, self.max_unmap_blocks);
        put_u32(&mut b, 20, self.max_unmap_descriptors);
        put_u32(&mut b, 24, self.unmap_granularity);
        put_u32(&mut b, 28, self.unmap_alignment.map_or(0, |at| at | VALID));
        put_u64(&mut b, 32, self.max_write_same);
        b
    }
}

/// UGAVALID: the alignment is valid.
const VALID: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn old_and_short_pages() {
        let vpd = |data| Vpd {
            peripheral: 0,
            page: page::BLOCK_LIMITS,
            data,
        };
        let old = [0, 0, 0, 8, 0, 0, 0x10, 0, 0, 0, 2, 0];
        let limits = BlockLimits::parse(&vpd(&old)).unwrap();
        let expected = BlockLimits {
            optimal_granularity: 8,
            max_transfer: 4096,
            optimal_transfer: 512,
            ..BlockLimits::default()
        };
        assert_eq!(limits, expected);
        assert!(BlockLimits::parse(&vpd(&old[..11])).is_err());
        assert!(
            BlockLimits::parse(&Vpd {
                page: 0xb2,
                ..vpd(&old)
            })
            .is_err()
        );
    }

    proptest! {
        #[test]
        fn round_trip(
            (no_zero_write_same, max_compare_and_write, optimal_granularity) in any::<(bool, u8, u16)>(),
            (max_transfer, optimal_transfer, max_prefetch) in any::<(u32, u32, u32)>(),
            (max_unmap_blocks, max_unmap_descriptors, unmap_granularity) in any::<(u32, u32, u32)>(),
            unmap_alignment in proptest::option::of(0u32..1 << 31),
            max_write_same: u64,
        ) {
            let limits = BlockLimits {
                no_zero_write_same, max_compare_and_write, optimal_granularity, max_transfer,
                optimal_transfer, max_prefetch, max_unmap_blocks, max_unmap_descriptors,
                unmap_granularity, unmap_alignment, max_write_same,
            };
            let data = limits.emit();
            let vpd = Vpd { peripheral: 0, page: page::BLOCK_LIMITS, data: &data };
            prop_assert_eq!(BlockLimits::parse(&vpd), Ok(limits));
        }
    }
}
