//! Records of mounts: a directory for each disk, in a directory that only root can enter.
//! A record exists from before the first step until after the last, so that the work of a
//! killed process can be undone too.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, file_name};

/// The environment variable that names another directory.
pub const VARIABLE: &str = "VCP_MOUNT_DIR";

const DEFAULT: &str = "/run/vcp/mount";
const FILE: &str = "record.json";

/// A disk that was mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The name of the VCP or export.
    pub name: String,
    /// The mount point, without symbolic links.
    pub dir: PathBuf,
    /// The mounted device.
    pub device: Device,
}

/// A block device, and who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Device {
    /// The kernel's own NBD client.
    Kernel {
        /// `/dev/nbdX`.
        path: PathBuf,
        /// Whether it was attached for this mount, and is detached with it.
        ours: bool,
        /// The host's control socket, unless it is in one of the usual places.
        control: Option<PathBuf>,
    },
    /// nbdfuse, and a loop device on its file.
    Fuse {
        /// `/dev/loopX`; `None` until it is made.
        path: Option<PathBuf>,
    },
}

/// The directory for one disk's record and files.
#[derive(Debug)]
pub struct Slot {
    name: String,
    path: PathBuf,
}

/// `$VCP_MOUNT_DIR`, or `/run/vcp/mount`.
pub fn directory() -> PathBuf {
    std::env::var_os(VARIABLE)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| PathBuf::from(DEFAULT))
}

impl Slot {
    /// Claims the slot for the disk `name`, which must not be mounted.
    pub fn claim(directory: &Path, name: &str) -> Result<Self, Error> {
        let mut private = DirBuilder::new();
        private.mode(0o700);
        let parent = private.recursive(true).create(directory);
        parent.map_err(Error::at(directory.display()))?;
        let slot = Self::of(directory, name);
        match private.recursive(false).create(&slot.path) {
            Ok(()) => Ok(slot),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Taken {
                name: name.to_owned(),
                why: match slot.read() {
                    Ok(record) => format!("mounted at {} already", record.dir.display()),
                    Err(_) => format!("being mounted; if not, remove {}", slot.path.display()),
                },
            }),
            Err(error) => Err(Error::at(slot.path.display())(error)),
        }
    }

    fn of(directory: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: directory.join(file_name(name)),
        }
    }

    /// Finds the slot of this name or mount point.
    pub fn find(directory: &Path, what: &str) -> Result<Option<(Self, Record)>, Error> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(Error::at(directory.display()))?,
        };
        let dir = resolved(Path::new(what));
        for entry in entries {
            let entry = entry.map_err(Error::at(directory.display()))?;
            let mut slot = Self {
                name: String::new(),
                path: entry.path(),
            };
            // A slot that is just being made has no record yet.
            let Ok(record) = slot.read() else { continue };
            slot.name.clone_from(&record.name);
            if slot.name == what || dir.as_deref() == Some(&record.dir) {
                return Ok(Some((slot, record)));
            }
        }
        Ok(None)
    }

    /// The path of a file or directory in the slot.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the record, replacing an earlier one.
    pub fn write(&self, record: &Record) -> Result<(), Error> {
        let text = serde_json::to_vec(record).expect("paths, names and flags");
        let draft = self.file("record.new");
        fs::write(&draft, text)
            .and_then(|()| fs::rename(&draft, self.file(FILE)))
            .map_err(Error::at(draft.display()))
    }

    fn read(&self) -> Result<Record, Error> {
        let path = self.file(FILE);
        fs::read(&path)
            .and_then(|text| Ok(serde_json::from_slice(&text)?))
            .map_err(Error::at(path.display()))
    }

    /// Removes the slot.
    pub fn remove(self) -> Result<(), Error> {
        fs::remove_dir_all(&self.path).map_err(Error::at(self.path.display()))
    }
}

/// The path without symbolic links in its parents. The last part is not looked at: it may
/// be the root of a file system that no longer answers.
pub fn resolved(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => Some(fs::canonicalize(parent).ok()?.join(name)),
        _ => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_has_a_place_and_is_found_by_it() {
        let scratch = tempfile::tempdir().unwrap();
        let names = [
            "iqn.2026-11.example:disk/1",
            "Ünïcode disk",
            "..",
            "a/../b",
            &"/ü".repeat(80),
        ];
        for (at, name) in names.iter().enumerate() {
            let slot = Slot::claim(scratch.path(), name).unwrap();
            let record = Record {
                name: (*name).to_owned(),
                dir: scratch.path().join(format!("mnt{at}")),
                device: Device::Fuse { path: None },
            };
            slot.write(&record).unwrap();
        }
        // The names lead to no other directories.
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), names.len());
        for name in names {
            let (slot, record) = Slot::find(scratch.path(), name).unwrap().unwrap();
            assert_eq!(record.name, name);
            slot.remove().unwrap();
        }
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn found_by_name_and_by_directory() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("mounts");
        assert!(Slot::find(&directory, "disk").unwrap().is_none());
        let slot = Slot::claim(&directory, "disk").unwrap();
        let being_made = Slot::claim(&directory, "disk").unwrap_err().to_string();
        assert!(being_made.contains("being mounted"), "{being_made}");
        let real = fs::canonicalize(scratch.path()).unwrap();
        let record = Record {
            name: "disk".into(),
            dir: real.join("mnt"),
            device: Device::Fuse { path: None },
        };
        slot.write(&record).unwrap();
        let taken = Slot::claim(&directory, "disk").unwrap_err().to_string();
        assert!(taken.contains("mounted at"), "{taken}");
        std::os::unix::fs::symlink(&real, real.join("link")).unwrap();
        let linked = real.join("link/mnt");
        for what in ["disk", linked.to_str().unwrap()] {
            let (_, found) = Slot::find(&directory, what).unwrap().unwrap();
            assert_eq!(found, record);
        }
        assert!(Slot::find(&directory, "dis").unwrap().is_none());
        slot.remove().unwrap();
        assert!(Slot::find(&directory, "disk").unwrap().is_none());
    }
}
