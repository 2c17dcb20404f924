//! A tree of files whose contents follow from a seed: written while its disk has
//! a hard time, read back and compared later.
//!
//! ```text
//! vm-agent tree write DIR FILES SEED PROGRESS
//! vm-agent tree check DIR FILES SEED
//! ```
//!
//! Both print `files=N bytes=N sum=X`, a checksum of names and contents: of what was
//! meant when writing, of what was read when checking.

use std::error::Error;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files in a directory.
const IN_DIRECTORY: u64 = 100;
/// One file in so many is on the disk before the next is begun.
const SYNCED: u64 = 8;
/// The largest file, less one byte.
const LARGEST: u64 = 12 << 10;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub(crate) fn command(words: &[&str]) -> Result<()> {
    let total = match words {
        ["write", directory, files, seed, progress] => {
            let tree = Tree::new(directory, files, seed)?;
            tree.write(Path::new(progress))?
        }
        ["check", directory, files, seed] => Tree::new(directory, files, seed)?.check()?,
        _ => return Err("tree write DIR FILES SEED PROGRESS, or tree check DIR FILES SEED".into()),
    };
    println!(
        "files={} bytes={} sum={:016x}",
        total.files,
        total.bytes,
        total.sum.finish()
    );
    Ok(())
}

struct Tree {
    directory: PathBuf,
    files: u64,
    seed: u64,
}

#[derive(Default)]
struct Total {
    files: u64,
    bytes: u64,
    sum: DefaultHasher,
}

impl Total {
    fn add(&mut self, path: &Path, content: &[u8]) {
        self.files += 1;
        self.bytes += content.len() as u64;
        path.hash(&mut self.sum);
        content.hash(&mut self.sum);
    }
}

impl Tree {
    fn new(directory: &str, files: &str, seed: &str) -> Result<Self> {
        Ok(Self {
            directory: directory.into(),
            files: files.parse()?,
            seed: seed.parse()?,
        })
    }

    /// Tells in the file `progress` how many files are written, and at the end how long
    /// the slowest has taken.
    fn write(&self, progress: &Path) -> Result<Total> {
        let mut total = Total::default();
        let mut slowest = Duration::ZERO;
        for number in 0..self.files {
            let path = self.path(number);
            if number % IN_DIRECTORY == 0 {
                let parent = path.parent().expect("in a directory of the tree");
                fs::create_dir_all(parent).map_err(|error| at(parent, error))?;
            }
            let content = self.content(number);
            let write = || -> std::io::Result<()> {
                let mut file = File::create(&path)?;
                file.write_all(&content)?;
                if number % SYNCED == 0 {
                    file.sync_all()?;
                }
                Ok(())
            };
            let begun = Instant::now();
            write().map_err(|error| at(&path, error))?;
            slowest = slowest.max(begun.elapsed());
            total.add(&path, &content);
            if number % SYNCED == 0 {
                fs::write(progress, number.to_string())?;
            }
        }
        let root = File::open(&self.directory)?;
        rustix::fs::syncfs(&root).map_err(|error| at(&self.directory, error.into()))?;
        eprintln!("the slowest file took {} ms", slowest.as_millis());
        Ok(total)
    }

    fn check(&self) -> Result<Total> {
        let mut total = Total::default();
        for number in 0..self.files {
            let path = self.path(number);
            let mut content = Vec::new();
            File::open(&path)
                .and_then(|mut file| file.read_to_end(&mut content))
                .map_err(|error| at(&path, error))?;
            if content != self.content(number) {
                return Err(format!("{}: not what was written", path.display()).into());
            }
            total.add(&path, &content);
        }
        Ok(total)
    }

    fn path(&self, number: u64) -> PathBuf {
        let directory = number / IN_DIRECTORY;
        self.directory
            .join(format!("{:02}", directory % 16))
            .join(format!("{directory}"))
            .join(format!("{number}"))
    }

    fn content(&self, number: u64) -> Vec<u8> {
        let mut state = (self.seed << 32) ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = || {
            // xorshift64*: fast, and different for each number.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        let length = next() % LARGEST;
        let mut content = Vec::new();
        while (content.len() as u64) < length {
            content.extend_from_slice(&next().to_le_bytes());
        }
        content.truncate(usize::try_from(length).expect("less than the largest"));
        content
    }
}

fn at(path: &Path, error: std::io::Error) -> Box<dyn Error> {
    format!("{}: {error}", path.display()).into()
}
