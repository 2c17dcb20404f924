//! Sockets for exports without an address, in a directory of their own that others can
//! see.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use vcp_config::{HostConfig, NbdAddress};

/// The prefix of such directories' names; the PID follows.
const PREFIX: &str = "vcp-";

/// Gives every export that has no address a socket in a directory of their own.
pub(super) fn sockets(config: &mut HostConfig, directory: &mut Option<TempDir>) -> Result<()> {
    if config.exports.values().all(|export| !export.nbd.is_empty()) {
        return Ok(());
    }
    if directory.is_none() {
        *directory = Some(make(&base())?);
    }
    let directory = directory.as_ref().context("a directory for sockets")?;
    for (name, export) in &mut config.exports {
        if export.nbd.is_empty() {
            let file = vcp_mount::file_name(name.as_str()) + ".sock";
            let socket = directory.path().join(file);
            export.nbd.push(NbdAddress::Unix(socket));
        }
    }
    Ok(())
}

/// The parent directory. A service has a directory in `/run` that everybody sees, while
/// its temporary files may be private. Elsewhere it is the user's.
fn base() -> PathBuf {
    let directory = |path: &PathBuf| path.is_absolute() && path.is_dir();
    let of_service = vcp_control::place::of_service().filter(directory);
    let of_user = || {
        let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        named.filter(directory)
    };
    of_service
        .or_else(of_user)
        .unwrap_or_else(std::env::temp_dir)
}

fn make(base: &Path) -> Result<TempDir> {
    sweep(base);
    tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-", std::process::id()))
        .tempdir_in(base)
        .with_context(|| format!("making a directory for sockets in {}", base.display()))
}

/// Removes the directories of this user's hosts that were killed.
fn sweep(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(process) else {
            continue;
        };
        // This does not follow links.
        let found = entry.metadata();
        let ours = found.is_ok_and(|found| found.is_dir() && found.uid() == own);
        if ours && !Path::new(&format!("/proc/{process}")).exists() {
            // A failure leaves only a few names in a directory.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The PID in a directory's name.
fn process(name: &str) -> Option<u32> {
    let (process, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    process.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_hosts_left_is_removed_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let beside = |name: &str| {
            let path = base.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        // No process has such a PID.
        let left = beside("vcp-4194305-abcdef");
        fs::write(left.join("a.sock"), "").unwrap();
        let others = ["control", "vcp-", "vcp-x-y", "vcp-4194305"].map(beside);
        let ours = beside(&format!("vcp-{}-abcdef", std::process::id()));
        let made = make(base.path()).unwrap();
        assert!(!left.exists());
        assert!(others.iter().all(|path| path.exists()));
        assert!(ours.exists() && made.path().exists());
    }

    #[test]
    fn only_exports_without_an_address_get_one() {
        let text = "[vcp.a]\nmodule = \"ramdisk\"\n[export.a]\n[export.b]\nvcp = \"a\"\nnbd = \"unix:/s\"\n";
        let mut config = HostConfig::parse(Path::new("x.toml"), text).unwrap();
        let base = tempfile::tempdir().unwrap();
        let mut directory = Some(make(base.path()).unwrap());
        sockets(&mut config, &mut directory).unwrap();
        let all: Vec<_> = config
            .exports
            .values()
            .flat_map(|e| e.nbd.clone())
            .collect();
        let own = directory.unwrap().path().join("a.sock");
        assert_eq!(all, [NbdAddress::Unix(own), NbdAddress::Unix("/s".into())]);
    }
}
