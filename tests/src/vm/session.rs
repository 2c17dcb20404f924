//! A running machine: its processes on this side, and scripts inside. What a
//! [`super::Vm`] and a [`super::Debian`] have in common.

use std::fs;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::agent::{Agent, Answer};
use super::kernel;
use crate::process::{Outcome, Running, poll};

/// How long a short script may take.
pub(super) const SHORT: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct Session {
    qemu: Running,
    agent: Agent,
    console: PathBuf,
}

/// A script that runs beside the test.
#[derive(Debug, Clone, Copy)]
pub struct Job(u64);

/// Where qemu finds the socket of the agent's port, and puts the console; in `scratch`.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) agent: PathBuf,
    pub(super) console: PathBuf,
    listener: UnixListener,
}

impl Ports {
    /// In an empty place, or in one that a machine has left.
    pub(super) fn new(scratch: &Path) -> Self {
        let agent = scratch.join("agent");
        let _ = fs::remove_file(&agent);
        let listener = UnixListener::bind(&agent).expect("a socket for the agent");
        listener.set_nonblocking(true).expect("a flag");
        let console = scratch.join("console");
        Self {
            agent,
            console,
            listener,
        }
    }
}

impl Session {
    /// Starts a machine and waits for its agent.
    pub(super) fn start(qemu: Command, ports: Ports, scratch: &Path, boot: Duration) -> Self {
        let mut qemu = Running::start(qemu, scratch, "qemu");
        let line = poll(Duration::from_secs(10), || {
            let ended = qemu.ended();
            assert!(ended.is_none(), "qemu ended: {ended:?}\n{}", qemu.stderr());
            ports.listener.accept().ok()
        });
        let (line, _) = line.expect("qemu connects its ports before anything else");
        line.set_nonblocking(false).expect("a flag");
        let mut session = Self {
            qemu,
            agent: Agent::new(line),
            console: ports.console,
        };
        let begun = Instant::now();
        session.answer("boot", 0, boot);
        println!("booted in {:.1} s", begun.elapsed().as_secs_f32());
        session
    }

    /// What its kernel, and whoever else does, has written to the console.
    #[must_use]
    pub fn console(&self) -> String {
        let console = fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&console).into_owned()
    }

    /// Whether it has gone down within `limit`.
    pub(super) fn goes_down(&mut self, limit: Duration) -> bool {
        poll(limit, || self.qemu.ended()).is_some()
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
                // The console gets the list of what each task waits for.
                self.agent
                    .ask("echo w > /proc/sysrq-trigger; ps -o pid,stat,args > /dev/console");
                std::thread::sleep(Duration::from_secs(3));
                panic!("no end after {limit:?}: {script}");
            }
        }
    }
}

impl Drop for Session {
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
    }
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
