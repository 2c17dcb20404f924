//! The memory that the control groups of this process leave it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use super::files::{Files as _, Kernel};
use super::hierarchies::{MAX_BYTES, Mount};

/// Bytes of memory that this process may have beside what its control groups have by
/// now, before a limit of one of them is reached; `None` where none has a limit, or that
/// can't be found out. What the kernel drops when it is short counts as left.
pub fn memory_left() -> Option<u64> {
    left(Path::new("/"))
}

/// The same with the files below `root`.
fn left(root: &Path) -> Option<u64> {
    let read = |path: &str| {
        let mut text = Vec::new();
        if let Ok(file) = File::open(root.join(path)) {
            // Text that was read before an error is good.
            let _ = file.take(MAX_BYTES).read_to_end(&mut text);
        }
        text
    };
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let mut least: Option<u64> = None;
    let mounts = mounts.split(|&byte| byte == b'\n').filter_map(Mount::parse);
    for mount in mounts {
        let Some(version) = Version::of(&mount) else {
            continue;
        };
        let mut groups = groups.split(|&byte| byte == b'\n');
        let Some(group) = groups.find_map(|line| version.group(line)) else {
            continue;
        };
        // The mount has another group, which this process is not in.
        let Ok(below) = group.strip_prefix(&mount.root) else {
            continue;
        };
        // The limits of a group outside of this namespace can't be seen.
        let is_inside = below.components().all(|part| part != Component::ParentDir);
        let below = if is_inside { below } else { Path::new("") };
        let top = root.join(mount.point.strip_prefix("/").unwrap_or(&mount.point));
        let mut directory = top.join(below);
        while directory.starts_with(&top) {
            let here = version.left(&directory);
            least = [least, here].into_iter().flatten().min();
            if !directory.pop() {
                break;
            }
        }
    }
    least
}

/// A version of control groups; each has its own names for the same.
#[derive(Debug, Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Version {
    /// The version of a mount, if that may have limits of memory.
    fn of(mount: &Mount<'_>) -> Option<Self> {
        match mount.kind {
            b"cgroup2" => Some(Self::Two),
            b"cgroup" if mount.has_option(b"memory") => Some(Self::One),
            _ => None,
        }
    }

    /// The group in a line of `/proc/self/cgroup`, if that is of this hierarchy.
    fn group(self, line: &[u8]) -> Option<PathBuf> {
        let mut fields = line.splitn(3, |&byte| byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let mut controllers = controllers.split(|&byte| byte == b',');
        let is_it = match self {
            Self::One => controllers.any(|controller| controller == b"memory"),
            Self::Two => id == b"0" && controllers.eq([b""]),
        };
        is_it.then(|| PathBuf::from(OsStr::from_bytes(path)))
    }

    /// The memory that a group has left; `None` if it has no limit of its own.
    fn left(self, group: &Path) -> Option<u64> {
        let (limit, used, dropped) = match self {
            Self::One => (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file ",
            ),
            Self::Two => ("memory.max", "memory.current", "inactive_file "),
        };
        let read = |file| Kernel.read(&group.join(file)).ok();
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let limit = number(&read(limit)?)?;
        let used = read(used).as_deref().and_then(number).unwrap_or(0);
        let stat = read("memory.stat").unwrap_or_default();
        let dropped = stat.lines().find_map(|line| line.strip_prefix(dropped));
        let dropped = dropped.and_then(number).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(dropped)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A recorded machine: paths, and what is in the files.
    fn machine(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        root
    }

    fn left_of(files: &[(&str, &str)]) -> Option<u64> {
        left(machine(files).path())
    }

    const UNIFIED: (&str, &str) = (
        "proc/self/mountinfo",
        "24 1 0:22 / /proc rw - proc proc rw\n\
         31 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
    );

    /// A service of systemd with `MemoryMax=`, in a slice with a larger one.
    #[test]
    fn a_service_has_what_its_unit_leaves() {
        let service = "sys/fs/cgroup/system.slice/vcp.service";
        let files = |max: &'static str| {
            [
                UNIFIED,
                ("proc/self/cgroup", "0::/system.slice/vcp.service"),
                ("sys/fs/cgroup/system.slice/memory.max", "1073741824"),
                ("sys/fs/cgroup/system.slice/memory.current", "536870912"),
                ("sys/fs/cgroup/system.slice/vcp.service/memory.max", max),
                (
                    "sys/fs/cgroup/system.slice/vcp.service/memory.current",
                    "104857600",
                ),
            ]
        };
        assert_eq!(left_of(&files("268435456")), Some(156 * MIB));
        // The limit of the group above is less, or the only one.
        assert_eq!(left_of(&files("1073741824")), Some(512 * MIB));
        assert_eq!(left_of(&files("max")), Some(512 * MIB));
        assert_eq!(left_of(&files("lots")), Some(512 * MIB));
        // It uses more than its limit, which was lowered.
        assert_eq!(left_of(&files("1048576")), Some(0));
        // Memory of files that the kernel can drop does not count as used.
        let root = machine(&files("268435456"));
        let stat = "anon 52428800\nfile 52428800\ninactive_file 41943040\nactive_file 10485760\n";
        fs::write(root.path().join(service).join("memory.stat"), stat).unwrap();
        assert_eq!(left(root.path()), Some(196 * MIB));
    }

    /// A container with a namespace of control groups of its own.
    #[test]
    fn a_container_has_what_its_own_root_leaves() {
        let files = [
            (
                "proc/self/mountinfo",
                "700 690 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw",
            ),
            ("proc/self/cgroup", "0::/"),
            ("sys/fs/cgroup/memory.max", "536870912"),
            ("sys/fs/cgroup/memory.current", "12582912"),
        ];
        assert_eq!(left_of(&files), Some(500 * MIB));
        // The process was moved out of it from outside.
        let mut moved = files;
        moved[1].1 = "0::/../other";
        assert_eq!(left_of(&moved), Some(500 * MIB));
    }

    const HYBRID: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";

    #[test]
    fn version_1_has_its_memory_in_a_hierarchy_of_its_own() {
        let top = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        let files = [
            ("proc/self/mountinfo", HYBRID),
            ("proc/self/cgroup", "4:memory:/a/b\n1:cpu:/c\n0::/d"),
            (top, "9223372036854771712"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824"),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "943718400"),
            (
                "sys/fs/cgroup/memory/a/memory.stat",
                "inactive_file 1\ntotal_inactive_file 10485760",
            ),
            (
                "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
                "536870912",
            ),
            ("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "4096"),
            // This process is not in that group.
            ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "4096"),
        ];
        assert_eq!(left_of(&files), Some(134 * MIB));
    }

    /// A container of version 1 sees the groups of the host in its list, and its own
    /// group mounted.
    #[test]
    fn a_group_is_looked_for_below_what_is_mounted() {
        let files = [
            (
                "proc/self/mountinfo",
                "35 31 0:32 /docker/abc /sys/fs/cgroup/memory\\040here ro - cgroup cgroup rw,memory\n\
                 36 31 0:32 /docker/other /mnt/other ro - cgroup cgroup rw,memory",
            ),
            ("mnt/other/memory.limit_in_bytes", "4096"),
            ("proc/self/cgroup", "4:cpu,memory:/docker/abc/x"),
            (
                "sys/fs/cgroup/memory here/x/memory.limit_in_bytes",
                "2097152",
            ),
            ("sys/fs/cgroup/memory here/memory.limit_in_bytes", "1048576"),
        ];
        assert_eq!(left_of(&files), Some(MIB));
    }

    #[test]
    fn without_limits_nothing_is_said() {
        assert_eq!(left_of(&[]), None);
        assert_eq!(left_of(&[UNIFIED]), None);
        let group = ("proc/self/cgroup", "0::/x\n\nodd\n0:");
        assert_eq!(left_of(&[UNIFIED, group]), None);
        assert_eq!(left_of(&[group]), None);
        let unlimited = ("sys/fs/cgroup/x/memory.max", "max");
        assert_eq!(left_of(&[UNIFIED, group, unlimited]), None);
        // This machine, whatever it is.
        let _ = memory_left();
    }
}
