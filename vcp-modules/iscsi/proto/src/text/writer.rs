//! Making negotiation text.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use super::pairs::{is_key, is_value};

/// Collects `key=value` pairs, each ended by a zero byte. The text may be cut anywhere
/// to fit into PDUs, all but the last with the C bit set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writer {
    text: Vec<u8>,
}

impl Writer {
    /// Begins with no pair.
    #[must_use]
    pub const fn new() -> Self {
        Self { text: Vec::new() }
    }

    /// Appends a pair. The value is whatever displays as one: a string, a number.
    ///
    /// # Panics
    /// Debug builds, for a key or value that no peer could read back. Release builds
    /// leave zero bytes out, so that a value can never smuggle in another pair.
    pub fn put(&mut self, key: &str, value: impl fmt::Display) {
        debug_assert!(is_key(key), "not a key: {key:?}");
        let mut sink = Sink(&mut self.text);
        // Writing to a vector can't fail, and a `Display` that fails ends its value early.
        let _ = write!(sink, "{key}={value}");
        self.text.push(0);
    }

    /// Appends `key=Yes` or `key=No`.
    pub fn put_bool(&mut self, key: &str, value: bool) {
        self.put(key, super::value::boolean_str(value));
    }

    /// True when no pair was put.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Length of the text in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.text.len()
    }

    /// The text so far.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    /// The text.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.text
    }
}

struct Sink<'a>(&'a mut Vec<u8>);

impl fmt::Write for Sink<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        debug_assert!(is_value(s), "not a value: {s:?}");
        self.0.extend(s.bytes().filter(|&b| b != 0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_end_with_zero() {
        let mut writer = Writer::new();
        assert!(writer.is_empty());
        writer.put("MaxBurstLength", 262_144);
        writer.put_bool("InitialR2T", false);
        assert_eq!(writer.as_bytes(), b"MaxBurstLength=262144\0InitialR2T=No\0");
        assert_eq!(writer.len(), 36);
    }
}
