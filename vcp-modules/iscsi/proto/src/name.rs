//! iSCSI names: `iqn.`, `eui.` and `naa.` (RFC 7143 §4.2.7).

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

/// Longest name in bytes.
pub const MAX_NAME_LEN: usize = 223;

/// A valid iSCSI name, as it was given. Two names are the same when their
/// [normal forms](Self::normal) are, byte for byte.
///
/// The form that was given is kept, because there are targets that know a name in one
/// form only.
#[derive(Debug, Clone)]
pub struct IscsiName(String);

/// An error of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name doesn't begin with `iqn.`, `eui.` or `naa.`.
    #[error("an iSCSI name begins with iqn., eui. or naa.")]
    Type,
    /// The name has more than [`MAX_NAME_LEN`] bytes.
    #[error("an iSCSI name has at most {MAX_NAME_LEN} bytes")]
    TooLong,
    /// The name contains an invalid character.
    #[error("{0:?} has no place in an iSCSI name")]
    Character(char),
    /// The name is not `iqn.` with year, month and a domain.
    #[error(
        "an iqn. name goes on with year, month and a reversed domain: iqn.2026-11.com.example:disk"
    )]
    Iqn,
    /// The name does not have 16 hexadecimal digits.
    #[error("an eui. name goes on with 16 hexadecimal digits")]
    Eui,
    /// The name has neither 16 nor 32 hexadecimal digits.
    #[error("an naa. name goes on with 16 or 32 hexadecimal digits")]
    Naa,
}

impl IscsiName {
    /// Checks a name. Its normal form is lower case.
    ///
    /// The allowed characters are ASCII letters, digits, `-`, `.` and `:` (RFC 3722), and
    /// `_`, which RFC 3722 forbids but existing targets use. Other alphabets would need
    /// full stringprep, and are refused.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.len() > MAX_NAME_LEN {
            return Err(NameError::TooLong);
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "-.:_".contains(*c);
        if let Some(c) = name.chars().find(|c| !allowed(c)) {
            return Err(NameError::Character(c));
        }
        let is_hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
        let normal = name.to_ascii_lowercase();
        match normal.split_once('.') {
            Some(("iqn", rest)) if is_dated_domain(rest) => {}
            Some(("iqn", _)) => return Err(NameError::Iqn),
            Some(("eui", id)) if id.len() == 16 && is_hex(id) => {}
            Some(("eui", _)) => return Err(NameError::Eui),
            Some(("naa", id)) if matches!(id.len(), 16 | 32) && is_hex(id) => {}
            Some(("naa", _)) => return Err(NameError::Naa),
            _ => return Err(NameError::Type),
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as it was given.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.0
    }

    /// The normal form: lower case.
    #[must_use]
    pub fn normal(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The form in which somebody who compares bytes may know the name, other than the
    /// one given: the normal form; where that was given, the one with hexadecimal digits
    /// in capitals, as RFC 7143 §4.2.7 writes `eui.` and `naa.` names. `None` where there
    /// is none.
    #[must_use]
    pub fn other(&self) -> Option<String> {
        let normal = self.normal();
        if normal != self.0 {
            return Some(normal);
        }
        match normal.split_once('.') {
            Some((kind @ ("eui" | "naa"), id)) => {
                let capitals = alloc::format!("{kind}.{}", id.to_ascii_uppercase());
                (capitals != normal).then_some(capitals)
            }
            _ => None,
        }
    }

    /// The bytes of the normal form.
    fn normal_bytes(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|b| b.to_ascii_lowercase())
    }
}

impl PartialEq for IscsiName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for IscsiName {}

impl PartialOrd for IscsiName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IscsiName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.normal_bytes().cmp(other.normal_bytes())
    }
}

impl Hash for IscsiName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normal_bytes().for_each(|b| state.write_u8(b));
        state.write_u8(0xff);
    }
}

/// `2026-11.` and a domain that isn't empty, perhaps with `:` and a string.
fn is_dated_domain(s: &str) -> bool {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let Some((date, domain)) = s.split_once('.') else {
        return false;
    };
    let Some((year, month)) = date.split_once('-') else {
        return false;
    };
    let domain = domain.split(':').next().unwrap_or_default();
    year.len() == 4
        && digits(year)
        && month.len() == 2
        && digits(month)
        && ("01"..="12").contains(&month)
        && domain.split('.').all(|label| !label.is_empty())
}

impl fmt::Display for IscsiName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::str::FromStr for IscsiName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_all_types() {
        for name in [
            "iqn.2026-11.example:disk",
            "iqn.2001-04.com.example:storage.tape1.sys1.xyz",
            "iqn.2001-04.com.example",
            "iqn.2003-01.org.linux-iscsi.host.x8664:sn.0_a",
            "eui.02004567a425678d",
            "naa.52004567ba64678d",
            "naa.62004567ba64678d0123456789abcdef",
        ] {
            let name = IscsiName::new(name).unwrap();
            assert_eq!(name.given(), name.normal());
        }
    }

    #[test]
    fn names_are_the_same_in_every_form() {
        let name = IscsiName::new("IQN.2026-11.Example:DISK").unwrap();
        let normal = IscsiName::new("iqn.2026-11.example:disk").unwrap();
        assert_eq!(
            (name.given(), &*name.normal()),
            ("IQN.2026-11.Example:DISK", normal.given())
        );
        assert_eq!(name, normal);
        assert_eq!(name.cmp(&normal), Ordering::Equal);
        let set: std::collections::HashSet<_> = [name, normal].into();
        assert_eq!(set.len(), 1);
        let another = IscsiName::new("iqn.2026-11.example:disc").unwrap();
        assert!(!set.contains(&another) && set.iter().all(|name| *name > another));
    }

    #[test]
    fn other_forms() {
        for (given, other) in [
            ("iqn.2026-11.Example:disk", Some("iqn.2026-11.example:disk")),
            ("iqn.2026-11.example:disk", None),
            ("eui.02004567A425678D", Some("eui.02004567a425678d")),
            ("eui.02004567a425678d", Some("eui.02004567A425678D")),
            ("EUI.02004567A425678D", Some("eui.02004567a425678d")),
            ("naa.52004567ba64678d", Some("naa.52004567BA64678D")),
            ("naa.5200456712346789", None),
        ] {
            assert_eq!(IscsiName::new(given).unwrap().other().as_deref(), other);
        }
    }

    #[test]
    fn wrong_names() {
        let long = alloc::format!("iqn.2026-11.example:{}", "x".repeat(204));
        assert_eq!(long.len(), MAX_NAME_LEN + 1);
        for (name, error) in [
            ("", NameError::Type),
            ("disk", NameError::Type),
            ("iqn.example:disk", NameError::Iqn),
            ("iqn.2026-13.example", NameError::Iqn),
            ("iqn.2026-1.example", NameError::Iqn),
            ("iqn.2026-11.", NameError::Iqn),
            ("iqn.2026-11.a..b", NameError::Iqn),
            ("iqn.2026-11.:x", NameError::Iqn),
            ("iqn.2026-11.example:a b", NameError::Character(' ')),
            ("iqn.2026-11.example:a\0b", NameError::Character('\0')),
            ("iqn.2026-11.exämple", NameError::Character('ä')),
            ("eui.02004567A425678", NameError::Eui),
            ("naa.52004567BA64678g", NameError::Naa),
            (&long, NameError::TooLong),
        ] {
            assert_eq!(IscsiName::new(name), Err(error), "{name:?}");
        }
        assert!(IscsiName::new(&long[..MAX_NAME_LEN]).is_ok());
    }

    proptest! {
        #[test]
        fn normal_form_is_stable(name in "(iqn|eui|naa)\\.[ -~]{0,40}") {
            if let Ok(given) = IscsiName::new(&name) {
                prop_assert_eq!(given.given(), name);
                let normal = IscsiName::new(&given.normal()).unwrap();
                prop_assert_eq!(normal.normal(), normal.given());
                if let Some(other) = given.other() {
                    prop_assert_ne!(&other, given.given());
                    prop_assert_eq!(IscsiName::new(&other), Ok(given.clone()));
                }
                prop_assert_eq!(given, normal);
            }
        }
    }
}
