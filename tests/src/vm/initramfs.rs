//! An initial file system: an archive in the format that the kernel unpacks
//! (newc), in which each program brings the libraries that `ldd` says it wants.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cpio::newc::{Builder, ModeFileType, trailer};

/// The archive as it grows.
#[derive(Debug, Default)]
pub struct Initramfs {
    archive: Vec<u8>,
    inodes: u32,
    made: BTreeSet<String>,
}

impl Initramfs {
    /// A directory, and those above it.
    pub fn directory(&mut self, path: &str) {
        self.entry(path, ModeFileType::Directory, 0o755, &[]);
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, to: &str) {
        self.entry(path, ModeFileType::Symlink, 0o777, to.as_bytes());
    }

    /// A file that everybody may read and run.
    pub fn file(&mut self, path: &str, bytes: &[u8]) {
        self.entry(path, ModeFileType::Regular, 0o755, bytes);
    }

    /// A program of this machine, at `path`, with its libraries where they are here.
    ///
    /// # Panics
    /// When it or one of them is not there.
    pub fn program(&mut self, path: &str, from: &Path) {
        for library in libraries(from) {
            self.copy(library.to_str().expect("made of ASCII"), &library);
        }
        self.copy(path, from);
    }

    /// A file of this machine.
    ///
    /// # Panics
    /// When it can't be read.
    pub fn copy(&mut self, path: &str, from: &Path) {
        let bytes = fs::read(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        self.file(path, &bytes);
    }

    /// The whole archive.
    ///
    /// # Panics
    /// Never: it is written to memory.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        trailer(self.archive).expect("memory takes all of it")
    }

    /// The first of a name counts: programs share libraries.
    fn entry(&mut self, path: &str, kind: ModeFileType, mode: u32, content: &[u8]) {
        let path = path.trim_start_matches('/');
        if !self.made.insert(path.to_owned()) {
            return;
        }
        if let Some((above, _)) = path.rsplit_once('/') {
            self.directory(above);
        }
        self.inodes += 1;
        let length = u32::try_from(content.len()).expect("no file here has 4 GiB");
        let entry = Builder::new(path)
            .ino(self.inodes)
            .mode(mode)
            .nlink(1)
            .set_mode_file_type(kind);
        let mut writer = entry.write(&mut self.archive, length);
        std::io::Write::write_all(&mut writer, content).expect("memory takes all of it");
        writer.finish().expect("as long as announced");
    }
}

/// The loader and the libraries of a program; none of a static one.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output();
    let output = output.unwrap_or_else(|error| panic!("cannot start ldd: {error}"));
    paths(&String::from_utf8_lossy(&output.stdout))
}

/// `libc.so.6 => /lib/libc.so.6 (0x7f…)`, and `/lib64/ld.so (0x7f…)`.
fn paths(listing: &str) -> Vec<PathBuf> {
    let words = listing.split_whitespace();
    assert!(!listing.contains("not found"), "{listing}");
    words
        .filter(|word| word.starts_with('/') && !word.ends_with(':'))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_what_ldd_names() {
        let listing = "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x3)\n";
        let expected = ["/lib/libc.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(paths(listing), expected.map(PathBuf::from));
        assert_eq!(
            paths("\tnot a dynamic executable\n"),
            [""; 0].map(PathBuf::from)
        );
    }

    #[test]
    fn an_archive_reads_back() {
        let mut archive = Initramfs::default();
        archive.file("/a/b/file", b"content");
        archive.link("/a/link", "b/file");
        archive.directory("/a/b");
        let bytes = archive.finish();
        let mut names = Vec::new();
        let mut rest = std::io::Cursor::new(&bytes);
        loop {
            let reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            names.push(reader.entry().name().to_owned());
            rest = reader.finish().unwrap();
        }
        assert_eq!(names, ["a", "a/b", "a/b/file", "a/link"]);
    }
}
