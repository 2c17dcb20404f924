//! Loading the driver.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::AttachError;

/// How long loading may take. It reads one small file.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether the driver is in the kernel: loaded, or built in.
pub(crate) fn is_there() -> bool {
    Path::new("/sys/module/nbd").exists()
}

/// Whether modprobe would find it.
pub(crate) fn is_installed() -> bool {
    look(Path::new(MODULES), &release()) == Installed::Yes
}

/// The directory of the kernel's modules.
const MODULES: &str = "/lib/modules";

/// Whether the module's file is installed, as far as can be seen.
#[derive(Debug, PartialEq, Eq)]
enum Installed {
    Yes,
    /// The kernel's modules are there, but not this one.
    No,
    /// This process cannot see the modules in this directory.
    Hidden(String),
}

fn look(modules: &Path, release: &str) -> Installed {
    let list = modules.join(release).join("modules.dep");
    match std::fs::read_to_string(&list) {
        Ok(list) if list.lines().any(|line| line.contains("/nbd.ko")) => Installed::Yes,
        Ok(_) => Installed::No,
        Err(error) if hidden(modules, &error) => Installed::Hidden(list.display().to_string()),
        Err(_) => Installed::No,
    }
}

/// Loads the driver, as far as this user may.
pub(crate) fn load() -> Result<(), AttachError> {
    let root = rustix::process::geteuid().is_root();
    let tried = if root { modprobe() } else { Ok(()) };
    match tried {
        Ok(()) if root => Ok(()),
        tried => Err(why(tried, look(Path::new(MODULES), &release()))),
    }
}

/// Whether a sandbox hides the modules: it covers a directory with an empty one that
/// nobody may enter. A process that may ignore modes sees that the directory is empty.
fn hidden(modules: &Path, error: &io::Error) -> bool {
    let closed = |found: Metadata| found.permissions().mode() & 0o777 == 0;
    error.kind() == io::ErrorKind::PermissionDenied || modules.metadata().is_ok_and(closed)
}

/// The error for a module that is not loaded.
fn why(tried: Result<(), String>, installed: Installed) -> AttachError {
    match (installed, tried) {
        (Installed::No, _) => AttachError::NoSupport(release()),
        (Installed::Hidden(list), _) => AttachError::NoModules(list),
        (Installed::Yes, Ok(())) => AttachError::NotLoaded,
        (Installed::Yes, Err(why)) => AttachError::CannotLoad(why),
    }
}

fn release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// Runs modprobe; the error is one line.
fn modprobe() -> Result<(), String> {
    let mut child = Command::new("modprobe")
        .arg("nbd")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("running it: {error}"))?;
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("no end after {} s", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let output = child
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| !line.trim().is_empty());
    Err(line.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn modules_that_are_out_of_sight_are_not_taken_for_missing() {
        let dir = tempfile::tempdir().unwrap();
        let text = |tried| why(tried, look(dir.path(), "6.1")).to_string();
        assert!(text(Err("no permission".into())).contains("not installed here"));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o000)).unwrap();
        let hidden = text(Err("no permission".into()));
        assert!(hidden.contains("6.1/modules.dep"), "{hidden}");
        assert!(hidden.contains("modprobe nbd"), "{hidden}");

        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let of_kernel = dir.path().join("6.1");
        fs::create_dir(&of_kernel).unwrap();
        fs::write(
            of_kernel.join("modules.dep"),
            "kernel/drivers/block/loop.ko:\n",
        )
        .unwrap();
        assert!(text(Err("no such module".into())).contains("CONFIG_BLK_DEV_NBD"));

        let list = "kernel/drivers/block/nbd.ko.xz:\n";
        fs::write(of_kernel.join("modules.dep"), list).unwrap();
        assert!(text(Err("no permission".into())).contains("failed: no permission"));
        assert!(text(Ok(())).contains("takes root"));
    }
}
