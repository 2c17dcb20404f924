//! iSCSI names: `iqn.`, `eui.` and `naa.` (RFC 7143 §4.2.7).

use alloc::string::String;
use core::fmt;

/// Longest name in bytes.
pub const MAX_NAME_LEN: usize = 223;

/// A valid iSCSI name in its normal form. Two names are the same when their normal
/// forms are, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IscsiName(String);

/// What is wrong with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It doesn't begin with `iqn.`, `eui.` or `naa.`.
    #[error("an iSCSI name begins with iqn., eui. or naa.")]
    Type,
    /// It has more than [`MAX_NAME_LEN`] bytes.
    #[error("an iSCSI name has at most {MAX_NAME_LEN} bytes")]
    TooLong,
    /// A character that names can't hold.
    #[error("{0:?} has no place in an iSCSI name")]
    Character(char),
    /// Not `iqn.` with year, month and a domain.
    #[error(
        "an iqn. name goes on with year, month and a reversed domain: iqn.2026-11.com.example:disk"
    )]
    Iqn,
    /// Not 16 hexadecimal digits.
    #[error("an eui. name goes on with 16 hexadecimal digits")]
    Eui,
    /// Neither 16 nor 32 hexadecimal digits.
    #[error("an naa. name goes on with 16 or 32 hexadecimal digits")]
    Naa,
}

impl IscsiName {
    /// Checks a name and brings it into normal form: lower case.
    ///
    /// Of ASCII, letters, digits, `-`, `.` and `:` are allowed (RFC 3722), and `_`,
    /// which RFC 3722 forbids and targets in use have. Other alphabets would need the
    /// whole of stringprep: they are refused.
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
        let name = name.to_ascii_lowercase();
        let is_hex = |s: &str| s.bytes().all(|b| b.is_ascii_hexdigit());
        match name.split_once('.') {
            Some(("iqn", rest)) if is_dated_domain(rest) => Ok(Self(name)),
            Some(("iqn", _)) => Err(NameError::Iqn),
            Some(("eui", id)) if id.len() == 16 && is_hex(id) => Ok(Self(name)),
            Some(("eui", _)) => Err(NameError::Eui),
            Some(("naa", id)) if matches!(id.len(), 16 | 32) && is_hex(id) => Ok(Self(name)),
            Some(("naa", _)) => Err(NameError::Naa),
            _ => Err(NameError::Type),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
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

impl AsRef<str> for IscsiName {
    fn as_ref(&self) -> &str {
        &self.0
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
            assert_eq!(IscsiName::new(name).unwrap().as_str(), name);
        }
        assert_eq!(
            IscsiName::new("IQN.2026-11.Example:DISK"),
            IscsiName::new("iqn.2026-11.example:disk")
        );
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
            if let Ok(name) = IscsiName::new(&name) {
                prop_assert_eq!(IscsiName::new(name.as_str()), Ok(name));
            }
        }
    }
}
