//! Finds out what is on a device, mounts it and unmounts it.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use crate::program::{BLKID, MOUNT, UMOUNT, one_line};
use crate::{Error, Manner};

/// How to mount.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The file system's type; if not given, it is detected on the device.
    pub kind: Option<String>,
    /// mount(8)'s `-o`.
    pub options: Option<String>,
    /// Whether to mount read-only.
    pub read_only: bool,
}

/// blkid(8)'s exit status when nothing was found.
const NOTHING: i32 = 2;
/// blkid(8)'s exit status when more than one thing was found.
const SEVERAL: i32 = 8;

/// The type of the file system on a device, by its superblock.
pub fn probe(device: &Path) -> Result<String, Error> {
    let no = |found: &str| Error::NoFileSystem {
        device: device.to_owned(),
        found: found.to_owned(),
    };
    let words = ["--probe", "--output", "export"].map(OsStr::new);
    let output = BLKID.output(&[&words[..], &[device.as_os_str()]].concat())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs
            .find(|(found, _)| *found == key)
            .map(|(_, value)| value.to_owned())
    };
    match output.status.code() {
        Some(0) => {}
        Some(NOTHING) => return Err(no("no file system on it; mkfs makes one")),
        Some(SEVERAL) => return Err(no("traces of several file systems; name one with --type")),
        _ => {
            let said = one_line(&String::from_utf8_lossy(&output.stderr), BLKID.0);
            return Err(Error::Failed {
                program: BLKID.0,
                said,
            });
        }
    }
    match (value("USAGE").as_deref(), value("TYPE"), value("PTTYPE")) {
        (Some("filesystem"), Some(kind), _) => Ok(kind),
        (Some(usage), Some(kind), _) => Err(no(&format!("{kind} ({usage}), no file system"))),
        (_, _, Some(table)) => Err(no(&format!(
            "a partition table ({table}), no file system of its own"
        ))),
        _ => Err(no("no file system on it; mkfs makes one")),
    }
}

/// Mounts the device by mount(8) and returns the type. The file system is marked as one
/// that needs the network (`_netdev`), so that a shutdown unmounts it before the network
/// goes.
pub fn mount(device: &Path, dir: &Path, how: &Options) -> Result<String, Error> {
    let kind = match &how.kind {
        Some(kind) => kind.clone(),
        None => probe(device)?,
    };
    let mut options = how.options.clone().unwrap_or_default();
    let mut add = |option: &str| {
        if !options.split(',').any(|there| there == option) {
            if !options.is_empty() {
                options.push(',');
            }
            options.push_str(option);
        }
    };
    add("_netdev");
    if how.read_only {
        add("ro");
    }
    MOUNT.run(&[
        OsStr::new("-t"),
        OsStr::new(&kind),
        OsStr::new("-o"),
        OsStr::new(&options),
        device.as_os_str(),
        dir.as_os_str(),
    ])?;
    Ok(kind)
}

/// Unmounts `dir`. An orderly unmount returns when all data is on the device.
pub fn unmount(dir: &Path, manner: Manner) -> Result<(), Error> {
    match manner {
        Manner::Orderly => UMOUNT.run(&[dir.as_os_str()])?,
        // umount(8)'s own --force is for NFS.
        Manner::Lazy | Manner::Force => UMOUNT.run(&[OsStr::new("--lazy"), dir.as_os_str()])?,
    };
    Ok(())
}

/// Flushes the device, so that all data written to it is durable.
pub fn flush(device: &Path) -> Result<(), Error> {
    File::open(device)
        .and_then(|device| device.sync_all())
        .map_err(Error::at(device.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    /// A "device" with these bytes in it.
    fn probed(at: u64, bytes: &[u8]) -> String {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("device");
        let file = File::create(&path).unwrap();
        file.set_len(16 << 20).unwrap();
        file.write_all_at(bytes, at).unwrap();
        probe(&path).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn what_is_no_file_system_is_said() {
        assert!(probed(0, &[]).ends_with("no file system on it; mkfs makes one"));
        // A partition table with one Linux partition.
        let mut table = [0; 512];
        table[446 + 4] = 0x83;
        table[446 + 8] = 8;
        table[446 + 13] = 8;
        table[510..].copy_from_slice(&[0x55, 0xaa]);
        let found = probed(0, &table);
        assert!(found.contains("a partition table (dos)"), "{found}");
        let swap = probed(4086, b"SWAPSPACE2");
        assert!(swap.contains("device"), "{swap}");
    }

    #[test]
    fn a_device_that_is_not_there() {
        let error = probe(Path::new("/no/device")).unwrap_err().to_string();
        assert!(error.contains("/no/device"), "{error}");
    }
}
