//! One virtual machine: booted, asked, ended, and its console kept if the test fails.

use std::fs;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::agent::{Agent, Answer};
use super::hardware::{Place, qemu};
use super::kernel::{self, Kernel};
use super::warm::Warm;
use super::{files, judge, target};
use crate::lab::{Lab, Scratch};
use crate::process::{Outcome, Running, poll};

/// How long a machine may take until its agent is there; some 5 s if nobody else
/// wants the CPUs.
const BOOT: Duration = Duration::from_secs(120);
/// How long a short script may take.
const SHORT: Duration = Duration::from_secs(60);

/// A running machine.
#[derive(Debug)]
pub struct Vm {
    qemu: Running,
    agent: Agent,
    console: PathBuf,
    scratch: Scratch,
    expects_failures: bool,
    booted: Instant,
    _alone: MutexGuard<'static, ()>,
}

/// A script that runs beside the test.
#[derive(Debug, Clone, Copy)]
pub struct Job(u64);

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
        let port = scratch.path().join("agent");
        let listener = UnixListener::bind(&port).expect("a socket for the agent");
        let console = scratch.path().join("console");
        let qemu = qemu(place, &kernel, &initramfs, &port, &console);
        let mut qemu = Running::start(qemu, scratch.path(), "qemu");
        listener.set_nonblocking(true).expect("a flag");
        let line = poll(Duration::from_secs(10), || {
            let ended = qemu.ended();
            assert!(ended.is_none(), "qemu ended: {ended:?}\n{}", qemu.stderr());
            listener.accept().ok()
        });
        let (line, _) = line.expect("qemu connects its ports before anything else");
        line.set_nonblocking(false).expect("a flag");
        let mut vm = Self {
            qemu,
            agent: Agent::new(line),
            console,
            scratch,
            expects_failures: false,
            booted: Instant::now(),
            _alone: alone,
        };
        vm.answer("boot", 0, BOOT);
        println!("booted in {:.1} s", vm.booted.elapsed().as_secs_f32());
        vm
    }

    /// What a script of a moment prints; it must succeed.
    ///
    /// # Panics
    /// When it does not, or takes a minute.
    pub fn run(&mut self, script: &str) -> String {
        self.ask(script, SHORT).expect_success(script)
    }

    /// How a script ends.
    ///
    /// # Panics
    /// When it has not within `limit`.
    pub fn ask(&mut self, script: &str, limit: Duration) -> Outcome {
        let id = self.agent.ask(script);
        self.answer(script, id, limit)
    }

    /// Starts a script and leaves it running.
    pub fn start_job(&mut self, script: &str) -> Job {
        Job(self.agent.ask(script))
    }

    /// How it has ended, if it has; once.
    pub fn try_end(&mut self, job: Job) -> Option<Outcome> {
        self.agent
            .answer(job.0)
            .map(|answer| outcome(answer, Duration::ZERO))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it has not ended within `limit`.
    pub fn end(&mut self, job: Job, limit: Duration) -> Outcome {
        self.answer("a job", job.0, limit)
    }

    /// Asks until a script succeeds; what it then prints.
    ///
    /// # Panics
    /// When it has not within `limit`.
    pub fn until(&mut self, script: &str, limit: Duration) -> String {
        let begun = Instant::now();
        loop {
            let outcome = self.ask(script, SHORT);
            if outcome.status.success() {
                return outcome.stdout;
            }
            if begun.elapsed() > limit {
                return outcome.expect_success(&format!("not after {limit:?}: {script}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A file in the machine.
    pub fn write(&mut self, path: &str, text: &str) {
        self.run(&format!(
            "cat > {path} <<'END-OF-FILE'\n{text}\nEND-OF-FILE"
        ));
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
        let console = fs::read(&self.console).expect("it has a console");
        let console = String::from_utf8_lossy(&console);
        assert!(!console.contains("panicked at"), "{console}");
        drop(self.finish());
    }

    /// Powers it off; returns the right to boot another.
    fn finish(mut self) -> MutexGuard<'static, ()> {
        self.agent.ask("sync; reboot -f");
        let ended = poll(SHORT, || self.qemu.ended());
        assert!(ended.is_some(), "it does not power off");
        drop(self);
        alone()
    }

    fn answer(&mut self, script: &str, id: u64, limit: Duration) -> Outcome {
        let begun = Instant::now();
        let answer = poll(limit, || {
            if let Some(answer) = self.agent.answer(id) {
                return Some(Some(answer));
            }
            self.qemu.ended().map(|_| None)
        });
        match answer {
            Some(Some(answer)) => outcome(answer, begun.elapsed()),
            Some(None) => panic!("the machine went down at: {script}"),
            None => {
                // Who waits for what, on the console.
                self.agent
                    .ask("echo w > /proc/sysrq-trigger; ps -o pid,stat,args > /dev/console");
                std::thread::sleep(Duration::from_secs(3));
                panic!("no end after {limit:?}: {script}");
            }
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("test").replace("::", "-");
        let kept = kernel::directory().join(format!("console-{name}.log"));
        // A failure to keep it must not hide why the test failed.
        let _ = fs::copy(&self.console, &kept);
        eprintln!("the machine's console is in {}", kept.display());
        let console = fs::read(&self.console).unwrap_or_default();
        let console = String::from_utf8_lossy(&console);
        let lines: Vec<&str> = console.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        let _ = &self.scratch;
    }
}

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A test that failed in its machine has ended it.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn outcome(answer: Answer, elapsed: Duration) -> Outcome {
    Outcome {
        // As `wait` has it: the exit code in the second byte.
        status: ExitStatus::from_raw(answer.code << 8),
        stdout: answer.stdout,
        stderr: answer.stderr,
        elapsed,
    }
}
