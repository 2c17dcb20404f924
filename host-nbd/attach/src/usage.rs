//! Finds out who uses a device.
//!
//! Mounts and swap in another mount namespace show in no file; opening the device
//! exclusively ([`crate::Claim`]) reveals them.

use std::path::{Path, PathBuf};

use crate::name::DeviceName;
use crate::sysfs::Sysfs;

/// The known users of the device, one short text each; empty if there are none. Touches
/// no device, so it never waits for one.
#[must_use]
pub fn of(sysfs: &Sysfs, proc: &Path, device: DeviceName) -> Vec<String> {
    let points = mounts(
        &text(proc, "self/mountinfo"),
        &sysfs.numbers(device),
        device,
    );
    let mut uses: Vec<_> = points.iter().map(|p| format!("mounted at {p}")).collect();
    uses.extend(swaps(&text(proc, "swaps"), device));
    uses.extend(
        sysfs
            .holders(device)
            .iter()
            .map(|name| format!("held by {name}")),
    );
    uses
}

/// The mount points of file systems stored on the device, or on devices built on it. As
/// with [`of`], those in other mount namespaces are not seen.
#[must_use]
pub fn mount_points(sysfs: &Sysfs, proc: &Path, device: DeviceName) -> Vec<PathBuf> {
    let mut numbers = sysfs.numbers(device);
    numbers.extend(sysfs.numbers_above(device));
    let points = mounts(&text(proc, "self/mountinfo"), &numbers, device);
    points.into_iter().map(PathBuf::from).collect()
}

fn text(proc: &Path, file: &str) -> String {
    let bytes = std::fs::read(proc.join(file)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Mount points of these device numbers in the text of `/proc/PID/mountinfo`. File
/// systems over several devices have numbers of their own, but name a source.
fn mounts(mountinfo: &str, numbers: &[String], device: DeviceName) -> Vec<String> {
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let (Some(number), Some(point)) = (fields.get(2), fields.get(4)) else {
            continue;
        };
        let source = fields.iter().position(|field| *field == "-");
        let source = source.and_then(|dash| fields.get(dash + 2));
        let ours = numbers.iter().any(|known| known == number)
            || source.is_some_and(|source| is_part(source, device));
        if ours {
            found.push(unescape(point));
        }
    }
    found
}

fn swaps(swaps: &str, device: DeviceName) -> Option<String> {
    let used = swaps.lines().skip(1).any(|line| {
        let name = line.split_whitespace().next();
        name.is_some_and(|name| is_part(name, device))
    });
    used.then(|| "used as swap".to_owned())
}

/// Whether `path` is the device or a partition of it, such as `/dev/nbd0p1`.
fn is_part(path: &str, device: DeviceName) -> bool {
    match path.strip_prefix(&device.to_string()) {
        Some("") => true,
        Some(rest) => rest.starts_with('p') && rest.len() > 1,
        None => false,
    }
}

/// Decodes blanks and the like, which are written in octal (proc_pid_mountinfo(5)).
fn unescape(text: &str) -> String {
    let mut plain = text.to_owned();
    for (escape, character) in [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ] {
        plain = plain.replace(escape, character);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sysfs::tests::tree;

    const MOUNTINFO: &str = "\
22 28 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
30 28 43:32 / /mnt/a\\040b rw,relatime shared:9 - ext4 /dev/nbd1 rw
31 28 43:33 / /srv rw - xfs /dev/nbd1p1 rw
32 28 0:45 / /pool rw - btrfs /dev/nbd12 rw
nonsense
";

    #[test]
    fn mounts_are_found_by_number_and_by_source() {
        let of = |numbers: &[&str], device| {
            let numbers: Vec<_> = numbers.iter().map(|n| (*n).to_owned()).collect();
            mounts(MOUNTINFO, &numbers, DeviceName(device))
        };
        assert_eq!(of(&["43:32"], 1), ["/mnt/a b", "/srv"]);
        assert_eq!(of(&[], 12), ["/pool"]);
        assert!(of(&["43:0"], 0).is_empty());
        assert!(of(&["43:64"], 2).is_empty());
    }

    #[test]
    fn file_systems_on_devices_above_are_found() {
        let (root, sysfs) = tree(&[
            ("nbd1/dev", "43:32"),
            ("nbd1/holders/dm-0", ""),
            ("dm-0/dev", "253:0"),
            ("dm-0/holders/dm-1", ""),
            ("dm-1/dev", "253:1"),
            // The kernel makes no such loop; the search must end even so.
            ("dm-1/holders/dm-0", ""),
        ]);
        let proc = root.path().join("proc");
        std::fs::create_dir_all(proc.join("self")).unwrap();
        let crypt = "40 28 253:1 / /secret rw - ext4 /dev/mapper/secret rw\n";
        std::fs::write(proc.join("self/mountinfo"), MOUNTINFO.to_owned() + crypt).unwrap();
        let points = mount_points(&sysfs, &proc, DeviceName(1));
        let expected = ["/mnt/a b", "/srv", "/secret"].map(PathBuf::from);
        assert_eq!(points, expected);
    }

    #[test]
    fn everything_that_uses_a_device_is_told() {
        let (root, sysfs) = tree(&[("nbd1/dev", "43:32"), ("nbd1/holders/dm-0", "")]);
        let proc = root.path().join("proc");
        std::fs::create_dir_all(proc.join("self")).unwrap();
        std::fs::write(proc.join("self/mountinfo"), MOUNTINFO).unwrap();
        let swaps = "Filename\tType\tSize\tUsed\tPriority\n/dev/nbd1p2 partition 1 0 -2\n";
        std::fs::write(proc.join("swaps"), swaps).unwrap();
        let uses = of(&sysfs, &proc, DeviceName(1));
        let want = [
            "mounted at /mnt/a b",
            "mounted at /srv",
            "used as swap",
            "held by dm-0",
        ];
        assert_eq!(uses, want);
        assert!(of(&sysfs, &proc, DeviceName(0)).is_empty());
        assert!(of(&sysfs, Path::new("/nonexistent"), DeviceName(0)).is_empty());
    }
}
