//! What a virtual machine has on its root: busybox for everything of a shell,
//! file systems' tools and the target from this machine, the program under test.

use std::path::{Path, PathBuf};

use super::agent;
use super::initramfs::Initramfs;
use super::kernel::{self, Kernel};
use super::warm::Warm;
use crate::need::which;
use crate::process::must;
use crate::vcp::binary;

/// Programs of this machine, under the name that they have here.
pub const PROGRAMS: &[&str] = &[
    "tgtd",
    "tgtadm",
    "mke2fs",
    "e2fsck",
    "mkfs.xfs",
    "xfs_repair",
    // Busybox has these, too, without all that is asked of them.
    "mount",
    "umount",
    "blkid",
];

/// Modules that something may ask for. `nbd` is left for whoever wants it to load.
const MODULES: &[&str] = &[
    "nbd",
    "xfs",
    "tun",
    "loop",
    "veth",
    "virtio_pci",
    "virtio_net",
];

/// The first process: mounts what belongs everywhere, and waits for the agent to
/// end. As a shell it also buries whoever dies without a parent.
const INIT: &str = r#"#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o size=1400m shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/tgtd
for module in virtio_pci virtio_net; do modprobe $module; done
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
vm-agent
reboot -f
"#;

/// The archive to boot `kernel` with; `agent` has the other programs of the tests
/// beside it. In `scratch` it may put things meanwhile.
///
/// # Panics
/// When a program is missing.
#[must_use]
pub fn initramfs(kernel: &Kernel, agent: &Path, warm: Option<&Warm>, scratch: &Path) -> Vec<u8> {
    let mut archive = basis(INIT, agent, scratch);
    let manager = agent.with_file_name("service-manager");
    own(&mut archive, "bin/service-manager", &manager, scratch);
    own(&mut archive, "bin/vcp", &binary(), scratch);
    for program in PROGRAMS {
        archive.program(&format!("usr/sbin/{program}"), &found(program));
    }
    archive.link("usr/sbin/mkfs.ext4", "mke2fs");
    archive.program("usr/sbin/nbd-client", &nbd_client());
    modules(&mut archive, kernel, MODULES);
    if let Some(warm) = warm {
        for (name, bytes) in warm.files() {
            archive.file(&format!("{}/{name}", agent::CACHE), bytes);
        }
    }
    archive.finish()
}

/// What every machine has: a shell with `init` for its first process, and the agent.
pub(super) fn basis(init: &str, agent: &Path, scratch: &Path) -> Initramfs {
    let mut archive = Initramfs::default();
    for directory in ["proc", "sys", "dev", "run", "tmp", "root", "mnt", "etc"] {
        archive.directory(directory);
    }
    archive.file("init", init.as_bytes());
    archive.link("var/run", "/run");
    archive.link("etc/mtab", "/proc/self/mounts");
    archive.file("etc/hosts", b"127.0.0.1 localhost\n");
    archive.file("etc/passwd", b"root:x:0:0::/root:/bin/sh\n");
    archive.program("bin/busybox", &found("busybox"));
    // What the kernel itself runs to load a module.
    archive.link("sbin/modprobe", "/bin/busybox");
    own(&mut archive, "bin/vm-agent", agent, scratch);
    archive
}

/// A program of this workspace, without its symbols.
fn own(archive: &mut Initramfs, path: &str, program: &Path, scratch: &Path) {
    let stripped = scratch.join("stripped");
    must("strip", &["-o", &text(&stripped), &text(program)]);
    archive.program(path, &stripped);
}

/// With the list that `modprobe` reads: each module and what it stands on. They are in
/// a directory, as everywhere.
pub(super) fn modules(archive: &mut Initramfs, kernel: &Kernel, names: &[&str]) {
    let directory = format!("lib/modules/{}", kernel.release);
    let mut list = String::new();
    let modules = kernel.modules(names);
    for module in &modules {
        archive.file(
            &format!("{directory}/kernel/{}.ko", module.name),
            &module.bytes,
        );
        let mut line = format!("kernel/{}.ko:", module.name);
        let names: Vec<&str> = module.depends.iter().map(String::as_str).collect();
        for below in kernel.modules(&names) {
            line += &format!(" kernel/{}.ko", below.name);
        }
        list += &(line + "\n");
    }
    archive.file(&format!("{directory}/modules.dep"), list.as_bytes());
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn found(program: &str) -> PathBuf {
    which(program).unwrap_or_else(|| panic!("no {program}"))
}

fn nbd_client() -> PathBuf {
    let places = ["sbin/nbd-client", "usr/sbin/nbd-client"];
    let mut places = places.iter().map(|place| kernel::root().join(place));
    places
        .find(|place| place.is_file())
        .expect("setup unpacks nbd-client with the kernel")
}
