//! `cargo xtask machine`: tests the package on a Debian machine with systemd, from
//! installation to purge, with reboots between. The machine is made with debootstrap and
//! emulated by qemu; the tests are those of `tests/tests/machine`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{Usage, build, deb, setup, shell};

/// The packages beyond debootstrap's minimal set.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "kmod",
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "ifupdown",
    "iproute2",
    "e2fsprogs",
    "fio",
    "procps",
    "bsdutils",
    "libgcc-s1",
];

const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";

/// Files of the machine, with their contents.
const FILES: &[(&str, &str)] = &[
    ("etc/hostname", "machine\n"),
    (
        "etc/fstab",
        "/dev/vda / ext4 errors=remount-ro 0 1\n\
         LABEL=delivery /delivery ext4 ro,nofail 0 0\n",
    ),
    // The interface that leads to the disks stays up until the machine is off.
    (
        "etc/network/interfaces",
        "auto lo\niface lo inet loopback\n\n\
         auto eth0\nno-auto-down eth0\n\
         iface eth0 inet static\n    address 10.0.2.15/24\n    gateway 10.0.2.2\n",
    ),
    // This agent runs the scripts of a test. It does not end the processes that they
    // leave running.
    (
        "etc/systemd/system/vm-agent.service",
        "[Unit]\nDescription=Scripts of a test\nRequiresMountsFor=/delivery\n\n\
         [Service]\nExecStart=/delivery/vm-agent\nKillMode=process\n\n\
         [Install]\nWantedBy=multi-user.target\n",
    ),
    // Root is logged in on the console.
    (
        "etc/systemd/system/serial-getty@ttyS0.service.d/login.conf",
        "[Service]\nExecStart=\nExecStart=-/sbin/agetty --autologin root --noclear %I linux\n",
    ),
    (
        "etc/systemd/journald.conf.d/keep.conf",
        "[Journal]\nStorage=persistent\n",
    ),
];

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    let (mut quick, mut filter) = (false, None);
    for argument in arguments {
        match argument.as_str() {
            "--quick" => quick = true,
            flag if flag.starts_with('-') => {
                bail!(Usage(format!("machine: unknown option `{flag}`")))
            }
            name if filter.is_none() => filter = Some(name),
            extra => bail!(Usage(format!(
                "machine: one filter only, not also `{extra}`"
            ))),
        }
    }
    if !shell::is_root() {
        bail!("machine: wants root, for debootstrap and network namespaces");
    }
    setup::install()?;
    make()?;
    build::host(true)?;
    deb::make(true)?;
    let mut cargo = shell::cargo();
    cargo.args(["test", "--package", "vcp-tests", "--features", "machine"]);
    cargo.args(["--test", "machine"]);
    cargo.env("VCP_BIN", shell::vcp_binary());
    if quick {
        cargo.env("VCP_E2E_QUICK", "1");
    }
    cargo.args(["--", "--test-threads=1", "--nocapture"]);
    shell::run(cargo.args(filter))
}

/// The machine's directory; `vcp_tests::vm::debian` looks there.
fn directory() -> PathBuf {
    shell::target_dir().join("vm/debian")
}

/// A description of the machine: when it changes, the machine is made anew.
fn recipe() -> String {
    format!("{SUITE} {PACKAGES:?} {FILES:?}\n")
}

/// Makes the machine's root and extracts its kernel, if that is not done yet.
fn make() -> Result<()> {
    let (place, stamp) = (directory(), directory().join("made-of"));
    if fs::read_to_string(&stamp).is_ok_and(|made_of| made_of == recipe()) {
        return Ok(());
    }
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).with_context(|| format!("making {}", place.display()))?;
    let root = place.join("root");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", "--include", &PACKAGES.join(",")]);
    shell::run(debootstrap.arg(SUITE).arg(&root).arg(MIRROR))?;
    furnish(&root)?;
    for name in ["vmlinuz", "initrd.img"] {
        fs::copy(of_kernel(&root, name)?, place.join(name)).context("taking the kernel")?;
    }
    let mut pack = Command::new("mke2fs");
    pack.args(["-q", "-t", "ext4", "-d"]).arg(&root);
    shell::run(pack.arg(place.join("root.ext4")).arg("2G"))?;
    fs::remove_dir_all(&root).context("removing what is packed")?;
    fs::write(stamp, recipe()).context("noting what the machine is made of")
}

/// Writes the files, and enables the agent.
fn furnish(root: &Path) -> Result<()> {
    for (path, text) in FILES {
        let path = root.join(path);
        let parent = path.parent().context("a file is in a directory")?;
        fs::create_dir_all(parent).context("making a directory")?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    for directory in ["delivery", "mnt/disk", "var/log/journal"] {
        fs::create_dir_all(root.join(directory)).context("making a directory")?;
    }
    // The downloaded packages are no longer needed.
    shell::run(Command::new("chroot").arg(root).args(["apt-get", "clean"]))?;
    let mut enable = Command::new("systemctl");
    enable.arg("--root").arg(root).args(["--quiet", "enable"]);
    shell::run(enable.args(["vm-agent.service", "serial-getty@ttyS0.service"]))
}

/// The only file of this kind in its `/boot`.
fn of_kernel(root: &Path, kind: &str) -> Result<PathBuf> {
    let boot = fs::read_dir(root.join("boot")).context("a kernel was installed")?;
    let found = boot.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{kind}-"))
    });
    found.with_context(|| format!("the machine has no {kind}"))
}
