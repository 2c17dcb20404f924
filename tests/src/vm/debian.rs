//! A Debian machine with systemd, as `cargo xtask machine` makes it (debootstrap): one on
//! which the package is installed, and that is rebooted. Its root is a copy of that
//! image for each machine, and stays from boot to boot; what a test brings lies in
//! [`DELIVERY`]. It has one network interface, at whose 10.0.2.2 a lab's target listens.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::time::{Duration, Instant};

use super::hardware;
use super::kernel;
use super::machine::alone;
use super::session::{Ports, Session};
use crate::lab::{Lab, Scratch};
use crate::process::must;

/// Where a machine finds what its test has brought.
pub const DELIVERY: &str = "/delivery";
/// The target, seen from within.
pub const TARGET: &str = "10.0.2.2";

/// How long it may take until the agent is there; some 30 s if nobody else wants the CPUs.
const BOOT: Duration = Duration::from_secs(300);

/// A machine that runs.
#[derive(Debug)]
pub struct Debian {
    session: Session,
    image: Image,
    root: PathBuf,
    delivery: PathBuf,
    scratch: Scratch,
    _alone: MutexGuard<'static, ()>,
}

/// What `cargo xtask machine` has made.
#[derive(Debug, Clone)]
pub struct Image {
    root: PathBuf,
    kernel: PathBuf,
    initramfs: PathBuf,
}

impl Image {
    /// If it was made.
    #[must_use]
    pub fn find() -> Option<Self> {
        let directory = kernel::directory().join("debian");
        let image = Self {
            root: directory.join("root.ext4"),
            kernel: directory.join("vmlinuz"),
            initramfs: directory.join("initrd.img"),
        };
        directory.join("made-of").is_file().then_some(image)
    }
}

/// How a machine went down.
#[derive(Debug)]
pub struct Shutdown {
    /// From the word to the end of qemu.
    pub took: Duration,
    /// All that was on the console since the boot.
    pub console: String,
}

impl Debian {
    /// Boots a new machine with these files, each under its name, in [`DELIVERY`].
    /// `agent` is the program `vm-agent`, which cargo builds for whoever tests.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot(lab: &Lab, agent: &str, files: &[(String, PathBuf)]) -> Self {
        let alone = alone();
        let image = Image::find().expect("the test requires an image");
        let scratch = Scratch::new();
        let root = scratch.path().join("root.qcow2");
        let (base, overlay) = (text(&image.root), text(&root));
        must(
            "qemu-img",
            &[
                "create", "-q", "-f", "qcow2", "-F", "raw", "-b", &base, &overlay,
            ],
        );
        let agent = ("vm-agent".to_owned(), PathBuf::from(agent));
        let delivery = pack(files.iter().chain([&agent]), &scratch);
        let session = start(lab, &image, &root, &delivery, &scratch);
        Self {
            session,
            image,
            root,
            delivery,
            scratch,
            _alone: alone,
        }
    }

    /// `systemctl reboot`, and the next boot.
    ///
    /// # Panics
    /// When it has not gone down within `limit`, or does not come up.
    pub fn reboot(&mut self, lab: &Lab, limit: Duration) -> Shutdown {
        let shutdown = self.shut_down(limit);
        self.session = start(lab, &self.image, &self.root, &self.delivery, &self.scratch);
        shutdown
    }

    /// The same without a next boot.
    ///
    /// # Panics
    /// When it has not gone down within `limit`.
    pub fn shut_down(&mut self, limit: Duration) -> Shutdown {
        let begun = Instant::now();
        self.session.start_job("systemctl reboot");
        let down = self.session.goes_down(limit);
        let took = begun.elapsed();
        assert!(down, "the machine is not down after {limit:?}");
        let console = self.session.console();
        let kept = kernel::directory().join("console-shutdown.log");
        fs::write(kept, &console).expect("keeping what it said");
        Shutdown { took, console }
    }
}

/// What is running in it is asked as in any machine.
impl Deref for Debian {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Debian {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

fn start(lab: &Lab, image: &Image, root: &Path, delivery: &Path, scratch: &Scratch) -> Session {
    let ports = Ports::new(scratch.path());
    let qemu = hardware::with_disks(
        lab,
        (&image.kernel, &image.initramfs),
        [(root, "qcow2"), (delivery, "raw")],
        (&ports.agent, &ports.console),
    );
    Session::start(qemu, ports, scratch.path(), BOOT)
}

/// A file system with these files.
fn pack<'a>(files: impl Iterator<Item = &'a (String, PathBuf)>, scratch: &Scratch) -> PathBuf {
    let tree = scratch.path().join("delivery");
    for (name, from) in files {
        let to = tree.join(name);
        let parent = to.parent().expect("it is in the tree");
        fs::create_dir_all(parent).expect("making a directory");
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    let packed = scratch.path().join("delivery.ext4");
    let (tree, image) = (text(&tree), text(&packed));
    must(
        "mke2fs",
        &[
            "-q", "-t", "ext4", "-L", "delivery", "-d", &tree, &image, "256M",
        ],
    );
    packed
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
