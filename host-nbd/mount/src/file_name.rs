//! File names for disks, whatever characters their names have and however long they are.

use std::fmt::Write as _;

/// The longest file name, in bytes: it must fit in the path of a unix socket, too.
const LONGEST: usize = 63;

/// How much is kept of the front of a longer name.
const FRONT: usize = 40;

/// The name of a file for the disk `name`: different for each name, and the name itself
/// where that has only letters, digits, `.`, `_` and `-`, does not begin with `.`, and
/// fits. At most 63 bytes.
#[must_use]
pub fn file_name(name: &str) -> String {
    let mut encoded = String::new();
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if plain || (byte == b'.' && at > 0) {
            encoded.push(byte.into());
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes everything");
        }
    }
    if encoded.len() <= LONGEST {
        return encoded;
    }
    // FNV-1a, so that the next version of this program finds the same file.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // Names that are not cut never have a tilde.
    format!("{}~{hash:016x}", &encoded[..FRONT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_and_others_are_encoded() {
        for (name, file) in [
            ("disk0", "disk0"),
            ("a.b_c-D", "a.b_c-D"),
            (".", "%2E"),
            ("..", "%2E."),
            ("iqn.x:disk/1", "iqn.x%3Adisk%2F1"),
            ("ü", "%C3%BC"),
            ("a%2F", "a%252F"),
            ("~", "%7E"),
        ] {
            assert_eq!(file_name(name), file, "{name}");
        }
        assert_eq!(file_name(&"x".repeat(63)), "x".repeat(63));
    }

    #[test]
    fn long_names_are_short_files_and_differ() {
        let long = |end: &str| file_name(&format!("{}{end}", "/".repeat(250)));
        assert!(long("a").len() <= LONGEST);
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("a"), long("a"));
        assert!(file_name(&"x".repeat(64)).starts_with("xxxx"));
        assert_ne!(file_name(&"x".repeat(64)), file_name(&"x".repeat(65)));
    }
}
