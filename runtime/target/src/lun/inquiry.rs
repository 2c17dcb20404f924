//! INQUIRY and the vital product data pages (SPC-4 §6.6, §7.8; SBC-3 §6.6).

use super::cdb::{Cdb, be16};
use super::sense::{Refusal, Sense};
use super::{Action, LogicalUnit, reply};

/// Version descriptors: SAM-5, iSCSI, SPC-4, SBC-3 (SPC-4 table 146).
const VERSIONS: [u16; 4] = [0x00A0, 0x0960, 0x0460, 0x04C0];

/// Product revision level.
const REVISION: &str = concat!(
    env!("CARGO_PKG_VERSION_MAJOR"),
    ".",
    env!("CARGO_PKG_VERSION_MINOR")
);

/// The most descriptors in one UNMAP.
pub(super) const MAX_UNMAP_DESCRIPTORS: u32 = 256;

/// The locally assigned NAA 3: 4 bits of type, and 60 of our own.
const NAA_LOCAL: u64 = 0x3 << 60;

impl LogicalUnit {
    pub(super) fn inquiry(&self, cdb: &Cdb) -> Result<Action, Refusal> {
        let allocation = be16(cdb, 3).into();
        match (cdb[1] & 1 != 0, cdb[2]) {
            (false, 0) => Ok(reply(self.standard(), allocation)),
            (true, page) => Ok(reply(self.vpd(page)?, allocation)),
            (false, _) => Err(Sense::INVALID_FIELD_IN_CDB.into()),
        }
    }

    fn standard(&self) -> Vec<u8> {
        let mut bytes = vec![0; 96];
        bytes[2] = 0x06; // SPC-4
        bytes[3] = 0x12; // HISUP, response data format 2
        bytes[4] = 96 - 5;
        bytes[7] = 0x02; // CMDQUE
        bytes[8..16].copy_from_slice(&padded::<8>(&self.options.vendor));
        bytes[16..32].copy_from_slice(&padded::<16>(&self.options.product));
        bytes[32..36].copy_from_slice(&padded::<4>(REVISION));
        for (slot, version) in bytes[58..].chunks_exact_mut(2).zip(VERSIONS) {
            slot.copy_from_slice(&version.to_be_bytes());
        }
        bytes
    }

    fn vpd(&self, page: u8) -> Result<Vec<u8>, Refusal> {
        let body = match page {
            0x00 => vec![0x00, 0x80, 0x83, 0xB0, 0xB1, 0xB2],
            0x80 => self.options.serial.clone().into_bytes(),
            0x83 => self.identification(),
            0xB0 => self.block_limits(),
            0xB1 => characteristics(),
            0xB2 => self.provisioning_page(),
            _ => return Err(Sense::INVALID_FIELD_IN_CDB.into()),
        };
        let length = u16::try_from(body.len()).expect("a page is some dozens of bytes");
        let mut bytes = vec![0, page];
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend(body);
        Ok(bytes)
    }

    /// Page 83h: an NAA name and a T10 vendor name, both from the serial number.
    fn identification(&self) -> Vec<u8> {
        let mut bytes = vec![0x01, 0x03, 0, 8];
        let naa = NAA_LOCAL | (fnv1a(self.options.serial.as_bytes()) >> 4);
        bytes.extend_from_slice(&naa.to_be_bytes());
        let mut name = padded::<8>(&self.options.vendor).to_vec();
        name.extend_from_slice(self.options.serial.as_bytes());
        let length = u8::try_from(name.len()).expect("vendor and serial are at most 40 bytes");
        bytes.extend_from_slice(&[0x02, 0x01, 0, length]);
        bytes.extend(name);
        bytes
    }

    /// Page B0h. Lengths in blocks.
    fn block_limits(&self) -> Vec<u8> {
        let mut bytes = vec![0; 60];
        let block = self.options.block_size;
        let blocks = |bytes: u32| (bytes / block).to_be_bytes();
        bytes[0] = 0x01; // WSNZ: a WRITE SAME of 0 blocks is refused
        let granularity = 1_u16 << self.options.physical_exponent.min(15);
        bytes[2..4].copy_from_slice(&granularity.to_be_bytes());
        bytes[4..8].copy_from_slice(&blocks(self.options.max_transfer));
        bytes[8..12].copy_from_slice(&blocks(self.options.max_transfer.min(1 << 20)));
        if self.options.thin {
            bytes[16..20].copy_from_slice(&u32::MAX.to_be_bytes());
            bytes[20..24].copy_from_slice(&MAX_UNMAP_DESCRIPTORS.to_be_bytes());
            bytes[24..28].copy_from_slice(&u32::from(granularity).to_be_bytes());
        }
        bytes[36..40].copy_from_slice(&blocks(self.options.max_write_same));
        // The field is the 8 bytes at 32, of which the upper four are 0.
        bytes
    }

    /// Page B2h: logical block provisioning.
    fn provisioning_page(&self) -> Vec<u8> {
        if self.options.thin {
            // The bits are LBPU, LBPWS, LBPWS10 and LBPRZ; the type is thin provisioned.
            vec![0, 0xE4, 0x02, 0]
        } else {
            vec![0, 0, 0x01, 0]
        }
    }
}

/// Page B1h: the medium does not rotate.
fn characteristics() -> Vec<u8> {
    let mut bytes = vec![0; 60];
    bytes[1] = 1;
    bytes
}

/// ASCII text, padded with spaces, or cut.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    bytes
}

/// FNV-1a, 64 bits: spreads a serial number over a name.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
