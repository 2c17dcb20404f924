//! One virtual machine: booted, asked, ended, and its console kept if the test fails.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::hardware::{Place, qemu};
use super::kernel::Kernel;
use super::session::{Ports, SHORT, Session};
use super::warm::Warm;
use super::{files, judge, target};
use crate::lab::{Lab, Scratch};

/// How long a machine may take until its agent is there; some 5 s if nobody else
/// wants the CPUs.
const BOOT: Duration = Duration::from_secs(120);
/// A running machine.
#[derive(Debug)]
pub struct Vm {
    session: Session,
    _scratch: Scratch,
    expects_failures: bool,
    _alone: MutexGuard<'static, ()>,
}

/// What is running in it is asked as in any machine.
impl Deref for Vm {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for Vm {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}

impl Vm {
    /// Boots a machine with the compiled modules that an earlier one has left,
    /// which is booted first if there was none. `agent` is the program
    /// `vm-agent`, which cargo builds for whoever tests.
    ///
    /// One machine at a time: each wants all the CPUs there are.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot(agent: &str) -> Self {
        let alone = alone();
        let (warm, alone) = match Warm::find() {
            Some(warm) => (warm, alone),
            None => {
                let mut cold = Self::start(agent, None, alone);
                let warm = Warm::make(&mut cold);
                (warm, cold.finish())
            }
        };
        Self::start(agent, Some(&warm), alone)
    }

    /// Boots a machine that is a target for `vcp` outside of it: with the kernel's
    /// iSCSI target and nothing else, at the other end of the wire of `lab`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn boot_target(agent: &str, lab: &Lab) -> Self {
        lab.wire_to_machine();
        let build =
            |kernel: &Kernel, scratch: &Path| target::initramfs(kernel, Path::new(agent), scratch);
        Self::new(build, &Place::Wire(lab), alone())
    }

    fn start(agent: &str, warm: Option<&Warm>, alone: MutexGuard<'static, ()>) -> Self {
        let build = |kernel: &Kernel, scratch: &Path| {
            files::initramfs(kernel, Path::new(agent), warm, scratch)
        };
        Self::new(build, &Place::Apart, alone)
    }

    fn new(
        build: impl FnOnce(&Kernel, &Path) -> Vec<u8>,
        place: &Place<'_>,
        alone: MutexGuard<'static, ()>,
    ) -> Self {
        let kernel = Kernel::find().expect("the test requires a kernel");
        let scratch = Scratch::new();
        let initramfs = scratch.path().join("initramfs");
        let archive = build(&kernel, scratch.path());
        fs::write(&initramfs, archive).expect("writing an initial file system");
        let ports = Ports::new(scratch.path());
        let qemu = qemu(place, &kernel, &initramfs, &ports.agent, &ports.console);
        Self {
            session: Session::start(qemu, ports, scratch.path(), BOOT),
            _scratch: scratch,
            expects_failures: false,
            _alone: alone,
        }
    }

    /// The kernel's log so far.
    pub fn kernel_log(&mut self) -> String {
        self.run("dmesg")
    }

    /// The test makes disks fail, and the kernel may say so.
    pub fn expect_failures(&mut self) {
        self.expects_failures = true;
    }

    /// Ends it; its kernel must have had nothing to complain of, and no program that
    /// logs on the console may have panicked.
    ///
    /// # Panics
    /// When it had.
    pub fn shut_down(mut self) {
        let log = self.kernel_log();
        let broken = judge::broken(&log);
        assert!(broken.is_empty(), "the kernel says: {broken:#?}");
        let failed = judge::failed(&log);
        assert!(
            self.expects_failures || failed.is_empty(),
            "disks failed: {failed:#?}"
        );
        let console = self.console();
        assert!(!console.contains("panicked at"), "{console}");
        drop(self.finish());
    }

    /// Powers it off; returns the right to boot another.
    fn finish(mut self) -> MutexGuard<'static, ()> {
        self.start_job("sync; reboot -f");
        assert!(self.goes_down(SHORT), "it does not power off");
        drop(self);
        alone()
    }
}

pub(super) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed in its machine has ended it.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
