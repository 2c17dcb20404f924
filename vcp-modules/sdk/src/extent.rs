//! Extents, as in the completion of `Operation::Extents`.

/// A run of bytes of one kind, starting where the one before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The length in bytes: a multiple of the device's blocks, and not 0.
    pub length: u32,
    /// Whether nothing is allocated for it.
    pub hole: bool,
    /// Whether it reads as zeroes.
    pub zero: bool,
}

impl Extent {
    /// The size of an encoded extent in bytes.
    pub const SIZE: usize = 8;
    /// The most extents of an answer.
    pub const MOST: usize = 512;

    /// The encoding in an answer (`vcp:block/types.operation.extents`).
    pub fn encode(self) -> [u8; Self::SIZE] {
        let flags = u32::from(self.hole) | u32::from(self.zero) << 1;
        let mut bytes = [0; Self::SIZE];
        let (length, kind) = bytes.split_at_mut(4);
        length.copy_from_slice(&self.length.to_le_bytes());
        kind.copy_from_slice(&flags.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extents_are_two_little_endian_words() {
        let extent = |hole, zero| Extent {
            length: 0x0102_0304,
            hole,
            zero,
        };
        assert_eq!(extent(false, false).encode(), [4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(extent(true, false).encode(), [4, 3, 2, 1, 1, 0, 0, 0]);
        assert_eq!(extent(false, true).encode(), [4, 3, 2, 1, 2, 0, 0, 0]);
        assert_eq!(extent(true, true).encode(), [4, 3, 2, 1, 3, 0, 0, 0]);
    }
}
