//! `cargo xtask setup`: installs what a fresh Debian machine lacks for the end-to-end
//! tests and the measurements. Only root can install; for other users it prints what is
//! missing and goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{Usage, shell};

mod vm;

/// Peers, clients and observers of the end-to-end tests and the measurements.
const PACKAGES: &[&str] = &[
    "tgt",
    "istgt",
    "qemu-utils",
    "qemu-block-extra",
    "nbdkit",
    "nbdkit-plugin-python",
    "libnbd-bin",
    "python3-libnbd",
    "fuse3",
    "e2fsprogs",
    "xfsprogs",
    "btrfs-progs",
    "util-linux",
    "mount",
    "git",
    "fio",
    "libiscsi-bin",
    "libiscsi7",
    "iproute2",
    "procps",
    "tshark",
    "strace",
    "linux-perf",
    "systemd",
    "lintian",
    "man-db",
    "debootstrap",
    "mandoc",
    "dpkg-dev",
    "python3",
    "qemu-system-x86",
    "busybox-static",
    // The dependency of nbd-client, which is unpacked and not installed.
    "libnl-genl-3-200",
];

const WASM_TARGET: &str = "wasm32-wasip2";

pub(crate) fn command(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => install(),
        [one] if one == "--check" => check(),
        _ => bail!(Usage(format!("setup: unexpected {arguments:?}"))),
    }
}

/// Installs what is missing, or prints what root would install.
pub(crate) fn install() -> Result<()> {
    wasm_target()?;
    install_missing()?;
    // The package lists are up to date by now.
    vm::install()
}

fn install_missing() -> Result<()> {
    let missing = missing_packages();
    if missing.is_empty() {
        return Ok(());
    }
    if shell::which("apt-get").is_none() {
        eprintln!(
            "setup: not a Debian machine; tests need what these packages hold: {}",
            missing.join(" ")
        );
        return Ok(());
    }
    if !shell::is_root() {
        eprintln!(
            "setup: not root, so tests that need these will be skipped: {}",
            missing.join(" ")
        );
        return Ok(());
    }
    install_packages(&missing)?;
    let still = missing_packages();
    if !still.is_empty() {
        bail!(
            "setup: apt-get succeeded, but these are still missing: {}",
            still.join(" ")
        );
    }
    Ok(())
}

/// Makes sure that guests can be compiled.
pub(crate) fn wasm_target() -> Result<()> {
    if has_wasm_target() {
        return Ok(());
    }
    if shell::which("rustup").is_none() {
        bail!("the Rust toolchain has no target {WASM_TARGET} and there is no rustup to add it");
    }
    shell::run(Command::new("rustup").current_dir(shell::root()).args([
        "target",
        "add",
        WASM_TARGET,
    ]))
}

fn check() -> Result<()> {
    let mut lacking = Vec::new();
    if !has_wasm_target() {
        lacking.push(format!("Rust target {WASM_TARGET}"));
    }
    lacking.extend(
        missing_packages()
            .iter()
            .map(|package| format!("package {package}")),
    );
    if !vm::is_there() {
        lacking.push("a kernel for virtual machines".into());
    }
    if lacking.is_empty() {
        println!("nothing is missing");
        return Ok(());
    }
    for what in &lacking {
        println!("missing: {what}");
    }
    bail!(
        "{} missing; `cargo xtask setup` as root installs them",
        lacking.len()
    );
}

fn has_wasm_target() -> bool {
    let libraries = Command::new("rustc")
        .current_dir(shell::root())
        .args(["--print", "target-libdir", "--target", WASM_TARGET])
        .output();
    libraries.is_ok_and(|output| {
        output.status.success()
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    })
}

fn missing_packages() -> Vec<&'static str> {
    PACKAGES
        .iter()
        .copied()
        .filter(|package| !is_installed(package))
        .collect()
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}

fn install_packages(missing: &[&str]) -> Result<()> {
    let _quiet = NoServices::new()?;
    if let Err(error) = shell::run(apt_get().arg("update")) {
        eprintln!("setup: {error:#}; going on with the package lists there are");
    }
    let wanted = pinned(missing);
    if shell::run(apt_install().args(&wanted)).is_ok() {
        return Ok(());
    }
    // A qemu-utils from elsewhere (backports) may resist downgrading in one step with the
    // other packages: remove it first.
    eprintln!("setup: trying again without the installed qemu-utils");
    shell::run(apt_get().args(["remove", "--yes", "qemu-utils"]))?;
    let mut again = missing.to_vec();
    if !again.contains(&"qemu-utils") {
        again.push("qemu-utils");
    }
    shell::run(apt_install().args(&again))
}

/// The packages with their versions. `qemu-block-extra` depends on the `qemu-utils` of
/// its own version, and apt will not downgrade a newer one by itself.
fn pinned(missing: &[&str]) -> Vec<String> {
    let mut wanted: Vec<String> = missing.iter().map(ToString::to_string).collect();
    if !missing.contains(&"qemu-block-extra") {
        return wanted;
    }
    if let Some(version) = candidate("qemu-block-extra") {
        wanted.retain(|package| !["qemu-utils", "qemu-block-extra"].contains(&package.as_str()));
        wanted.push(format!("qemu-utils={version}"));
        wanted.push(format!("qemu-block-extra={version}"));
    }
    wanted
}

fn candidate(package: &str) -> Option<String> {
    let policy = shell::output(Command::new("apt-cache").args(["policy", package])).ok()?;
    let version = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    (version != "(none)").then(|| version.to_owned())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .arg("-qq");
    command
}

fn apt_install() -> Command {
    let mut command = apt_get();
    command.args([
        "install",
        "--yes",
        "--no-install-recommends",
        "--allow-downgrades",
    ]);
    command
}

/// A guard that keeps packages from starting their services: the tests run their own
/// `tgtd`, and the machine's should stay as it was.
struct NoServices {
    created: bool,
}

impl NoServices {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    fn new() -> Result<Self> {
        if Path::new(Self::POLICY).exists() {
            return Ok(Self { created: false });
        }
        fs::write(Self::POLICY, "#!/bin/sh\nexit 101\n")
            .with_context(|| format!("writing {}", Self::POLICY))?;
        fs::set_permissions(Self::POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Self { created: true })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.created {
            let _ = fs::remove_file(Self::POLICY);
        }
    }
}
