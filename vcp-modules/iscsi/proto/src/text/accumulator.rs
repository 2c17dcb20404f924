//! Text that goes on over several PDUs (the C bit, RFC 7143 §6.2).

use alloc::vec::Vec;

use super::TextError;

/// Joins the data segments of PDUs until one comes without the C bit. Holds at most
/// `limit` bytes, whatever the peer sends.
#[derive(Debug, Clone)]
pub struct Accumulator {
    text: Vec<u8>,
    limit: usize,
}

impl Accumulator {
    /// Takes up to `limit` bytes; at least 8192
    /// if peers are to be satisfied.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            text: Vec::new(),
            limit,
        }
    }

    /// Adds a data segment, without its padding.
    ///
    /// # Errors
    /// [`TextError::TooLong`]; what was there before stays.
    pub fn push(&mut self, segment: &[u8]) -> Result<(), TextError> {
        if segment.len() > self.limit - self.text.len() {
            return Err(TextError::TooLong(self.limit));
        }
        self.text.extend_from_slice(segment);
        Ok(())
    }

    /// Hands out the text and begins anew.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.text)
    }

    /// True when nothing is waiting for its continuation.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Pair, pairs};

    #[test]
    fn a_pair_may_span_segments() {
        let mut text = Accumulator::new(16);
        text.push(b"MaxBurs").unwrap();
        text.push(b"tLen=1\0").unwrap();
        let bytes = text.take();
        assert!(text.is_empty());
        let all: Vec<_> = pairs(&bytes).collect();
        assert_eq!(
            all,
            [Ok(Pair {
                key: "MaxBurstLen",
                value: "1"
            })]
        );
    }

    #[test]
    fn the_limit_holds() {
        let mut text = Accumulator::new(4);
        text.push(b"abc").unwrap();
        assert_eq!(text.push(b"de"), Err(TextError::TooLong(4)));
        text.push(b"d").unwrap();
        assert_eq!(text.take(), b"abcd");
    }
}
