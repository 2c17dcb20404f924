//! File systems on the disks of a host: made and checked with their own tools, mounted
//! by `vcp mount`, and cleared away in every outcome.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::process::{Outcome, Running, command, must, poll, run};
use crate::vcp::binary;

/// How long a mount or what it takes to undo one may take.
pub const LIMIT: Duration = Duration::from_secs(40);

/// Somebody who mounts, with mount points and records in one directory.
#[derive(Debug)]
pub struct Mounts {
    dir: PathBuf,
}

impl Mounts {
    /// In the directory of a lab, whose hosts have their control sockets in `control`.
    /// What is mounted below it is cleared away with it.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// A mount point of this name.
    ///
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn point(&self, name: &str) -> PathBuf {
        let point = self.dir.join(name);
        fs::create_dir_all(&point).expect("making a mount point");
        point
    }

    /// `vcp ARGUMENTS`, that ends by itself.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Outcome {
        let mut ask = command(binary());
        ask.args(arguments)
            .env("VCP_CONTROL_DIR", self.dir.join("control"))
            .env("VCP_MOUNT_DIR", self.records());
        run(ask, &self.dir, LIMIT)
    }

    /// What `vcp ARGUMENTS` prints, which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn say(&self, arguments: &[&str]) -> String {
        self.ask(arguments)
            .expect_success(&format!("vcp {}", arguments.join(" ")))
    }

    /// Where records of mounts are.
    #[must_use]
    pub fn records(&self) -> PathBuf {
        self.dir.join("mounts")
    }

    /// Makes a file system on an export, by the steps that one would take by hand:
    /// nbdfuse, losetup, mkfs, and back.
    ///
    /// # Panics
    /// When one of them fails.
    pub fn make(&self, uri: &str, mkfs: &[&str]) {
        let fuse = self.point("by-hand");
        let pid = self.dir.join("by-hand.pid");
        let disk = fuse.join("disk").display().to_string();
        let mut nbdfuse = command("nbdfuse");
        nbdfuse.arg("--pidfile").arg(&pid).args([&disk, uri]);
        let nbdfuse = Running::start(nbdfuse, &self.dir, "nbdfuse");
        let ready = || {
            fs::read_to_string(&pid)
                .ok()
                .filter(|text| !text.is_empty())
        };
        assert!(poll(LIMIT, ready).is_some(), "{}", nbdfuse.stderr());
        let device = must("losetup", &["--find", "--show", "--direct-io=on", &disk]);
        let device = device.trim();
        let [program, options @ ..] = mkfs else {
            panic!("a program is needed");
        };
        must(program, &[options, &[device]].concat());
        must("losetup", &["--detach", device]);
        self.wait_for_loops();
        must("fusermount3", &["-u", &fuse.display().to_string()]);
        nbdfuse.outcome(LIMIT).expect_success("nbdfuse");
        fs::remove_file(pid).expect("it was there");
    }

    /// Nothing is mounted, bound or running any more.
    ///
    /// # Panics
    /// When something is.
    pub fn assert_nothing_left(&self) {
        assert_eq!(mounts_below(&self.dir), Vec::<PathBuf>::new());
        self.wait_for_loops();
        // It goes after the last loop device.
        let ended = || servers_below(&self.dir).is_empty().then_some(());
        assert!(
            poll(LIMIT, ended).is_some(),
            "{:?}",
            servers_below(&self.dir)
        );
        let records = fs::read_dir(self.records()).into_iter().flatten().count();
        assert_eq!(records, 0, "a record is left");
    }

    /// Waits until no loop device has a file here. A detached one goes with its last
    /// user, and whoever looks for a free one is a user for a moment.
    fn wait_for_loops(&self) {
        let free = || loops_below(&self.dir).is_empty().then_some(());
        assert!(poll(LIMIT, free).is_some(), "{:?}", loops_below(&self.dir));
    }
}

/// What the kernel says of devices from here on.
#[derive(Debug)]
pub struct KernelLog {
    mark: String,
}

impl KernelLog {
    /// From now on; as root.
    ///
    /// # Panics
    /// When the kernel's log can't be written to.
    #[must_use]
    pub fn from_now(name: &str) -> Self {
        let mark = format!("vcp-tests {} {name}", std::process::id());
        fs::write("/dev/kmsg", &mark).expect("as root");
        Self { mark }
    }

    /// The lines that tell of failures of a device, such as `loop0`, or of the file system
    /// on it. To be asked while it is the test's.
    ///
    /// # Panics
    /// When the log can't be read, or has lost its beginning.
    #[must_use]
    pub fn errors(&self, device: &str) -> Vec<String> {
        let log = must("dmesg", &[]);
        let since = log.rsplit_once(&self.mark);
        let (_, since) = since.expect("the mark is in the kernel's log");
        let bad = [
            "I/O error",
            "EXT4-fs error",
            "Corrupt",
            "corrupt",
            "BTRFS error",
        ];
        let lines = since.lines();
        lines
            .filter(|line| bad.iter().any(|bad| line.contains(bad)))
            .filter(|line| {
                line.split(|c: char| !c.is_alphanumeric())
                    .any(|word| word == device)
            })
            .map(str::to_owned)
            .collect()
    }
}

/// Takes away whatever is mounted, bound or served below a directory, whether it
/// answers or not.
pub fn clear(dir: &Path) {
    let mounts = mounts_below(dir);
    if mounts.is_empty() && loops_below(dir).is_empty() {
        return;
    }
    for pid in servers_below(dir) {
        // What waits for it fails.
        let _ = kill_process(pid, Signal::KILL);
    }
    for mount in mounts.iter().rev().filter(|mount| !mount.ends_with("fuse")) {
        let _ = Command::new("umount").arg("--lazy").arg(mount).output();
    }
    for device in loops_below(dir) {
        let _ = Command::new("losetup").arg("--detach").arg(device).output();
    }
    for mount in mounts_below(dir) {
        let _ = Command::new("umount").arg("--lazy").arg(mount).output();
    }
}

/// Mount points below a directory, in the order in which they were mounted.
#[must_use]
pub fn mounts_below(dir: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .map(PathBuf::from)
        .filter(|point| point.starts_with(dir))
        .collect()
}

/// Loop devices whose file is below a directory.
fn loops_below(dir: &Path) -> Vec<PathBuf> {
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let bound = devices.filter_map(|device| {
        let file = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
        Path::new(file.trim())
            .starts_with(dir)
            .then(|| Path::new("/dev").join(device.file_name()))
    });
    bound.collect()
}

/// The nbdfuse processes whose files are below a directory.
fn servers_below(dir: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let serving = processes.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut words = line.split('\0');
        let is_nbdfuse = words.next()?.ends_with("nbdfuse");
        let below = words.any(|word| Path::new(word).starts_with(dir));
        (is_nbdfuse && below).then(|| Pid::from_raw(pid)).flatten()
    });
    serving.collect()
}
