//! Header and data digests: CRC32C (RFC 7143 §13.1).

use crc::{CRC_32_ISCSI, Crc, Digest, Table};

/// Slicing by 16: sixteen table look-ups at a time, because Wasm has no CRC
/// instruction. The tables are 16 KiB.
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// A CRC32C in the making, fed in pieces as data arrives. The data digest covers the
/// padding: feed it too.
#[derive(Clone)]
pub struct Crc32c(Digest<'static, u32, Table<16>>);

impl Crc32c {
    /// Begins a digest.
    #[must_use]
    pub fn new() -> Self {
        Self(CRC32C.digest())
    }

    /// The digest of `bytes` in one go, as the four bytes that go over the wire.
    #[must_use]
    pub fn of(bytes: &[u8]) -> [u8; 4] {
        CRC32C.checksum(bytes).to_le_bytes()
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The four bytes that go over the wire.
    #[must_use]
    pub fn finish(self) -> [u8; 4] {
        self.0.finalize().to_le_bytes()
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Crc32c {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let value = self.0.clone().finalize();
        f.debug_tuple("Crc32c").field(&value).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The examples of RFC 3720 §B.4.
    #[test]
    fn known_answers() {
        let mut rising = [0u8; 32];
        rising.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
        let mut falling = rising;
        falling.reverse();
        let mut read = [0u8; 48];
        for (at, value) in [
            (0, 0x01),
            (1, 0xc0),
            (16, 0x14),
            (22, 0x04),
            (27, 0x14),
            (31, 0x18),
            (32, 0x28),
            (40, 0x02),
        ] {
            read[at] = value;
        }
        assert_eq!(Crc32c::of(&[0; 32]), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(Crc32c::of(&[0xff; 32]), [0x43, 0xab, 0xa8, 0x62]);
        assert_eq!(Crc32c::of(&rising), [0x4e, 0x79, 0xdd, 0x46]);
        assert_eq!(Crc32c::of(&falling), [0x5c, 0xdb, 0x3f, 0x11]);
        assert_eq!(Crc32c::of(&read), [0x56, 0x3a, 0x96, 0xd9]);
    }

    proptest! {
        #[test]
        fn pieces_make_the_whole(data: alloc::vec::Vec<u8>, cut: prop::sample::Index) {
            let (head, tail) = data.split_at(cut.index(data.len() + 1));
            let mut crc = Crc32c::new();
            crc.update(head);
            crc.update(tail);
            prop_assert_eq!(crc.finish(), Crc32c::of(&data));
        }
    }
}
