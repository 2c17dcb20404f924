//! What is written: every block says which write it is of and where it belongs,
//! and is wrong as a whole if a byte of it is.

use crate::random::mix;

/// Bytes of a block: the unit that the oracle knows.
pub const BLOCK: usize = 512;

/// The number of a write, unlike all others; 0 for zeroes.
pub type Version = u32;

const WORDS: usize = BLOCK / 8;
const KEY: u64 = 0x5bd1_e995_9e37_79b9;

fn first_word(version: Version, block: u32) -> u64 {
    (u64::from(version) << 32 | u64::from(block)) ^ KEY
}

fn word(first: u64, at: usize) -> u64 {
    mix(first).wrapping_add((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Fills whole blocks, of which the first is `block`, with what that write has
/// there.
pub fn fill(bytes: &mut [u8], block: u32, version: Version) {
    for (bytes, block) in bytes.chunks_exact_mut(BLOCK).zip(block..) {
        if version == 0 {
            bytes.fill(0);
            continue;
        }
        let first = first_word(version, block);
        bytes[..8].copy_from_slice(&first.to_le_bytes());
        for (at, bytes) in bytes.chunks_exact_mut(8).enumerate().skip(1) {
            bytes.copy_from_slice(&word(first, at).to_le_bytes());
        }
    }
}

/// Which write a block is of; `None` when it is of none, or of another block.
pub fn version_of(bytes: &[u8], block: u32) -> Option<Version> {
    if bytes.iter().all(|&byte| byte == 0) {
        return Some(0);
    }
    let first = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let (plain, version) = (first ^ KEY, ((first ^ KEY) >> 32) as Version);
    let whole = (1..WORDS).all(|at| bytes[at * 8..at * 8 + 8] == word(first, at).to_le_bytes());
    (whole && version != 0 && plain as u32 == block).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_says_what_it_is_and_any_wrong_byte_shows() {
        let mut bytes = vec![0; 2 * BLOCK];
        assert_eq!(version_of(&bytes[..BLOCK], 7), Some(0));
        fill(&mut bytes, 7, 123);
        assert_eq!(version_of(&bytes[..BLOCK], 7), Some(123));
        assert_eq!(version_of(&bytes[BLOCK..], 8), Some(123));
        assert_eq!(version_of(&bytes[BLOCK..], 7), None);
        for at in 0..BLOCK {
            bytes[at] ^= 0x10;
            assert_eq!(version_of(&bytes[..BLOCK], 7), None, "byte {at}");
            bytes[at] ^= 0x10;
        }
    }
}
