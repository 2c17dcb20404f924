//! The nbd devices as `/sys/block` shows them. A file that can't be read or makes no
//! sense counts as missing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::AttachError;
use crate::name::DeviceName;

/// The most that is read of a file: a page.
const LONGEST: usize = 4096;

/// A mount of sysfs, or a directory in its place in a test.
#[derive(Debug, Clone)]
pub struct Sysfs {
    block: PathBuf,
}

impl Default for Sysfs {
    fn default() -> Self {
        Self::at(Path::new("/sys"))
    }
}

/// An attached device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The device.
    pub device: DeviceName,
    /// The process that attached it, as numbered in the machine's initial PID namespace;
    /// it may have ended since.
    pub pid: Option<u32>,
    /// The identifier that the process left for its successor; absent before Linux 5.14.
    pub backend: Option<String>,
    /// The size in bytes.
    pub size: u64,
    /// The logical block size in bytes.
    pub block_size: u32,
    /// Whether writes are refused.
    pub read_only: bool,
}

impl Attached {
    /// A description of the process that holds the device, for people.
    #[must_use]
    pub fn holder(&self) -> String {
        let pid = self.pid.map(|pid| format!("by process {pid}"));
        let pid = pid.unwrap_or_else(|| "by a process that is not known".to_owned());
        match &self.backend {
            Some(backend) => format!("{pid}, for {backend:?}"),
            None => pid,
        }
    }
}

impl Sysfs {
    /// The sysfs mounted at `root`.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self {
            block: root.join("block"),
        }
    }

    /// All nbd devices, attached or not, by number.
    #[must_use]
    pub fn devices(&self) -> Vec<DeviceName> {
        let entries = fs::read_dir(&self.block).into_iter().flatten().flatten();
        let name = |entry: fs::DirEntry| DeviceName::from_short(entry.file_name().to_str()?);
        let mut devices: Vec<_> = entries.filter_map(name).collect();
        devices.sort_unstable();
        devices
    }

    /// All attached devices.
    #[must_use]
    pub fn attached(&self) -> Vec<Attached> {
        let devices = self.devices().into_iter();
        devices.filter_map(|device| self.get(device)).collect()
    }

    /// One device, if it is attached: only then it has a `pid`.
    #[must_use]
    pub fn get(&self, device: DeviceName) -> Option<Attached> {
        let pid = self.read(device, "pid")?;
        Some(Attached {
            device,
            pid: pid.parse().ok().filter(|pid| *pid != 0),
            backend: self.read(device, "backend").filter(|text| !text.is_empty()),
            // Sysfs counts in sectors of 512 bytes, whatever the blocks are.
            size: self.number(device, "size").unwrap_or(0).saturating_mul(512),
            block_size: self
                .number(device, "queue/logical_block_size")
                .and_then(|size| u32::try_from(size).ok())
                .unwrap_or(512),
            read_only: self.read(device, "ro").as_deref() == Some("1"),
        })
    }

    /// The numbers, `MAJOR:MINOR`, of a device and its partitions.
    #[must_use]
    pub fn numbers(&self, device: DeviceName) -> Vec<String> {
        self.parts(device)
            .iter()
            .filter_map(|part| read(&part.join("dev")))
            .collect()
    }

    /// The devices built directly on this one or its partitions, such as `dm-0`.
    #[must_use]
    pub fn holders(&self, device: DeviceName) -> Vec<String> {
        let mut holders = Vec::new();
        for part in self.parts(device) {
            let entries = fs::read_dir(part.join("holders"));
            for entry in entries.into_iter().flatten().flatten() {
                holders.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        holders.sort();
        holders
    }

    /// The numbers, such as `253:0`, of all devices built directly or indirectly on this
    /// one.
    #[must_use]
    pub fn numbers_above(&self, device: DeviceName) -> Vec<String> {
        let mut found = self.holders(device);
        let mut at = 0;
        while let Some(name) = found.get(at) {
            let entries = fs::read_dir(self.block.join(name).join("holders"));
            for entry in entries.into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if !found.contains(&name) {
                    found.push(name);
                }
            }
            at += 1;
        }
        let number = |name: &String| read(&self.block.join(name).join("dev"));
        found.iter().filter_map(number).collect()
    }

    /// Sets the interval, in milliseconds, at which the kernel checks unanswered
    /// requests.
    pub fn set_io_timeout(&self, device: DeviceName, milliseconds: u64) -> Result<(), AttachError> {
        let path = self.path(device).join("queue/io_timeout");
        fs::write(&path, milliseconds.to_string()).map_err(|error| AttachError::Sysfs {
            path: path.display().to_string(),
            error,
        })
    }

    fn path(&self, device: DeviceName) -> PathBuf {
        self.block.join(device.short())
    }

    /// The directories of a device and its partitions.
    fn parts(&self, device: DeviceName) -> Vec<PathBuf> {
        let whole = self.path(device);
        let prefix = format!("{}p", device.short());
        let entries = fs::read_dir(&whole).into_iter().flatten().flatten();
        let partition = |entry: &fs::DirEntry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(&prefix))
        };
        let partitions = entries.filter(partition).map(|entry| entry.path());
        let mut parts: Vec<_> = partitions.collect();
        parts.sort();
        parts.insert(0, whole);
        parts
    }

    fn read(&self, device: DeviceName, file: &str) -> Option<String> {
        read(&self.path(device).join(file))
    }

    fn number(&self, device: DeviceName, file: &str) -> Option<u64> {
        self.read(device, file)?.parse().ok()
    }
}

/// Reads a file of one line, without its end.
fn read(path: &Path) -> Option<String> {
    use io::Read as _;
    let mut text = String::new();
    let file = fs::File::open(path).ok()?;
    file.take(LONGEST as u64).read_to_string(&mut text).ok()?;
    Some(text.trim_end_matches('\n').to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tree as sysfs has it: paths below `block`, and what is in them.
    pub(crate) fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Sysfs) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join("block").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let sysfs = Sysfs::at(root.path());
        (root, sysfs)
    }

    #[test]
    fn attached_devices_are_those_with_a_pid() {
        let (_root, sysfs) = tree(&[
            ("nbd0/size", "0\n"),
            ("nbd2/pid", "1234\n"),
            ("nbd2/size", "131072\n"),
            ("nbd2/ro", "1\n"),
            ("nbd2/backend", "vcp/1 x\n"),
            ("nbd2/queue/logical_block_size", "4096\n"),
            ("nbd10/pid", "0\n"),
            ("nbd10/size", "many\n"),
            ("nbd1x/pid", "1\n"),
            ("sda/size", "10\n"),
        ]);
        assert_eq!(sysfs.devices(), [0, 2, 10].map(DeviceName));
        let attached = sysfs.attached();
        let want = Attached {
            device: DeviceName(2),
            pid: Some(1234),
            backend: Some("vcp/1 x".to_owned()),
            size: 64 << 20,
            block_size: 4096,
            read_only: true,
        };
        assert_eq!(attached[0], want);
        assert_eq!(want.holder(), "by process 1234, for \"vcp/1 x\"");
        assert_eq!(
            (attached.len(), attached[1].pid, attached[1].size),
            (2, None, 0)
        );
        assert_eq!(sysfs.get(DeviceName(0)), None);
        assert_eq!(sysfs.get(DeviceName(77)), None);
    }

    #[test]
    fn partitions_count_with_their_device() {
        let (_root, sysfs) = tree(&[
            ("nbd1/dev", "43:32\n"),
            ("nbd1/nbd1p1/dev", "43:33\n"),
            ("nbd1/nbd1p1/holders/dm-3", ""),
            ("nbd1/queue/io_timeout", "30000\n"),
            ("nbd11/dev", "43:352\n"),
        ]);
        assert_eq!(sysfs.numbers(DeviceName(1)), ["43:32", "43:33"]);
        assert_eq!(sysfs.holders(DeviceName(1)), ["dm-3"]);
        sysfs.set_io_timeout(DeviceName(1), 5000).unwrap();
        let error = sysfs.set_io_timeout(DeviceName(11), 5000).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("nbd11/queue/io_timeout: No such file")
        );
    }

    #[test]
    fn no_sysfs_has_no_devices() {
        let sysfs = Sysfs::at(Path::new("/nonexistent"));
        assert!(sysfs.devices().is_empty() && sysfs.attached().is_empty());
    }
}
