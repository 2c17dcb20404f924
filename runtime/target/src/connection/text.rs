//! Text segments: `key=value` pairs, each ended by a zero byte (RFC 7143 §6.1).

/// The longest text of one negotiation step, joined from all its PDUs.
pub(super) const MAX_TEXT: usize = 64 * 1024;

/// The longest value (RFC 7143 §6.1), for keys that do not say otherwise.
const MAX_VALUE: usize = 255;

/// The longest value of CHAP_C and CHAP_R: 1024 bytes in hexadecimal.
const MAX_BINARY_VALUE: usize = 2 + 2 * 1024;

/// A key and its value.
pub(super) type Pair = (String, String);

/// Parses a complete text. The error says what is wrong with it.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Pair>, String> {
    let Some(text) = text.strip_suffix(&[0]) else {
        return if text.is_empty() {
            Ok(vec![])
        } else {
            Err("text does not end with 0".into())
        };
    };
    text.split(|&byte| byte == 0).map(pair).collect()
}

fn pair(text: &[u8]) -> Result<Pair, String> {
    let text = std::str::from_utf8(text).map_err(|_| "text is not UTF-8".to_owned())?;
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} has no value"))?;
    let first = key
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_uppercase() || b == b'i');
    let rest = |b: u8| b.is_ascii_alphanumeric() || b".-+@_".contains(&b) || b"#/".contains(&b);
    if !first || key.len() > 63 || !key.bytes().all(rest) {
        return Err(format!("{key:?} is no key name"));
    }
    let limit = if key.starts_with("CHAP_") {
        MAX_BINARY_VALUE
    } else {
        MAX_VALUE
    };
    if value.len() > limit {
        return Err(format!("the value of {key} has {} bytes", value.len()));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// Formats a text.
pub(super) fn emit<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    pairs
        .into_iter()
        .flat_map(|(key, value)| format!("{key}={value}\0").into_bytes())
        .collect()
}

/// Removes the next piece of a text that is sent in several PDUs.
pub(super) fn take_piece(text: &mut Vec<u8>, limit: usize) -> Vec<u8> {
    let rest = text.split_off(limit.max(1).min(text.len()));
    std::mem::replace(text, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back() {
        let pairs = [
            ("InitiatorName", "iqn.1993-08.org:x"),
            ("X-vendor", ""),
            ("A", "b=c"),
        ];
        let parsed = parse(&emit(pairs)).unwrap();
        let parsed: Vec<_> = parsed
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(parsed, pairs);
        assert_eq!(parse(b""), Ok(vec![]));
    }

    #[test]
    fn nonsense_is_named() {
        let long = format!("Key={}\0", "x".repeat(256));
        for bad in [
            &b"A=b"[..],
            b"novalue\0",
            b"=x\0",
            b"1a=x\0",
            b"A=\xff\0",
            long.as_bytes(),
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
