//! READ CAPACITY data (SBC-3).

use crate::error::Error;
use crate::field::{put_u16, put_u32, put_u64, u16_at, u32_at, u64_at};

/// READ CAPACITY(10) data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity10 {
    /// The last block's address; all ones: ask READ CAPACITY(16).
    pub last_lba: u32,
    /// The logical block length in bytes.
    pub block_len: u32,
}

impl Capacity10 {
    /// The length of the data in bytes.
    pub const LEN: usize = 8;

    /// Reads the data.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 bytes.
    pub fn parse(data: &[u8]) -> Result<Self, Error> {
        let b = data
            .first_chunk::<{ Self::LEN }>()
            .ok_or(Error::Truncated("READ CAPACITY data"))?;
        Ok(Self {
            last_lba: u32_at(b, 0),
            block_len: u32_at(b, 4),
        })
    }

    /// Writes the data.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        put_u32(&mut b, 0, self.last_lba);
        put_u32(&mut b, 4, self.block_len);
        b
    }
}

/// READ CAPACITY(16) data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity16 {
    /// The last block's address.
    pub last_lba: u64,
    /// The logical block length in bytes.
    pub block_len: u32,
    /// PROT_EN: the medium is formatted with protection information.
    pub protection: bool,
    /// 2 to the power of this: logical blocks per physical block; 0: one or more.
    pub physical_exponent: u8,
    /// LBPME: blocks can be unmapped.
    pub provisioning: bool,
    /// LBPRZ: unmapped blocks read as zeros.
    pub reads_zeros: bool,
    /// The first block at which a physical block begins; 14 bits.
    pub lowest_aligned: u16,
}

impl Capacity16 {
    /// Length of the data in bytes.
    pub const LEN: usize = 32;

    /// Reads the data. Devices before SBC-3 end after 12 bytes; what they leave out is
    /// zero.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 12 bytes.
    pub fn parse(data: &[u8]) -> Result<Self, Error> {
        if data.len() < 12 {
            return Err(Error::Truncated("READ CAPACITY(16) data"));
        }
        let mut b = [0; Self::LEN];
        let len = data.len().min(Self::LEN);
        b[..len].copy_from_slice(&data[..len]);
        Ok(Self {
            last_lba: u64_at(&b, 0),
            block_len: u32_at(&b, 8),
            protection: b[12] & 1 != 0,
            physical_exponent: b[13] & 0x0f,
            provisioning: b[14] & 0x80 != 0,
            reads_zeros: b[14] & 0x40 != 0,
            lowest_aligned: u16_at(&b, 14) & 0x3fff,
        })
    }

    /// Writes the data.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        put_u64(&mut b, 0, self.last_lba);
        put_u32(&mut b, 8, self.block_len);
        b[12] = self.protection.into();
        b[13] = self.physical_exponent & 0x0f;
        let flags = u16::from(self.provisioning) << 15 | u16::from(self.reads_zeros) << 14;
        put_u16(&mut b, 14, flags | self.lowest_aligned & 0x3fff);
        b
    }

    /// The size in bytes; `None` when it doesn't fit into 64 bits or a block has no
    /// bytes.
    #[must_use]
    pub fn byte_len(&self) -> Option<u64> {
        let blocks = self.last_lba.checked_add(1)?;
        blocks
            .checked_mul(self.block_len.into())
            .filter(|&len| len > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DISK: Capacity16 = Capacity16 {
        last_lba: 0x1_7fff_ffff,
        block_len: 512,
        protection: false,
        physical_exponent: 3,
        provisioning: true,
        reads_zeros: true,
        lowest_aligned: 1,
    };

    #[test]
    fn three_tebibytes() {
        let b = DISK.emit();
        assert_eq!(
            b[..16],
            [
                0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff, 0, 0, 2, 0, 0, 3, 0xc0, 1
            ]
        );
        assert_eq!(DISK.byte_len(), Some(3 << 40));
        let old = Capacity16::parse(&b[..12]).unwrap();
        assert_eq!((old.last_lba, old.block_len), (DISK.last_lba, 512));
        assert!(!old.provisioning);
        assert!(Capacity16::parse(&b[..11]).is_err());
        assert!(Capacity10::parse(&b[..7]).is_err());
    }

    #[test]
    fn impossible_sizes() {
        assert_eq!(
            Capacity16 {
                last_lba: u64::MAX,
                ..DISK
            }
            .byte_len(),
            None
        );
        assert_eq!(
            Capacity16 {
                last_lba: u64::MAX / 256,
                ..DISK
            }
            .byte_len(),
            None
        );
        assert_eq!(
            Capacity16 {
                block_len: 0,
                ..DISK
            }
            .byte_len(),
            None
        );
    }

    proptest! {
        #[test]
        fn round_trip(
            (last_lba, block_len, protection) in any::<(u64, u32, bool)>(),
            (provisioning, reads_zeros) in any::<(bool, bool)>(),
            (physical_exponent, lowest_aligned) in (0u8..16, 0u16..0x4000),
        ) {
            let capacity = Capacity16 {
                last_lba, block_len, protection, physical_exponent, provisioning, reads_zeros,
                lowest_aligned,
            };
            prop_assert_eq!(Capacity16::parse(&capacity.emit()), Ok(capacity));
            let short = Capacity10 { last_lba: last_lba as u32, block_len };
            prop_assert_eq!(Capacity10::parse(&short.emit()), Ok(short));
        }
    }
}
