//! Bytes that say where they come from: the same place has other bytes in every
//! attempt to fill it, and in the memory before.

/// The side that wrote a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Nobody: what lay in the room of the request with this tag when it was submitted.
    Stale(u64),
    /// The owner of the write with this tag.
    Owner(u64),
    /// The responder, in this attempt.
    Attempt(usize),
}

impl Source {
    fn seed(self) -> u32 {
        let (kind, number) = match self {
            Self::Stale(tag) => (1, tag as u32),
            Self::Owner(tag) => (2, tag as u32),
            Self::Attempt(id) => (3, id as u32),
        };
        (number << 2 | kind).wrapping_mul(0x9e37_79b1)
    }

    /// The bytes from `offset` on.
    pub(super) fn fill(self, offset: u32, out: &mut [u8]) {
        let seed = self.seed();
        for (at, out) in (offset..).zip(out) {
            *out = byte(seed, at);
        }
    }

    /// Whether these are the bytes from `offset` on.
    pub(super) fn is_of(self, offset: u32, bytes: &[u8]) -> bool {
        let seed = self.seed();
        (offset..).zip(bytes).all(|(at, &b)| b == byte(seed, at))
    }
}

fn byte(seed: u32, offset: u32) -> u8 {
    let mixed = (seed ^ offset).wrapping_mul(0x85eb_ca6b);
    (mixed >> 24) as u8 ^ (mixed >> 13) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not by chance the same, neither in another attempt nor at another place.
    #[test]
    fn sources_differ() {
        let make = |source: Source, offset| {
            let mut bytes = [0; 64];
            source.fill(offset, &mut bytes);
            bytes
        };
        let mut all = Vec::new();
        for number in 0..50 {
            for offset in (0..8192).step_by(512) {
                all.push(make(Source::Stale(number), offset));
                all.push(make(Source::Owner(number), offset));
                all.push(make(Source::Attempt(number as usize), offset));
            }
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        let bytes = make(Source::Owner(7), 512);
        assert!(Source::Owner(7).is_of(512, &bytes));
        assert!(!Source::Owner(7).is_of(513, &bytes) && !Source::Owner(8).is_of(512, &bytes));
    }
}
