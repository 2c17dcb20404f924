//! Random bytes out of the seed that the caller gave: SHA-256 of seed and counter.
//! The same seed gives the same run.

use sha2::{Digest, Sha256};

/// The source of everything unpredictable.
pub(crate) struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl core::fmt::Debug for Random {
    /// Whoever knew the seed could predict challenges.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// 32 bytes that were never given out before.
    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        self.counter += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.counter.to_be_bytes());
        hash.finalize().into()
    }

    pub(crate) fn number(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_with_the_seed_and_not_within() {
        let mut one = Random::new([1; 32]);
        let mut two = Random::new([1; 32]);
        assert_eq!(one.bytes(), two.bytes());
        assert_ne!(one.bytes(), one.bytes());
        assert_ne!(Random::new([2; 32]).number(), Random::new([1; 32]).number());
    }
}
