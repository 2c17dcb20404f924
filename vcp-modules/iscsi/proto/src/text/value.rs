//! Typed values of keys (RFC 7143 §6.1): booleans, numbers, ranges, lists and binary
//! values in hexadecimal or Base64.

use alloc::string::String;
use alloc::vec::Vec;

use super::{MAX_VALUE_LEN, TextError};

/// `Yes` or `No`.
#[must_use]
pub const fn boolean_str(value: bool) -> &'static str {
    if value { "Yes" } else { "No" }
}

/// Reads `Yes` or `No`; case matters.
///
/// # Errors
/// [`TextError::Expected`].
pub fn boolean(value: &str) -> Result<bool, TextError> {
    match value {
        "Yes" => Ok(true),
        "No" => Ok(false),
        _ => Err(TextError::Expected("Yes or No")),
    }
}

/// Reads an unsigned number below 2⁶⁴, in decimal or after `0x` in hexadecimal.
///
/// # Errors
/// [`TextError::Expected`] for anything else, a sign or surrounding space included.
pub fn number(value: &str) -> Result<u64, TextError> {
    const WRONG: TextError = TextError::Expected("a number");
    let (digits, radix) = match hex_digits(value) {
        Some(digits) => (digits, 16),
        None => (value, 10),
    };
    if digits.is_empty() || value.len() > MAX_VALUE_LEN {
        return Err(WRONG);
    }
    digits
        .chars()
        .try_fold(0u64, |sum, digit| {
            let digit = u64::from(digit.to_digit(radix)?);
            sum.checked_mul(radix.into())?.checked_add(digit)
        })
        .ok_or(WRONG)
}

/// Reads a number from `min` to `max`.
///
/// # Errors
/// [`TextError::Expected`].
pub fn number_in(value: &str, min: u32, max: u32) -> Result<u32, TextError> {
    number(value)?
        .try_into()
        .ok()
        .filter(|n| (min..=max).contains(n))
        .ok_or(TextError::Expected("a number in its key's range"))
}

/// Reads a range `low~high` with `low ≤ high`.
///
/// # Errors
/// [`TextError::Expected`].
pub fn range(value: &str) -> Result<(u64, u64), TextError> {
    const WRONG: TextError = TextError::Expected("a range of numbers");
    let (low, high) = value.split_once('~').ok_or(WRONG)?;
    let (low, high) = (number(low)?, number(high)?);
    if low <= high {
        Ok((low, high))
    } else {
        Err(WRONG)
    }
}

/// The values of a comma-separated list, in the order of preference.
///
/// # Errors
/// [`TextError::Expected`] when one is empty or longer than [`MAX_VALUE_LEN`].
pub fn list(value: &str) -> Result<impl Iterator<Item = &str> + Clone, TextError> {
    let values = value.split(',');
    if values
        .clone()
        .all(|v| (1..=MAX_VALUE_LEN).contains(&v.len()))
    {
        Ok(values)
    } else {
        Err(TextError::Expected("a list of values"))
    }
}

/// Reads a binary value of at most `max` bytes: hexadecimal after `0x`, Base64 after
/// `0b`. An odd number of hexadecimal digits has a zero before them.
///
/// # Errors
/// [`TextError::Expected`]. No more than `max` bytes are allocated.
pub fn binary(value: &str, max: usize) -> Result<Vec<u8>, TextError> {
    if let Some(digits) = hex_digits(value) {
        decode_hex(digits.as_bytes(), max)
    } else if let Some(digits) = value
        .strip_prefix("0b")
        .or_else(|| value.strip_prefix("0B"))
    {
        decode_base64(digits.as_bytes(), max)
    } else {
        Err(TextError::Expected("a binary value"))
    }
}

/// Writes a binary value in hexadecimal, with `0x` before it.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|b| [b >> 4, b & 15]);
    "0x".chars()
        .chain(digits.map(|d| char::from(DIGITS[usize::from(d)])))
        .collect()
}

/// Writes a binary value in Base64, with `0b` before it.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 + bytes.len().div_ceil(3) * 4);
    out.push_str("0b");
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |g, &b| g << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (group >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() {
                BASE64[digit as usize].into()
            } else {
                '='
            });
        }
    }
    out
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn hex_digits(value: &str) -> Option<&str> {
    value
        .strip_prefix("0x")
        .or_else(|| value.strip_prefix("0X"))
}

fn decode_hex(digits: &[u8], max: usize) -> Result<Vec<u8>, TextError> {
    const WRONG: TextError = TextError::Expected("hexadecimal");
    if digits.is_empty() {
        return Err(WRONG);
    }
    let len = digits.len().div_ceil(2);
    if len > max {
        return Err(TextError::Expected("short enough"));
    }
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let (first, pairs) = digits.split_at(digits.len() % 2);
    let mut out = Vec::with_capacity(len);
    for pair in [first]
        .into_iter()
        .filter(|f| !f.is_empty())
        .chain(pairs.chunks(2))
    {
        let byte = pair
            .iter()
            .try_fold(0, |byte, &b| Some(byte << 4 | digit(b)?));
        out.push(byte.ok_or(WRONG)?);
    }
    Ok(out)
}

fn decode_base64(digits: &[u8], max: usize) -> Result<Vec<u8>, TextError> {
    const WRONG: TextError = TextError::Expected("Base64");
    let pad = digits.iter().rev().take_while(|&&b| b == b'=').count();
    let digits_only = &digits[..digits.len() - pad];
    if digits_only.is_empty() || pad > 2 || !digits.len().is_multiple_of(4) {
        return Err(WRONG);
    }
    let len = digits_only.len() * 6 / 8;
    if len > max {
        return Err(TextError::Expected("short enough"));
    }
    let mut out = Vec::with_capacity(len);
    for chunk in digits_only.chunks(4) {
        let mut group = 0u32;
        for &b in chunk {
            group = group << 6 | u32::from(base64_digit(b).ok_or(WRONG)?);
        }
        group <<= 6 * (4 - chunk.len());
        let bytes = group.to_be_bytes();
        let count = chunk.len() * 6 / 8;
        if bytes[1 + count..].iter().any(|&b| b != 0) {
            return Err(WRONG);
        }
        out.extend_from_slice(&bytes[1..1 + count]);
    }
    Ok(out)
}

const fn base64_digit(b: u8) -> Option<u8> {
    match b {
        b'A'..=b'Z' => Some(b - b'A'),
        b'a'..=b'z' => Some(b - b'a' + 26),
        b'0'..=b'9' => Some(b - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(number("0xFFff"), Ok(0xffff));
        assert_eq!(number("0X10"), Ok(16));
        for bad in [
            "",
            "+1",
            "-1",
            " 1",
            "1 ",
            "0x",
            "18446744073709551616",
            "1e3",
            "0b11",
            "０",
        ] {
            assert!(number(bad).is_err(), "{bad:?}");
        }
        assert_eq!(number_in("512", 512, 1024), Ok(512));
        assert!(number_in("511", 512, 1024).is_err());
        assert!(number_in("4294967808", 512, 1024).is_err());
    }

    #[test]
    fn ranges_and_lists() {
        assert_eq!(range("2~0x10"), Ok((2, 16)));
        for bad in ["2", "~2", "3~2", "1~2~3"] {
            assert!(range(bad).is_err(), "{bad:?}");
        }
        assert!(list("CHAP,None").unwrap().eq(["CHAP", "None"]));
        assert!(list("").is_err());
        assert!(list("CHAP,,None").is_err());
        assert!(list(&"x".repeat(256)).is_err());
    }

    #[test]
    fn booleans() {
        assert_eq!(boolean("Yes"), Ok(true));
        assert_eq!(boolean("No"), Ok(false));
        assert!(boolean("yes").is_err());
    }

    #[test]
    fn binary_values() {
        assert_eq!(binary("0x0aFf", 2).unwrap(), [0x0a, 0xff]);
        assert_eq!(binary("0xabc", 2).unwrap(), [0x0a, 0xbc]);
        assert!(binary("0x010203", 2).is_err());
        assert_eq!(binary("0bAQID", 3).unwrap(), [1, 2, 3]);
        assert_eq!(binary("0BAQI=", 3).unwrap(), [1, 2]);
        assert_eq!(binary("0bAQ==", 1).unwrap(), [1]);
        for bad in [
            "", "0x", "0b", "12", "0xg0", "0bAQI", "0bA===", "0b====", "0bAR==", "0bA=ID",
        ] {
            assert!(binary(bad, 64).is_err(), "{bad:?}");
        }
        assert!(binary("0bAQID", 2).is_err());
    }

    proptest! {
        #[test]
        fn binary_round_trip(bytes in prop::collection::vec(any::<u8>(), 1..100)) {
            prop_assert_eq!(binary(&hex(&bytes), 100).unwrap(), bytes.clone());
            prop_assert_eq!(binary(&base64(&bytes), 100).unwrap(), bytes);
        }

        #[test]
        fn no_value_panics(value: String, max in 0usize..64) {
            let _ = (boolean(&value), number(&value), range(&value));
            let _ = list(&value).map(Iterator::count);
            for prefix in ["", "0x", "0b"] {
                if let Ok(bytes) = binary(&alloc::format!("{prefix}{value}"), max) {
                    prop_assert!(bytes.len() <= max);
                }
            }
        }
    }
}
