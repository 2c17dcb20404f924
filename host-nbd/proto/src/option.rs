//! Parsing of option data ("Option types"). Everything is checked against the
//! length that the option's header gave; nothing is copied but names.

use crate::wire::{BASE_ALLOCATION, MAX_STRING, info};

/// Why option data was refused: a line for the client.
pub(crate) type Malformed = &'static str;

/// A cursor over option data.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self
            .0
            .split_at_checked(length)
            .ok_or("option data is too short")?;
        self.0 = tail;
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A string preceded by its length.
    fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| "string is too long")?;
        if length > MAX_STRING {
            return Err("string is longer than 4096 bytes");
        }
        self.take(length)
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err("option data is too long")
        }
    }
}

/// An export's name as sent by a client: UTF-8 without NUL, at most 4096 bytes.
pub(crate) fn export_name(bytes: &[u8]) -> Result<String, Malformed> {
    if bytes.len() > MAX_STRING {
        return Err("export name is longer than 4096 bytes");
    }
    let name = std::str::from_utf8(bytes).map_err(|_| "export name is not UTF-8")?;
    if name.contains('\0') {
        return Err("export name contains NUL");
    }
    Ok(name.to_owned())
}

/// The information requests of `INFO` and `GO` that matter to this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    pub(crate) name: bool,
    pub(crate) description: bool,
}

/// Data of `INFO` and `GO`.
pub(crate) fn info(data: &[u8]) -> Result<(String, Wanted), Malformed> {
    let mut reader = Reader(data);
    let name = export_name(reader.string()?)?;
    let count = reader.u16()?;
    let mut wanted = Wanted::default();
    for _ in 0..count {
        match reader.u16()? {
            info::NAME => wanted.name = true,
            info::DESCRIPTION => wanted.description = true,
            _ => {}
        }
    }
    reader.end()?;
    Ok((name, wanted))
}

/// Whether an option about metadata contexts lists or selects them. The
/// wildcard `base:` and an empty list of queries count only for the former.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetaVerb {
    List,
    Set,
}

/// Data of `LIST_META_CONTEXT` and `SET_META_CONTEXT`: the export's name, and
/// whether the queries match `base:allocation`.
pub(crate) fn meta_context(data: &[u8], verb: MetaVerb) -> Result<(String, bool), Malformed> {
    let mut reader = Reader(data);
    let name = export_name(reader.string()?)?;
    let count = reader.u32()?;
    let mut matched = count == 0 && verb == MetaVerb::List;
    for _ in 0..count {
        let query = reader.string()?;
        matched |=
            query == BASE_ALLOCATION.as_bytes() || (verb == MetaVerb::List && query == b"base:");
    }
    reader.end()?;
    Ok((name, matched))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(text);
        out
    }

    #[test]
    fn info_lists_what_is_wanted() {
        let mut data = string(b"disk");
        data.extend_from_slice(&[0, 3, 0, 3, 0, 99, 0, 1]);
        let (name, wanted) = info(&data).unwrap();
        assert_eq!(name, "disk");
        assert_eq!(
            wanted,
            Wanted {
                name: true,
                description: false,
            }
        );
        for cut in 0..data.len() {
            assert!(info(&data[..cut]).is_err(), "cut at {cut}");
        }
        data.push(0);
        assert!(info(&data).is_err());
    }

    #[test]
    fn names_are_strings_of_the_protocol() {
        assert_eq!(export_name(b"").unwrap(), "");
        assert!(export_name(b"a\0b").is_err());
        assert!(export_name(b"\xff").is_err());
        assert!(export_name(&[b'a'; MAX_STRING]).is_ok());
        assert!(export_name(&[b'a'; MAX_STRING + 1]).is_err());
        let mut huge = u32::MAX.to_be_bytes().to_vec();
        huge.extend_from_slice(b"abc");
        assert!(info(&huge).is_err());
    }

    #[test]
    fn queries_match_as_the_document_says() {
        let ask = |queries: &[&[u8]], verb| {
            let mut data = string(b"x");
            data.extend_from_slice(&u32::try_from(queries.len()).unwrap().to_be_bytes());
            for query in queries {
                data.extend_from_slice(&string(query));
            }
            meta_context(&data, verb).unwrap().1
        };
        use MetaVerb::{List, Set};
        assert!(ask(&[], List));
        assert!(!ask(&[], Set));
        assert!(ask(&[b"base:"], List));
        assert!(!ask(&[b"base:"], Set));
        for verb in [List, Set] {
            assert!(ask(&[b"qemu:dirty-bitmap:a", b"base:allocation"], verb));
            assert!(!ask(
                &[b"base:allocatio", b"base:allocation2", b"other"],
                verb
            ));
        }
        // The list promises one query more than it has.
        let mut short = string(b"x");
        short.extend_from_slice(&u32::MAX.to_be_bytes());
        assert!(meta_context(&short, Set).is_err());
    }
}
