//! Standard INQUIRY data (SPC-4 §6.6.2).

use crate::error::Error;
use crate::field::codes;

codes! {
    /// Whether a device is behind a logical unit number.
    pub enum PeripheralQualifier {
        /// 000b: there is a device.
        Connected = 0 => "connected",
        /// 001b: there could be one, but now there is none.
        NotConnected = 1 => "not connected",
        /// 011b: there can be none.
        NotSupported = 3 => "not supported",
    }
}

/// The identity and type of a logical unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inquiry {
    /// Whether a device is present; three bits.
    pub qualifier: PeripheralQualifier,
    /// Peripheral device type: 00h is a block device, 1Fh unknown. Five bits.
    pub device_type: u8,
    /// The medium can be removed.
    pub removable: bool,
    /// VERSION: 05h for SPC-3, 06h for SPC-4.
    pub version: u8,
    /// CMDQUE: tasks are queued.
    pub command_queue: bool,
    /// T10 vendor identification, ASCII, filled with spaces.
    pub vendor: [u8; 8],
    /// Product identification.
    pub product: [u8; 16],
    /// Product revision.
    pub revision: [u8; 4],
}

impl Inquiry {
    /// Peripheral device type of a block device (SBC).
    pub const DIRECT_ACCESS: u8 = 0x00;

    /// Length of the data in bytes.
    pub const LEN: usize = 36;

    /// Reads the data; what comes after 36 bytes is ignored.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 36 bytes.
    pub fn parse(data: &[u8]) -> Result<Self, Error> {
        let b = data
            .first_chunk::<{ Self::LEN }>()
            .ok_or(Error::Truncated("INQUIRY data"))?;
        let mut inquiry = Self {
            qualifier: (b[0] >> 5).into(),
            device_type: b[0] & 0x1f,
            removable: b[1] & 0x80 != 0,
            version: b[2],
            command_queue: b[7] & 0x02 != 0,
            vendor: [0; 8],
            product: [0; 16],
            revision: [0; 4],
        };
        inquiry.vendor.copy_from_slice(&b[8..16]);
        inquiry.product.copy_from_slice(&b[16..32]);
        inquiry.revision.copy_from_slice(&b[32..36]);
        Ok(inquiry)
    }

    /// Writes the data.
    #[must_use]
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut b = [0; Self::LEN];
        b[0] = u8::from(self.qualifier) << 5 | self.device_type & 0x1f;
        b[1] = u8::from(self.removable) << 7;
        b[2] = self.version;
        b[3] = 0x12; // HISUP, response data format 2
        b[4] = (Self::LEN - 5) as u8;
        b[7] = u8::from(self.command_queue) << 1;
        b[8..16].copy_from_slice(&self.vendor);
        b[16..32].copy_from_slice(&self.product);
        b[32..36].copy_from_slice(&self.revision);
        b
    }

    /// `text` as one of the fixed-size fields: printable ASCII, cut or filled with
    /// spaces.
    #[must_use]
    pub fn ascii<const N: usize>(text: &str) -> [u8; N] {
        let mut field = [b' '; N];
        let printable = text.bytes().filter(|b| (0x20..0x7f).contains(b));
        field
            .iter_mut()
            .zip(printable)
            .for_each(|(to, from)| *to = from);
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout() {
        let disk = Inquiry {
            qualifier: PeripheralQualifier::Connected,
            device_type: Inquiry::DIRECT_ACCESS,
            removable: false,
            version: 6,
            command_queue: true,
            vendor: Inquiry::ascii("VCP"),
            product: Inquiry::ascii("a product name too long"),
            revision: Inquiry::ascii("1.0\n"),
        };
        let b = disk.emit();
        assert_eq!(b[..8], [0, 0, 6, 0x12, 31, 0, 0, 2]);
        assert_eq!(&b[8..], b"VCP     a product name t1.0 ");
        assert!(Inquiry::parse(&b[..35]).is_err());
    }

    proptest! {
        #[test]
        fn round_trip(
            (qualifier, device_type) in (0u8..8, 0u8..32),
            (removable, version, command_queue) in any::<(bool, u8, bool)>(),
            (vendor, product, revision) in any::<([u8; 8], [u8; 16], [u8; 4])>(),
        ) {
            let inquiry = Inquiry {
                qualifier: qualifier.into(), device_type, removable, version, command_queue,
                vendor, product, revision,
            };
            prop_assert_eq!(Inquiry::parse(&inquiry.emit()), Ok(inquiry));
        }

        #[test]
        fn arbitrary_data(data: alloc::vec::Vec<u8>) {
            prop_assert_eq!(Inquiry::parse(&data).is_ok(), data.len() >= Inquiry::LEN);
        }
    }
}
