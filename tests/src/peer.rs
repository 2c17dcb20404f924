//! What others have for the same jobs: qemu-nbd with libiscsi, native code over the
//! kernel's TCP, and nbdkit with any of its plugins. What fails with them as well is
//! not the program under test's doing.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::lab::{Lab, Side};
use crate::process::{Running, command, poll};

/// How long one of them may take to come up.
const READY: Duration = Duration::from_secs(10);

/// A running qemu-nbd.
#[derive(Debug)]
pub struct QemuNbd {
    process: Running,
    uri: String,
}

impl QemuNbd {
    /// Serves an iSCSI URL on a unix socket.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(lab: &Lab, side: Side, url: &str) -> Self {
        let socket = lab.dir().join(format!("qemu-nbd-{}.sock", sequence()));
        let mut command = lab.command(side, "qemu-nbd");
        command.args([
            "-f",
            "raw",
            "-t",
            "--cache=none",
            "--discard=unmap",
            "--shared=8",
            "-k",
        ]);
        command.arg(&socket).arg(url);
        let mut process = Running::start(command, lab.dir(), "qemu-nbd");
        let up = poll(READY, || {
            (socket.exists() || process.ended().is_some()).then_some(())
        });
        assert!(
            up.is_some() && process.ended().is_none(),
            "qemu-nbd does not come up: {}",
            process.stderr()
        );
        Self {
            process,
            uri: format!("nbd+unix:///?socket={}", socket.display()),
        }
    }

    /// The address of its only export.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// A running nbdkit.
#[derive(Debug)]
pub struct Nbdkit {
    process: Running,
    uri: String,
}

impl Nbdkit {
    /// Serves what a plugin has on a unix socket in `dir`: the plugin, and its
    /// parameters.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(dir: &Path, plugin: &[&str]) -> Self {
        let name = format!("nbdkit-{}", sequence());
        let socket = dir.join(format!("{name}.sock"));
        // It writes that when it is ready.
        let ready = dir.join(format!("{name}.pid"));
        let mut nbdkit = command("nbdkit");
        nbdkit.arg("--foreground");
        nbdkit.arg("--unix").arg(&socket);
        nbdkit.arg("--pidfile").arg(&ready);
        nbdkit.args(plugin);
        let mut process = Running::start(nbdkit, dir, "nbdkit");
        let up = poll(READY, || {
            (ready.exists() || process.ended().is_some()).then_some(())
        });
        assert!(
            up.is_some() && process.ended().is_none(),
            "nbdkit {plugin:?} does not come up: {}",
            process.stderr()
        );
        Self {
            process,
            uri: format!("nbd+unix:///?socket={}", socket.display()),
        }
    }

    /// The address of its only export.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether its process is no more.
    pub fn has_ended(&mut self) -> bool {
        self.process.ended().is_some()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

/// For names that are not used twice.
fn sequence() -> u32 {
    static SEQUENCE: AtomicU32 = AtomicU32::new(0);
    SEQUENCE.fetch_add(1, Ordering::Relaxed)
}
