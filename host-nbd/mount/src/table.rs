//! The mounts of this mount namespace, as the kernel lists them in
//! `/proc/self/mountinfo`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use crate::Error;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The mount point.
    pub dir: PathBuf,
    /// The file system's type, such as `ext4`.
    pub kind: String,
    /// The source, which is a device's path for a file system on one.
    pub source: PathBuf,
}

/// All mounts, in the order in which they were made.
pub fn mounts() -> Result<Vec<Mount>, Error> {
    const FILE: &str = "/proc/self/mountinfo";
    let text = fs::read(FILE).map_err(Error::at(FILE))?;
    Ok(text
        .split(|&byte| byte == b'\n')
        .filter_map(parse)
        .collect())
}

/// The topmost mount at `dir`, an absolute path without symbolic links.
pub fn at(dir: &Path) -> Result<Option<Mount>, Error> {
    Ok(mounts()?.into_iter().rev().find(|mount| mount.dir == dir))
}

/// The mount of a device, if there is one.
pub fn of_device(device: &Path) -> Result<Option<Mount>, Error> {
    let mut mounts = mounts()?.into_iter();
    Ok(mounts.find(|mount| mount.source == device))
}

/// proc(5): id, parent, device, root, directory, options, optional fields, `-`,
/// type, source, options.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|&byte| byte == b' ');
    let dir = words.nth(4)?;
    words.find(|word| *word == b"-")?;
    let kind = String::from_utf8_lossy(words.next()?).into_owned();
    let source = words.next()?;
    Some(Mount {
        dir: path(dir),
        kind,
        source: path(source),
    })
}

/// Decodes blanks and backslashes, which are written as `\` and three octal digits.
fn path(mut word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    while let [first, rest @ ..] = word {
        let octal = rest.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                word = &rest[3..];
            }
            None => {
                bytes.push(*first);
                word = rest;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = br"43 27 7:0 / /mnt/a\040b rw,noatime shared:1 - ext4 /dev/loop0 rw";
        let mount = parse(line).unwrap();
        assert_eq!(mount.dir, Path::new("/mnt/a b"));
        assert_eq!(mount.kind, "ext4");
        assert_eq!(mount.source, Path::new("/dev/loop0"));
        assert_eq!(parse(b"43 27 7:0 / /mnt"), None);
        assert_eq!(path(br"a\134\9"), Path::new(r"a\\9"));
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(at(Path::new("/")).unwrap().is_some());
        assert_eq!(at(Path::new("/no/such/place")).unwrap(), None);
    }
}
