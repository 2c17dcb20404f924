//! CRC32C as digests carry it (RFC 7143 §13.1): least significant byte first.

/// The digest of `bytes`.
pub(super) fn crc32c(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).to_le_bytes()
}

#[cfg(test)]
mod tests {
    #[test]
    fn examples_of_the_standard() {
        // The examples are those of RFC 3720 §B.4.
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(super::crc32c(&[0; 32]), [0xaa, 0x36, 0x91, 0x8a]);
        assert_eq!(super::crc32c(&[0xff; 32]), [0x43, 0xab, 0xa8, 0x62]);
        assert_eq!(super::crc32c(&rising), [0x4e, 0x79, 0xdd, 0x46]);
    }
}
