//! Random bytes from the caller's seed: SHA-256 of seed and counter. The same seed gives
//! the same run.

use sha2::{Digest, Sha256};

/// The source of all unpredictable values.
pub(crate) struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl core::fmt::Debug for Random {
    /// The seed is not shown: it would allow to predict challenges.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// Returns 32 bytes that were never returned before.
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
