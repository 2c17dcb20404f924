//! The files of control groups: directories are groups, files take one line.
//! A trait, so that tests can stand in for the kernel.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::error::CgroupError;

/// The longest file that is read; a list of CPUs or a few words.
const MAX_BYTES: u64 = 64 * 1024;

/// What the kernel does when groups are made, read and written.
pub(super) trait Files {
    /// Makes a directory whose parent exists.
    fn make(&self, directory: &Path) -> io::Result<()>;
    /// Writes one line into a file that exists, in one write.
    fn write(&self, file: &Path, line: &str) -> io::Result<()>;
    /// Reads a short text, without the newline at its end.
    fn read(&self, file: &Path) -> io::Result<String> {
        let mut text = String::new();
        let file = File::open(file)?;
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        text.truncate(text.trim_end().len());
        Ok(text)
    }
}

/// The kernel's own files.
pub(super) struct Kernel;

impl Files for Kernel {
    fn make(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir(directory)
    }

    fn write(&self, file: &Path, line: &str) -> io::Result<()> {
        // Never creates: a file that isn't there is a controller that isn't.
        let mut file = OpenOptions::new().write(true).truncate(true).open(file)?;
        file.write_all(line.as_bytes())
    }
}

/// The files of one group; each error says what was tried.
pub(super) struct Group<'a> {
    files: &'a dyn Files,
    /// The group's directory.
    pub(super) directory: PathBuf,
}

impl<'a> Group<'a> {
    /// The group at `path` below `root`, made if it is not there, with all above
    /// it. Also says whether it was made.
    pub(super) fn open(
        files: &'a dyn Files,
        root: &Path,
        path: &Path,
    ) -> Result<(Self, bool), CgroupError> {
        let mut directory = root.to_owned();
        let mut made = false;
        for part in path {
            directory.push(part);
            made = match directory.is_dir() {
                true => false,
                false => match files.make(&directory) {
                    // Another process was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
                    result => {
                        failed(result, "making control group", &directory)?;
                        true
                    }
                },
            };
        }
        Ok((Self { files, directory }, made))
    }

    /// The group above it.
    pub(super) fn parent(&self) -> Option<Self> {
        self.directory.parent().map(|directory| Self {
            files: self.files,
            directory: directory.to_owned(),
        })
    }

    /// The text of a file of the group; empty if it can't be read.
    pub(super) fn read(&self, file: &str) -> String {
        let text = self.files.read(&self.directory.join(file));
        text.unwrap_or_default()
    }

    /// Whether the group has such a file.
    pub(super) fn has(&self, file: &str) -> bool {
        self.directory.join(file).exists()
    }

    /// Writes one line to a file of the group.
    pub(super) fn write(&self, file: &str, line: &str) -> Result<(), CgroupError> {
        let path = self.directory.join(file);
        let result = self.files.write(&path, line);
        failed(result, &format!("writing \"{line}\" to"), &path)
    }
}

fn failed(result: io::Result<()>, action: &str, path: &Path) -> Result<(), CgroupError> {
    result.map_err(|source| CgroupError::Io {
        action: action.to_owned(),
        path: path.to_owned(),
        source,
    })
}
