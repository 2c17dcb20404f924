//! The Internet checksum (RFC 1071) of TCP segments, and the partial sums that checksum
//! offload needs.

/// Adds up `data` as native-endian 16-bit words, an odd byte padded with zero. The byte
/// order is corrected once, in [`fold`] (RFC 1071 §2 (B)).
///
/// It adds four words a round: in the sandbox each round of a loop costs extra, and four
/// independent sums keep the CPU busy.
fn sum(data: &[u8], total: u64) -> u64 {
    let mut sums = [total, 0, 0, 0];
    let mut blocks = data.chunks_exact(32);
    for block in &mut blocks {
        let (words, _) = block.as_chunks();
        for (sum, word) in sums.iter_mut().zip(words) {
            *sum += halves(*word);
        }
    }
    let words = blocks.remainder().chunks(8);
    let rest: u64 = words.map(|word| halves(padded(word))).sum();
    // Each sum grows by less than 2^33 for every eight bytes, so no frame's length
    // overflows it.
    sums.iter().sum::<u64>() + rest
}

/// The two halves of eight bytes, added up.
fn halves(word: [u8; 8]) -> u64 {
    let word = u64::from_ne_bytes(word);
    (word & 0xffff_ffff) + (word >> 32)
}

fn padded(bytes: &[u8]) -> [u8; 8] {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    padded
}

fn fold(mut total: u64) -> u16 {
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    u16::from_be_bytes((total as u16).to_ne_bytes())
}

/// The folded, un-inverted sum of a TCP pseudo-header, which offload expects in the
/// checksum field. `addresses` holds source and destination, 8 or 32 bytes; `length` is
/// that of the segment, header included.
pub(crate) fn pseudo_header(addresses: &[u8], length: usize) -> u16 {
    let mut tail = [0; 8];
    tail[..4].copy_from_slice(&(length as u32).to_be_bytes());
    tail[7] = 6;
    fold(sum(&tail, sum(addresses, 0)))
}

/// The checksum that completes `segment`, whose checksum field already holds its
/// [`pseudo_header`] sum.
pub(crate) fn complete(segment: &[u8]) -> u16 {
    !fold(sum(segment, 0))
}

/// Whether `segment`'s checksum is right.
pub(crate) fn verify(addresses: &[u8], segment: &[u8]) -> bool {
    let pseudo = u16::from_ne_bytes(pseudo_header(addresses, segment.len()).to_be_bytes());
    fold(sum(segment, u64::from(pseudo))) == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 §4.1, word by word.
    fn slow(data: &[u8]) -> u16 {
        let mut total = 0u32;
        for pair in data.chunks(2) {
            total += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            total = (total & 0xffff) + (total >> 16);
        }
        total as u16
    }

    #[test]
    fn example_of_rfc_1071() {
        assert_eq!(
            fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0)),
            0xddf2
        );
    }

    proptest! {
        #[test]
        fn equals_the_plain_sum(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(fold(sum(&data, 0)), slow(&data));
        }

        #[test]
        fn completed_segments_verify_and_flipped_ones_do_not(
            addresses in proptest::collection::vec(any::<u8>(), 8),
            mut segment in proptest::collection::vec(any::<u8>(), 20..100),
            at in any::<proptest::sample::Index>(),
            bit in 0u8..8,
        ) {
            let sum = pseudo_header(&addresses, segment.len());
            segment[16..18].copy_from_slice(&sum.to_be_bytes());
            let check = complete(&segment);
            segment[16..18].copy_from_slice(&check.to_be_bytes());
            prop_assert!(verify(&addresses, &segment));
            let at = at.index(segment.len());
            segment[at] ^= 1 << bit;
            prop_assert!(!verify(&addresses, &segment));
        }
    }
}
