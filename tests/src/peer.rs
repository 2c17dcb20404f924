//! qemu-nbd with libiscsi: the same job by native code over the kernel's TCP.
//! What fails with it as well is not the program under test's doing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::lab::{Lab, Side};
use crate::process::{Running, poll};

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
        static SEQUENCE: AtomicU32 = AtomicU32::new(0);
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let socket = lab.dir().join(format!("qemu-nbd-{sequence}.sock"));
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
        let up = poll(Duration::from_secs(10), || {
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
