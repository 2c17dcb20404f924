//! Vital product data: INQUIRY's pages 00h, 80h, 83h, B0h and B2h (SPC-4 §7.8,
//! SBC-3).

mod limits;
mod provisioning;

pub use limits::BlockLimits;
pub use provisioning::LogicalBlockProvisioning;

use alloc::vec::Vec;

use crate::error::Error;
use crate::field::u16_at;

/// Page codes.
pub mod page {
    /// Supported pages.
    pub const SUPPORTED_PAGES: u8 = 0x00;
    /// Unit serial number.
    pub const SERIAL_NUMBER: u8 = 0x80;
    /// Device identification.
    pub const DEVICE_IDENTIFICATION: u8 = 0x83;
    /// Block limits.
    pub const BLOCK_LIMITS: u8 = 0xb0;
    /// Logical block provisioning.
    pub const LOGICAL_BLOCK_PROVISIONING: u8 = 0xb2;
}

/// A page: its code and what follows the four bytes of its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vpd<'a> {
    /// Peripheral qualifier and device type, as in standard data.
    pub peripheral: u8,
    /// Page code.
    pub page: u8,
    /// The page's contents: the supported page codes of page 00h, the serial number's
    /// ASCII of page 80h, the designators of page 83h…
    pub data: &'a [u8],
}

impl<'a> Vpd<'a> {
    /// Reads a page that was asked for as `page`. Data cut by an allocation length is
    /// taken as far as it goes.
    ///
    /// # Errors
    /// [`Error::Truncated`] below the header's four bytes, [`Error::Field`] for
    /// another page than asked for.
    pub fn parse(data: &'a [u8], page: u8) -> Result<Self, Error> {
        let (header, rest) = data
            .split_at_checked(4)
            .ok_or(Error::Truncated("VPD page"))?;
        if header[1] != page {
            return Err(Error::field("VPD page", "PAGE CODE"));
        }
        let len = usize::from(u16_at(header, 2)).min(rest.len());
        Ok(Self {
            peripheral: header[0],
            page,
            data: &rest[..len],
        })
    }

    /// Appends header and contents.
    ///
    /// # Panics
    /// When the contents are longer than 65535 bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let len = u16::try_from(self.data.len()).expect("a VPD page's length has 16 bits");
        out.extend_from_slice(&[self.peripheral, self.page]);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(self.data);
    }

    /// Iterates over the designators of page 83h. Ends at one that is cut off.
    pub fn designators(&self) -> impl Iterator<Item = Designator<'a>> + use<'a> {
        let mut rest = self.data;
        core::iter::from_fn(move || {
            let (designator, behind) = Designator::parse(rest)?;
            rest = behind;
            Some(designator)
        })
    }
}

/// One designator of page 83h (SPC-4 §7.8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Designator<'a> {
    /// Code set: 1 binary, 2 ASCII, 3 UTF-8. Four bits.
    pub code_set: u8,
    /// Association: 0 logical unit, 1 target port, 2 target device. Two bits.
    pub association: u8,
    /// Type: 1 T10 vendor identification, 2 EUI-64, 3 NAA, 8 SCSI name. Four bits.
    pub kind: u8,
    /// The designator's bytes, at most 255.
    pub id: &'a [u8],
}

impl<'a> Designator<'a> {
    fn parse(data: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = data.split_at_checked(4)?;
        let (id, behind) = rest.split_at_checked(usize::from(header[3]))?;
        let designator = Self {
            code_set: header[0] & 0x0f,
            association: header[1] >> 4 & 3,
            kind: header[1] & 0x0f,
            id,
        };
        Some((designator, behind))
    }

    /// Appends the designator.
    ///
    /// # Panics
    /// When `id` is longer than 255 bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let len = u8::try_from(self.id.len()).expect("a designator's length has 8 bits");
        let second = (self.association & 3) << 4 | self.kind & 0x0f;
        out.extend_from_slice(&[self.code_set & 0x0f, second, 0, len]);
        out.extend_from_slice(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pages_are_told_apart() {
        let data = [0, 0x80, 0, 4, b'a', b'b', b'c', b'd', 0xff];
        let serial = Vpd::parse(&data, page::SERIAL_NUMBER).unwrap();
        assert_eq!(serial.data, b"abcd");
        assert!(Vpd::parse(&data, page::BLOCK_LIMITS).is_err());
        assert!(Vpd::parse(&data[..3], page::SERIAL_NUMBER).is_err());
        assert_eq!(
            Vpd::parse(&data[..6], page::SERIAL_NUMBER).unwrap().data,
            b"ab"
        );
    }

    #[test]
    fn designators() {
        let naa = Designator {
            code_set: 1,
            association: 0,
            kind: 3,
            id: &[0x60, 1, 2, 3, 4, 5, 6, 7],
        };
        let name = Designator {
            code_set: 2,
            association: 0,
            kind: 1,
            id: b"VCP     disk",
        };
        let mut data = Vec::new();
        naa.emit(&mut data);
        name.emit(&mut data);
        let id = Vpd {
            peripheral: 0,
            page: page::DEVICE_IDENTIFICATION,
            data: &data,
        };
        let mut out = Vec::new();
        id.emit(&mut out);
        let read = Vpd::parse(&out, page::DEVICE_IDENTIFICATION).unwrap();
        assert!(read.designators().eq([naa, name]));
        let cut = Vpd::parse(&out[..out.len() - 1], page::DEVICE_IDENTIFICATION).unwrap();
        assert!(cut.designators().eq([naa]));
    }

    proptest! {
        #[test]
        fn arbitrary_data(data: Vec<u8>) {
            for page in [0, 0x80, 0x83, 0xb0, 0xb2] {
                if let Ok(vpd) = Vpd::parse(&data, page) {
                    prop_assert!(vpd.designators().count() <= data.len());
                    let _ = (BlockLimits::parse(&vpd), LogicalBlockProvisioning::parse(&vpd));
                }
            }
        }
    }
}
