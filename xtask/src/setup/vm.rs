//! Packages that the tests in a virtual machine use without installing them: a kernel
//! with its modules, whose installation would need a boot loader, and `nbd-client`, which
//! would change how this machine starts. Both are unpacked into the target directory,
//! which needs no privileges.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell;

/// The package that depends on the newest kernel of its flavour.
const KERNEL: &str = "linux-image-cloud-amd64";
const OTHERS: &[&str] = &["nbd-client"];

/// The directory of all this; `vcp_tests::vm` looks there.
fn directory() -> PathBuf {
    shell::target_dir().join("vm")
}

/// The file that is written last: if it exists, the directory is complete.
fn stamp() -> PathBuf {
    directory().join("packages")
}

/// Whether nothing is left to do, or nothing can be done on this kind of machine.
pub(super) fn is_there() -> bool {
    stamp().is_file() || !cfg!(target_arch = "x86_64")
}

/// Downloads and unpacks what is missing.
pub(super) fn install() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    if shell::which("apt-get").is_none() {
        eprintln!("setup: not a Debian machine, so tests in a virtual machine will be skipped");
        return Ok(());
    }
    let fresh = directory().join("new");
    // An interrupted run may have left this.
    let _ = fs::remove_dir_all(&fresh);
    fs::create_dir_all(&fresh).with_context(|| format!("making {}", fresh.display()))?;
    let packages = match download(&fresh) {
        // Lists older than the newest kernel name a kernel that is gone.
        Err(_) if shell::is_root() => {
            shell::run(Command::new("apt-get").args(["-qq", "update"]))?;
            download(&fresh)?
        }
        packages => packages?,
    };
    let root = fresh.join("root");
    for package in debs(&fresh)? {
        shell::run(Command::new("dpkg").arg("-x").arg(&package).arg(&root))?;
        fs::remove_file(&package).context("removing what is unpacked")?;
    }
    let place = directory().join("root");
    let _ = fs::remove_dir_all(&place);
    fs::rename(&root, &place).with_context(|| format!("making {}", place.display()))?;
    let _ = fs::remove_dir_all(&fresh);
    fs::write(stamp(), packages.join("\n") + "\n").context("noting what was unpacked")
}

/// Downloads all packages and returns their names.
fn download(into: &Path) -> Result<Vec<String>> {
    let packages = packages()?;
    let mut download = Command::new("apt-get");
    download.args(["-qq", "download"]).args(&packages);
    shell::run(download.current_dir(into).stdin(Stdio::null()))?;
    Ok(packages)
}

/// The names of the packages to download.
fn packages() -> Result<Vec<String>> {
    let depends = shell::output(Command::new("apt-cache").args(["depends", KERNEL]))?;
    let kernel = depends
        .lines()
        .find_map(|line| line.trim().strip_prefix("Depends: "))
        .filter(|package| package.starts_with("linux-image-"));
    let Some(kernel) = kernel else {
        bail!("setup: {KERNEL} depends on no kernel:\n{depends}");
    };
    let others = OTHERS.iter().copied();
    Ok(std::iter::once(kernel)
        .chain(others)
        .map(str::to_owned)
        .collect())
}

fn debs(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            found.push(path);
        }
    }
    Ok(found)
}
