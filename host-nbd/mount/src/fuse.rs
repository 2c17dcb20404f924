//! A block device for kernels without NBD: nbdfuse presents an NBD address as a file, and
//! the loop driver makes that a device.
//!
//! ```text
//! file system ─ /dev/loopX ─ SLOT/fuse/disk (FUSE) ─ nbdfuse ─ NBD ─ host
//! ```
//!
//! nbdfuse does not reconnect: once the process that serves the address ends, every
//! request fails.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, configure_io_flusher_behavior, is_io_flusher, kill_process};

use crate::program::{LOSETUP, NBDFUSE, UMOUNT, one_line};
use crate::{Error, Manner, Slot, table};

/// How long nbdfuse may take to connect.
const CONNECTING: Duration = Duration::from_secs(30);
/// How long a process or device may take to go away.
const GOING: Duration = Duration::from_secs(10);
/// How often that is checked.
const LOOK: Duration = Duration::from_millis(5);

/// The names of the files in a slot.
const DIR: &str = "fuse";
const DISK: &str = "fuse/disk";
const PID: &str = "nbdfuse.pid";
const LOG: &str = "nbdfuse.log";

/// Starts nbdfuse on the address; its file exists when this returns. nbdfuse goes on when
/// this process ends. On failure nothing of it is left.
pub fn start(slot: &Slot, uri: &str, read_only: bool) -> Result<(), Error> {
    let dir = slot.file(DIR);
    fs::create_dir(&dir).map_err(Error::at(dir.display()))?;
    let log = slot.file(LOG);
    let output = File::create(&log).map_err(Error::at(log.display()))?;
    let mut command = NBDFUSE.command();
    if read_only {
        command.arg("--readonly");
    }
    command.arg("--pidfile").arg(slot.file(PID));
    command.arg(slot.file(DISK)).arg(uri);
    command.stdout(Stdio::null()).stderr(output);
    // Signals from this process's terminal are not meant for nbdfuse.
    command.process_group(0);
    let mut child = flushing(|| command.spawn()).map_err(|error| NBDFUSE.not_started(error))?;
    let connected = connected(slot, &mut child);
    if connected.is_err() {
        // It may have ended already.
        let _ = child.kill();
        let _ = child.wait();
        return connected;
    }
    // The OOM killer must spare it. Without the privilege for that, it goes unprotected.
    let _ = fs::write(format!("/proc/{}/oom_score_adj", child.id()), "-1000");
    connected
}

/// Starts a process through which the kernel writes memory back: its allocations must not
/// wait for that (prctl(2), `PR_SET_IO_FLUSHER`, is inherited). Without the privilege for
/// that, it starts unprotected.
fn flushing<T>(start: impl FnOnce() -> T) -> T {
    let before = is_io_flusher().unwrap_or(true);
    let changed = !before && configure_io_flusher_behavior(true).is_ok();
    let started = start();
    if changed {
        let _ = configure_io_flusher_behavior(false);
    }
    started
}

fn connected(slot: &Slot, child: &mut Child) -> Result<(), Error> {
    let there = wait(CONNECTING, || {
        let ended = child.try_wait().is_ok_and(|ended| ended.is_some());
        ended || pid(slot).is_some()
    });
    if pid(slot).is_some() {
        return Ok(());
    }
    let said = fs::read_to_string(slot.file(LOG)).unwrap_or_default();
    let said = one_line(&said, NBDFUSE.0);
    Err(Error::Failed {
        program: NBDFUSE.0,
        said: match (there, said.is_empty()) {
            (true, false) => said,
            (true, true) => "it ended without a word".to_owned(),
            (false, _) => format!("not connected after {} s", CONNECTING.as_secs()),
        },
    })
}

/// Makes a loop device on nbdfuse's file and returns its path.
pub fn attach(slot: &Slot, read_only: bool) -> Result<PathBuf, Error> {
    let disk = slot.file(DISK);
    // The device's page cache is enough; a second one below it would only hold everything
    // twice, and write it back in its own time.
    let mut words = vec!["--find", "--show", "--direct-io=on"];
    if read_only {
        words.push("--read-only");
    }
    let mut words: Vec<&OsStr> = words.into_iter().map(OsStr::new).collect();
    words.push(disk.as_os_str());
    Ok(LOSETUP.run(&words)?.into())
}

/// Detaches the loop device from the file.
pub fn detach(device: &Path, manner: Manner) -> Result<(), Error> {
    if !is_bound(device) {
        return Ok(());
    }
    LOSETUP.run(&[OsStr::new("--detach"), device.as_os_str()])?;
    // A device in use goes away with its last user.
    if manner == Manner::Orderly && !wait(GOING, || !is_bound(device)) {
        let why = format!("{}: still in use", device.display());
        return Err(Error::Late(why));
    }
    Ok(())
}

/// Ends nbdfuse and removes its file.
pub fn stop(slot: &Slot, manner: Manner) -> Result<(), Error> {
    let dir = slot.file(DIR);
    if manner == Manner::Force {
        abort(slot);
    }
    if table::at(&dir)?.is_some() {
        match manner {
            Manner::Orderly => UMOUNT.run(&[dir.as_os_str()])?,
            _ => UMOUNT.run(&[OsStr::new("--lazy"), dir.as_os_str()])?,
        };
    }
    let gone = || pid(slot).is_none();
    if manner == Manner::Orderly && !wait(GOING, gone) {
        return Err(Error::Late("nbdfuse: still running".to_owned()));
    }
    Ok(())
}

/// Kills nbdfuse: requests that wait for an answer fail, and so do all later ones.
pub fn abort(slot: &Slot) {
    if let Some(pid) = pid(slot) {
        // If it has ended meanwhile, all is well.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The process of nbdfuse, if it still runs.
fn pid(slot: &Slot) -> Option<Pid> {
    let text = fs::read_to_string(slot.file(PID)).ok()?;
    let number: i32 = text.trim().parse().ok()?;
    // The PID may have been given to another process since.
    let line = fs::read(format!("/proc/{number}/cmdline")).ok()?;
    let disk = slot.file(DISK);
    let mut words = line.split(|&byte| byte == 0);
    words.find(|word| *word == disk.as_os_str().as_encoded_bytes())?;
    Pid::from_raw(number)
}

fn is_bound(device: &Path) -> bool {
    let name = device.file_name().unwrap_or_default();
    Path::new("/sys/block").join(name).join("loop").exists()
}

fn wait(limit: Duration, mut there: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if there() {
            return true;
        }
        if began.elapsed() > limit {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}
