//! The names by which clients choose exports.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;
use crate::model::Name;

/// The longest name, in bytes. The protocol allows 4096, but clients and file systems
/// allow less.
const LONGEST: usize = 255;

/// The name of an export, as an NBD client asks for it: 1 to 255 bytes of UTF-8 in one
/// line, without white space around it. It does not begin with `/`: qemu removes that
/// from the path of a URI, and `/dev/nbd0` is a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExportName(String);

impl ExportName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExportName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let fits = (1..=LONGEST).contains(&text.len())
            && text.trim() == text
            && text.chars().all(is_shown)
            && !text.starts_with('/');
        fits.then(|| Self(text.to_owned())).ok_or_else(|| {
            Invalid::new(
                "the name of an export: 1 to 255 bytes in one line, without space around it or \"/\" in front",
                text,
            )
        })
    }
}

/// Whether a character is displayed in its place, unchanged: no control character, no
/// line end, and none that changes the direction of writing.
fn is_shown(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let space = c.is_whitespace() && c != ' ';
    !c.is_control() && !space && !turns && c != '\u{feff}'
}

/// An export may have the name of its VCP.
impl From<Name> for ExportName {
    fn from(name: Name) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl Borrow<str> for ExportName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ExportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_clients_use() {
        for name in [
            "disk0",
            "iqn.2026-11.example:disk/1",
            "Ünïcode disk",
            "日本語",
            "a/b?c#d%e&f=g",
            "\"quoted\" \\ 'names'",
            "a//b/",
            ".",
            &"x".repeat(255),
        ] {
            assert_eq!(name.parse::<ExportName>().unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_is_no_name() {
        for name in [
            "",
            " a",
            "a ",
            "a\u{a0}b",
            "a\nb",
            "a\0b",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{2028}b",
            "\u{202e}a",
            "/",
            "/dev/nbd0",
            &"x".repeat(256),
            &"ü".repeat(128),
        ] {
            assert!(name.parse::<ExportName>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn every_name_of_a_vcp_is_one() {
        for name in ["a", "0.b_c-d", &"x".repeat(63)] {
            let name: Name = name.parse().unwrap();
            let same: ExportName = name.as_str().parse().unwrap();
            assert_eq!(ExportName::from(name), same);
        }
    }
}
