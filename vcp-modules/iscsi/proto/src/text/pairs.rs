//! Reading `key=value` pairs from a complete text (RFC 7143 §6.1).

use super::{MAX_KEY_LEN, TextError};

/// One pair. The key is well-formed; the value is UTF-8 without control characters
/// and may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The text before the first equals sign.
    pub key: &'a str,
    /// The text after it.
    pub value: &'a str,
}

/// Iterates over the pairs of a text whose last PDU has arrived. Zero bytes between
/// pairs and at the end are skipped, because some peers pad with them. Ends after the
/// first error.
#[must_use]
pub const fn pairs(text: &[u8]) -> Pairs<'_> {
    Pairs { rest: text }
}

/// See [`pairs`].
#[derive(Debug, Clone)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<Pair<'a>, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = core::mem::take(&mut self.rest);
        let start = text.iter().position(|&b| b != 0)?;
        let text = &text[start..];
        let Some(end) = text.iter().position(|&b| b == 0) else {
            return Some(Err(TextError::Unterminated));
        };
        let pair = parse(&text[..end]);
        if pair.is_ok() {
            self.rest = &text[end..];
        }
        Some(pair)
    }
}

fn parse(text: &[u8]) -> Result<Pair<'_>, TextError> {
    let equals = text
        .iter()
        .position(|&b| b == b'=')
        .ok_or(TextError::NoEquals)?;
    let key = str::from_utf8(&text[..equals]).map_err(|_| TextError::BadKey)?;
    if !is_key(key) {
        return Err(TextError::BadKey);
    }
    let value = str::from_utf8(&text[equals + 1..]).map_err(|_| TextError::BadValue)?;
    if !is_value(value) {
        return Err(TextError::BadValue);
    }
    Ok(Pair { key, value })
}

/// True for a string that can be a key: letters, digits and `.-+@_`, beginning with a
/// letter. The standard wants a capital one, but its own iSCSIProtocolLevel has none;
/// keys of vendors hold a `#` after `X` (RFC 7143 §6.1, §13.22).
pub(super) fn is_key(key: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b".-+@_#".contains(&b);
    key.len() <= MAX_KEY_LEN
        && key.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && key.bytes().all(inside)
}

/// True for a string that can be a value.
pub(super) fn is_value(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn read(text: &[u8]) -> Result<Vec<(&str, &str)>, TextError> {
        pairs(text)
            .map(|pair| pair.map(|p| (p.key, p.value)))
            .collect()
    }

    #[test]
    fn a_login() {
        let text =
            b"InitiatorName=iqn.2026-11.example:host\0SessionType=Normal\0AuthMethod=CHAP,None\0";
        assert_eq!(
            read(text).unwrap(),
            [
                ("InitiatorName", "iqn.2026-11.example:host"),
                ("SessionType", "Normal"),
                ("AuthMethod", "CHAP,None"),
            ]
        );
    }

    #[test]
    fn zeros_between_and_after_are_skipped() {
        assert_eq!(read(b"\0A=1\0\0B=\0\0\0").unwrap(), [("A", "1"), ("B", "")]);
        assert_eq!(read(b"").unwrap(), []);
        assert_eq!(read(b"\0\0\0").unwrap(), []);
        assert_eq!(read(b"A=b=c\0").unwrap(), [("A", "b=c")]);
    }

    #[test]
    fn malformed_text_is_refused() {
        assert_eq!(read(b"A=1\0B=2"), Err(TextError::Unterminated));
        assert_eq!(read(b"A=1\0B\0"), Err(TextError::NoEquals));
        assert_eq!(read(b"=1\0"), Err(TextError::BadKey));
        assert_eq!(read(b"A b=1\0"), Err(TextError::BadKey));
        assert_eq!(read(b"7A=1\0"), Err(TextError::BadKey));
        assert_eq!(read(b"A=\xff\0"), Err(TextError::BadValue));
        assert_eq!(read(b"A=\n\0"), Err(TextError::BadValue));
        let long = [&[b'A'; 64][..], b"=1\0"].concat();
        assert_eq!(read(&long), Err(TextError::BadKey));
        assert!(read(&long[1..]).is_ok());
    }

    #[test]
    fn nothing_follows_an_error() {
        assert_eq!(pairs(b"A\0B=1\0").count(), 1);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_end(text: Vec<u8>) {
            prop_assert!(pairs(&text).count() <= text.len());
        }

        #[test]
        fn what_is_written_is_read(
            given in prop::collection::vec(("[A-Z][a-zA-Z0-9.+@_-]{0,20}", "[ -~é]{0,40}"), 0..8)
        ) {
            let mut writer = super::super::Writer::new();
            for (key, value) in &given {
                writer.put(key, value);
            }
            let text = writer.into_bytes();
            let found: Result<Vec<(String, String)>, _> = pairs(&text)
                .map(|pair| pair.map(|p| (p.key.into(), p.value.into())))
                .collect();
            prop_assert_eq!(found.unwrap(), given);
        }
    }
}
