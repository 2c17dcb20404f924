//! Access to the unix sockets of an export, by mode and group of their files.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

/// The mode of a socket's file, in octal: `0660`. Whoever may write to it may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// The permission bits, at most 0o777.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

/// By default only the user that runs the host may connect.
impl Default for SocketMode {
    fn default() -> Self {
        Self(0o600)
    }
}

impl FromStr for SocketMode {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        // A mode has three digits, with or without the 0 in front that marks octal
        // numbers.
        let fits = text.len() == 3 || (text.len() == 4 && text.starts_with('0'));
        let mode = u32::from_str_radix(text, 8).ok();
        let mode = mode.filter(|_| digits && fits);
        mode.map(Self)
            .ok_or_else(|| Invalid::new("a mode in octal, such as \"0660\"", text))
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0{:03o}", self.0)
    }
}

/// The group of a socket's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketGroup {
    /// A group given by its number.
    Id(u32),
    /// A group given by its name; whether it exists is for the host to find out.
    Name(String),
}

impl FromStr for SocketGroup {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("the name or the number of a group, such as \"disk\"", text);
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            // The highest number stands for "none" (chown(2)).
            let number = text.parse().ok().filter(|number| *number != u32::MAX);
            return number.map(Self::Id).ok_or_else(invalid);
        }
        // Group names do not contain the separators of group databases.
        let inner = |c: char| !c.is_control() && !c.is_whitespace() && !":,/".contains(c);
        let fits = (1..=256).contains(&text.len()) && !text.starts_with(['-', '+']);
        (fits && text.chars().all(inner))
            .then(|| Self::Name(text.to_owned()))
            .ok_or_else(invalid)
    }
}

impl fmt::Display for SocketGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketGroup::Id(number) => number.fmt(f),
            SocketGroup::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        for (text, bits, shown) in [
            ("0660", 0o660, "0660"),
            ("666", 0o666, "0666"),
            ("000", 0, "0000"),
            ("0077", 0o077, "0077"),
        ] {
            let mode: SocketMode = text.parse().unwrap();
            assert_eq!((mode.bits(), mode.to_string().as_str()), (bits, shown));
        }
        for bad in [
            "", "0", "66", "0o660", "1660", "0668", "rw-", "00660", "+66",
        ] {
            assert!(bad.parse::<SocketMode>().is_err(), "{bad}");
        }
    }

    #[test]
    fn groups_are_names_or_numbers() {
        for (text, group) in [
            ("6", SocketGroup::Id(6)),
            ("disk", SocketGroup::Name("disk".into())),
            ("6disk", SocketGroup::Name("6disk".into())),
            (
                "DOM\\domain.users",
                SocketGroup::Name("DOM\\domain.users".into()),
            ),
        ] {
            assert_eq!(text.parse::<SocketGroup>().as_ref(), Ok(&group));
            assert_eq!(group.to_string(), text);
        }
        for bad in [
            "",
            "-1",
            "+1",
            "a b",
            "a:b",
            "4294967295",
            "99999999999",
            "a\n",
        ] {
            assert!(bad.parse::<SocketGroup>().is_err(), "{bad}");
        }
    }
}
