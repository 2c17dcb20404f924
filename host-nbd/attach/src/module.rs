//! Loading the driver.

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
    let list = format!("/lib/modules/{}/modules.dep", release());
    let list = std::fs::read_to_string(list).unwrap_or_default();
    list.lines().any(|line| line.contains("/nbd.ko"))
}

/// Has it loaded, as far as this user may.
pub(crate) fn load() -> Result<(), AttachError> {
    let root = rustix::process::geteuid().is_root();
    let tried = if root { modprobe() } else { Ok(()) };
    match tried {
        Ok(()) if root => Ok(()),
        _ if !is_installed() => Err(AttachError::NoSupport(release())),
        Ok(()) => Err(AttachError::NotLoaded),
        Err(why) => Err(AttachError::CannotLoad(why)),
    }
}

fn release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// The error is one line.
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
