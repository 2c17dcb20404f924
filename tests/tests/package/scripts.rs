//! What the maintainer scripts do: the package is installed, upgraded, removed and
//! purged by dpkg itself, on a copy of this machine's root that is thrown away. The
//! service manager is one that only notes what it is asked, and `/proc` and `/sys` say
//! what the test wants them to.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use vcp_tests::lab::Scratch;
use vcp_tests::process::{Outcome, command, must, run};
use vcp_tests::requires;

use crate::{package, unpacked};

/// Where a service that is enabled is linked to.
const LINKS: [&str; 2] = [
    "etc/systemd/system/multi-user.target.wants/vcp.service",
    "etc/systemd/system/remote-fs-pre.target.wants/vcp.service",
];

/// A link that the unit does not ask for.
const OWN_LINK: &str = "etc/systemd/system/graphical.target.wants/vcp.service";

/// The operator's own.
const DROP_IN: &str = "etc/systemd/system/vcp.service.d/attach.conf";

/// This machine's root as it is, and in a directory what was changed.
struct Machine {
    scratch: Scratch,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            scratch: Scratch::new(),
        };
        for dir in ["upper", "work", "merged"] {
            fs::create_dir(machine.scratch.path().join(dir)).expect("making a directory");
        }
        let note = "#!/bin/sh\necho \"$@\" >>/asked\n";
        for (program, text) in [
            ("usr/bin/systemctl", note),
            // Whatever this machine's says.
            ("usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n"),
        ] {
            machine.write(program, text);
            let path = machine.changed(program);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("just made");
        }
        fs::create_dir_all(machine.changed("run/systemd/system")).expect("making a directory");
        machine.write("proc/self/mountinfo", "");
        machine.write("proc/swaps", "");
        machine
    }

    /// Where a path is that was changed.
    fn changed(&self, path: &str) -> PathBuf {
        self.scratch.path().join("upper").join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.changed(path);
        let parent = path.parent().expect("it is in a directory");
        fs::create_dir_all(parent).expect("making a directory");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Links that `systemctl enable` would make.
    fn link(&self, path: &str) {
        let path = self.changed(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("making a directory");
        symlink("/lib/systemd/system/vcp.service", path).expect("making a link");
    }

    /// Whether there is something at this path that was put there.
    fn has(&self, path: &str) -> bool {
        let kind = fs::symlink_metadata(self.changed(path)).map(|found| found.file_type());
        // What is deleted is a device with the number 0.
        kind.is_ok_and(|kind| !kind.is_char_device())
    }

    /// Has dpkg do something: what the service manager was asked, and what was said.
    fn dpkg(&self, arguments: &[&str]) -> (String, String) {
        let script = "set -e; mount -t overlay overlay \
             -o lowerdir=/,upperdir=$1/upper,workdir=$1/work $1/merged; \
             mount --rbind /dev $1/merged/dev; at=$1/merged; shift; \
             exec chroot $at /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin \
             DEBIAN_FRONTEND=noninteractive dpkg --no-triggers \"$@\"";
        self.write("asked", "");
        let mut dpkg = command("unshare");
        dpkg.args(["--mount", "--", "sh", "-c", script, "dpkg"]);
        dpkg.arg(self.scratch.path()).args(arguments);
        let outcome: Outcome = run(dpkg, self.scratch.path(), Duration::from_secs(60));
        let said = outcome.stderr.clone();
        let _ = outcome.expect_success(&format!("dpkg {arguments:?}"));
        let asked = fs::read_to_string(self.changed("asked")).expect("it was there before");
        (asked, said)
    }
}

/// The package with a program that is none, in another version: small, and so quickly
/// made and installed.
fn repacked(root: &Path, version: &str, machine: &Machine) -> String {
    let control = root.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("it has one");
    let lines = text.lines().map(|line| match line {
        line if line.starts_with("Version: ") => format!("Version: {version}\n"),
        line => format!("{line}\n"),
    });
    fs::write(&control, lines.collect::<String>()).expect("writing a file");
    fs::write(root.join("usr/bin/vcp"), "#!/bin/sh\n").expect("writing a file");
    let name = format!("vcp-{version}.deb");
    let deb = machine.changed(&name).display().to_string();
    must(
        "dpkg-deb",
        &["-Zgzip", "-b", &root.display().to_string(), &deb],
    );
    format!("/{name}")
}

/// A machine without the package, and where the package lies unpacked.
fn with_package() -> Option<(Machine, PathBuf)> {
    let package = package()?;
    let machine = Machine::new();
    let root = unpacked(&package, &machine.scratch);
    Some((machine, root))
}

#[test]
fn scripts_follow_the_service_from_installation_to_purge() {
    requires!(
        Root,
        Overlay,
        "dpkg",
        "dpkg-deb",
        "unshare",
        "deb-systemd-helper"
    );
    let Some((machine, root)) = with_package() else {
        return;
    };
    let first = repacked(&root, "0.0.1-1", &machine);
    let second = repacked(&root, "0.0.2-1", &machine);

    let (asked, _) = machine.dpkg(&["-i", &first]);
    assert_eq!(
        asked, "--system daemon-reload\n",
        "neither enabled nor started"
    );
    assert!(LINKS.iter().all(|link| !machine.has(link)));

    LINKS.iter().for_each(|link| machine.link(link));
    machine.link(OWN_LINK);
    machine.write(DROP_IN, "[Service]\n");
    machine.write("etc/vcp/host.toml", "[host]\n");
    machine.write("etc/vcp/conf.d/disk0.toml", "# mine\n");
    machine.write("var/lib/vcp/disk0.img", "data");
    machine.write("var/cache/vcp/module.cwasm", "code");
    machine.write("run/vcp/attach/nbd0", "");
    let (asked, _) = machine.dpkg(&["-i", &second]);
    // Of the old package's scripts and of the new one's.
    let twice = "--system daemon-reload\n".repeat(2);
    assert_eq!(asked, twice + "try-restart vcp.service\n");
    assert!(LINKS.iter().all(|link| machine.has(link)));
    let kept = fs::read_to_string(machine.changed("etc/vcp/host.toml")).expect("it is kept");
    assert_eq!(kept, "[host]\n");

    let (asked, said) = machine.dpkg(&["-r", "vcp"]);
    assert_eq!(
        asked,
        "stop vcp.service\nstop vcp-left.service\n--system daemon-reload\ndaemon-reload\n"
    );
    assert!(!said.contains("WARNING"), "nothing is in use: {said}");
    assert!(!machine.has("usr/bin/vcp"));
    for kept in [
        "etc/vcp/host.toml",
        "etc/vcp/conf.d/disk0.toml",
        "var/lib/vcp/disk0.img",
    ] {
        assert!(machine.has(kept), "{kept}");
    }
    assert!(LINKS.iter().all(|link| machine.has(link)));

    let (asked, _) = machine.dpkg(&["-i", &second]);
    assert!(!asked.contains(" start"), "{asked}");
    assert!(LINKS.iter().all(|link| machine.has(link)), "still enabled");
    assert!(
        !machine.has("etc/systemd/system/vcp.service"),
        "no mask is left"
    );

    let (asked, _) = machine.dpkg(&["-P", "vcp"]);
    assert!(asked.starts_with("stop vcp.service\n"), "{asked}");
    let own = machine.changed(DROP_IN);
    let own = own.parent().expect("it is in a directory").to_owned();
    assert_eq!(remains(&machine.changed("")), [own]);
}

/// A removal says what is in use, of the devices that are ours.
#[test]
fn a_removal_warns_of_devices_in_use() {
    requires!(
        Root,
        Overlay,
        "dpkg",
        "dpkg-deb",
        "unshare",
        "deb-systemd-helper"
    );
    let Some((machine, root)) = with_package() else {
        return;
    };
    let deb = repacked(&root, "0.0.1-1", &machine);
    machine.dpkg(&["-i", &deb]);
    let ours = |export: &str, dead: u64| {
        format!(
            "vcp/1 export={export} connections=1 timeout=0 dead={dead} \
             device=90c3c10d5fa3a5b6 host=/etc/vcp/host.toml dead=7\n"
        )
    };
    let devices = [
        // Mounted, by its number.
        ("nbd0", "43:0", ours("disk0", 300)),
        // A partition is mounted, by a file system that has a number of its own.
        ("nbd1", "43:32", ours("iqn%3Adisk1", 60)),
        // Swap.
        ("nbd2", "43:64", ours("disk2", 300)),
        // Held by a device mapper.
        ("nbd3", "43:96", ours("disk3", 300)),
        // Somebody else's.
        ("nbd4", "43:128", "qemu\n".to_owned()),
        // Used by nobody.
        ("nbd5", "43:160", ours("disk5", 300)),
    ];
    for (name, number, backend) in devices {
        machine.write(&format!("sys/block/{name}/pid"), "1\n");
        machine.write(&format!("sys/block/{name}/backend"), &backend);
        machine.write(&format!("sys/block/{name}/dev"), &format!("{number}\n"));
    }
    // Not attached.
    machine.write("sys/block/nbd6/dev", "43:192\n");
    machine.write("sys/block/nbd1/nbd1p1/dev", "43:33\n");
    machine.write("sys/block/nbd3/holders/dm-0/dev", "253:0\n");
    machine.write(
        "proc/self/mountinfo",
        "29 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
         40 29 43:0 / /mnt/a\\040b rw,relatime shared:2 master:1 - ext4 /dev/nbd0 rw\n\
         41 29 0:50 / /mnt/pool rw,relatime - btrfs /dev/nbd1p1 rw\n\
         42 29 43:128 / /mnt/theirs rw - ext4 /dev/nbd4 rw\n\
         43 29 0:51 / /run/vcp/mount/disk6/export rw - fuse.nbdfuse nbdfuse rw\n",
    );
    machine.write(
        "proc/swaps",
        "Filename\tType\tSize\tUsed\tPriority\n/dev/nbd2 partition 1 0 -2\n",
    );
    let (asked, said) = machine.dpkg(&["-r", "vcp"]);
    assert!(asked.starts_with("stop vcp.service\n"), "{asked}");
    let warnings: Vec<_> = said.lines().filter(|l| l.contains("WARNING: /")).collect();
    assert_eq!(
        warnings,
        [
            "vcp: WARNING: /dev/nbd0 (export disk0) is in use: mounted at /mnt/a b.",
            "vcp: WARNING: /dev/nbd1 (export iqn%3Adisk1) is in use: mounted at /mnt/pool.",
            "vcp: WARNING: /dev/nbd2 (export disk2) is in use: used as swap.",
            "vcp: WARNING: /dev/nbd3 (export disk3) is in use: held by dm-0.",
            "vcp: WARNING: /run/vcp/mount/disk6/export is in use: mounted by vcp mount.",
        ],
        "{said}"
    );
    for seconds in ["waits 300 s", "waits 60 s"] {
        assert!(said.contains(seconds), "{said}");
    }
    assert!(!said.contains("waits 7 s"), "{said}");
}

/// What has our name below a directory of changes, without what is below that. The
/// packages themselves lie in there too.
fn remains(changes: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(changes).expect("it can be read") {
        let entry = entry.expect("it can be read");
        let (path, name) = (entry.path(), entry.file_name());
        let kind = entry.file_type().expect("it has one");
        let name = name.to_string_lossy();
        if name.ends_with(".deb") || kind.is_char_device() {
            continue;
        }
        if name.contains("vcp") {
            found.push(path);
        } else if kind.is_dir() {
            found.extend(remains(&path));
        }
    }
    found
}
