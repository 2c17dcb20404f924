//! A tree of files whose every byte follows from a seed: written to a file system
//! under test, and compared with what it should be later, by whoever knows the seed.
//!
//! Nothing is kept beside the tree. Names are made, removed and exchanged on the
//! way, so that what a file system's check looks at is exercised too.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::image::Random;

/// Files in a directory.
const CROWD: u64 = 100;

/// Directories beside each other.
const BRANCHES: u64 = 16;

/// Every so many files one is written under another name first.
const RENAMED: u64 = 7;

/// Every so many files one more is written, and removed.
const REMOVED: u64 = 5;

/// A tree: how many files, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tree {
    /// Regular files in it.
    pub files: u64,
    /// Makes names' places, lengths and bytes.
    pub seed: u64,
}

/// What was written, or was found to be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// Regular files.
    pub files: u64,
    /// In all of them.
    pub bytes: u64,
    /// Of names and contents, in their order (FNV-1a, by words).
    pub digest: u64,
}

/// What is not as it should be.
#[derive(Debug)]
pub enum Wrong {
    /// A file or a directory can't be read.
    Unreadable(PathBuf, io::Error),
    /// The length, or the first byte that differs.
    Differs(PathBuf, String),
    /// Something else is in a directory, or something is not.
    Entries(PathBuf, String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Differs(path, how) | Self::Entries(path, how) => {
                write!(f, "{}: {how}", path.display())
            }
        }
    }
}

impl std::error::Error for Wrong {}

impl Tree {
    /// Writes it under `root`, which is made if it is not there, at `rate` files a
    /// second at most; returns when the file system says that all of it is kept.
    ///
    /// # Errors
    /// The first one, with the path.
    pub fn write(self, root: &Path, rate: Option<u32>) -> Result<Sum, Wrong> {
        let began = Instant::now();
        let mut buffer = Vec::new();
        let mut sum = Sum::NONE;
        for index in 0..self.files {
            let path = root.join(place(index));
            self.content(index, &mut buffer);
            self.write_one(&path, index, &buffer)
                .map_err(|error| Wrong::Unreadable(path, error))?;
            sum.add(index, &buffer);
            if let Some(rate) = rate {
                let due = Duration::from_secs_f64((index + 1) as f64 / f64::from(rate));
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        let sync = || rustix::fs::syncfs(File::open(root)?).map_err(io::Error::from);
        sync().map_err(|error| Wrong::Unreadable(root.to_owned(), error))?;
        Ok(sum)
    }

    /// Compares what is under `root` with what it should be.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(self, root: &Path) -> Result<Sum, Wrong> {
        let mut buffer = Vec::new();
        let mut sum = Sum::NONE;
        for index in 0..self.files {
            let path = root.join(place(index));
            self.content(index, &mut buffer);
            match fs::read(&path) {
                Ok(found) if found == buffer => sum.add(index, &buffer),
                Ok(found) => return Err(Wrong::Differs(path, difference(&found, &buffer))),
                Err(error) => return Err(Wrong::Unreadable(path, error)),
            }
        }
        let found = count(root)?;
        if found != self.files {
            let how = format!("{found} files, {} were written", self.files);
            return Err(Wrong::Entries(root.to_owned(), how));
        }
        Ok(sum)
    }

    fn write_one(self, path: &Path, index: u64, content: &[u8]) -> io::Result<()> {
        if let Some(parent) = path.parent()
            && index.is_multiple_of(CROWD)
        {
            fs::create_dir_all(parent)?;
        }
        if index.is_multiple_of(REMOVED) {
            let passing = path.with_extension("passing");
            fs::write(&passing, content)?;
            fs::remove_file(&passing)?;
        }
        if index.is_multiple_of(RENAMED) {
            let draft = path.with_extension("draft");
            fs::write(&draft, content)?;
            return fs::rename(&draft, path);
        }
        fs::write(path, content)
    }

    /// Most files are a few KiB, some are empty, some of up to 256 KiB.
    fn content(self, index: u64, buffer: &mut Vec<u8>) {
        let mut random = Random::new(self.seed ^ index.wrapping_mul(0xa076_1d64_78bd_642f));
        let length = match random.next() % 64 {
            0 => 0,
            1 => random.next() % (256 << 10),
            2..8 => random.next() % (32 << 10),
            _ => random.next() % (6 << 10),
        };
        buffer.resize(usize::try_from(length).expect("at most 256 KiB"), 0);
        random.fill(buffer);
    }
}

impl Sum {
    const NONE: Self = Self {
        files: 0,
        bytes: 0,
        digest: 0xcbf2_9ce4_8422_2325,
    };

    fn add(&mut self, index: u64, content: &[u8]) {
        self.files += 1;
        self.bytes += content.len() as u64;
        self.fold(index);
        for chunk in content.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn fold(&mut self, word: u64) {
        self.digest = (self.digest ^ word).wrapping_mul(0x0100_0000_01b3);
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            files,
            bytes,
            digest,
        } = self;
        write!(f, "{files} files, {bytes} bytes, digest {digest:016x}")
    }
}

/// Where the file of this number is.
fn place(index: u64) -> PathBuf {
    let crowd = index / CROWD;
    PathBuf::from(format!(
        "b{:02}/d{:04}/f{index:07}",
        crowd % BRANCHES,
        crowd / BRANCHES
    ))
}

/// The regular files under a directory; what a file system's check left behind
/// (`lost+found`) is not looked into when it is empty.
fn count(root: &Path) -> Result<u64, Wrong> {
    let unreadable = |error| Wrong::Unreadable(root.to_owned(), error);
    let mut files = 0;
    for entry in fs::read_dir(root).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if entry.file_type().map_err(unreadable)?.is_dir() {
            files += count(&entry.path())?;
        } else {
            files += 1;
        }
    }
    Ok(files)
}

fn difference(found: &[u8], expected: &[u8]) -> String {
    let first = found.iter().zip(expected).position(|(a, b)| a != b);
    match first {
        Some(at) => format!(
            "byte {at} of {} is {:#04x} and was {:#04x}",
            expected.len(),
            found[at],
            expected[at]
        ),
        None => format!("{} bytes, {} were written", found.len(), expected.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Scratch;

    const TREE: Tree = Tree {
        files: 250,
        seed: 3,
    };

    #[test]
    fn what_is_written_is_found() {
        let scratch = Scratch::new();
        let written = TREE.write(scratch.path(), None).unwrap();
        assert_eq!(written.files, 250);
        assert_eq!(TREE.check(scratch.path()).unwrap(), written);
        let other = Tree { seed: 4, ..TREE };
        assert!(other.check(scratch.path()).is_err());
    }

    #[test]
    fn every_difference_is_found() {
        let scratch = Scratch::new();
        TREE.write(scratch.path(), None).unwrap();
        let fails = |named: &str| {
            let wrong = TREE.check(scratch.path()).unwrap_err().to_string();
            assert!(wrong.contains(named), "{wrong}");
        };
        let path = scratch.path().join(place(101));
        let right = fs::read(&path).unwrap();
        let mut flipped = right.clone();
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, &flipped).unwrap();
        fails("f0000101: byte");
        fs::write(&path, &right[..right.len() - 1]).unwrap();
        fails("were written");
        fs::remove_file(&path).unwrap();
        fails("f0000101");
        fs::write(&path, &right).unwrap();
        fs::write(path.with_extension("draft"), "").unwrap();
        fails("251 files");
    }
}
