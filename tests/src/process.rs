//! Processes of a test: each has a limit on its time, keeps what it prints, and
//! ends with its handle. The kernel ends them too when the test program dies.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// `program` so that it dies with the test. Add arguments as to any command.
#[must_use]
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// A process that runs beside the test.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Starts `command`, its output going to files in `dir` under `name`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut command: Command, dir: &Path, name: &str) -> Self {
        static SEQUENCE: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{name}-{}", SEQUENCE.fetch_add(1, Ordering::Relaxed));
        let stdout = dir.join(format!("{unique}.out"));
        let stderr = dir.join(format!("{unique}.err"));
        command.stdin(Stdio::null());
        command.stdout(File::create(&stdout).expect("creating a log file"));
        command.stderr(File::create(&stderr).expect("creating a log file"));
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self {
            child,
            name: unique,
            stdout,
            stderr,
        }
    }

    /// What it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has said on standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("waiting for a child cannot fail")
    }

    /// Sends a signal; one to a process that has ended is lost.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, signal);
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it has not ended within `limit`; what it printed is in the message.
    #[must_use]
    pub fn outcome(mut self, limit: Duration) -> Outcome {
        let begun = Instant::now();
        let status = poll(limit, || self.ended()).unwrap_or_else(|| {
            panic!(
                "{} still runs after {limit:?}\n{}",
                self.name,
                self.report()
            );
        });
        Outcome {
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
            elapsed: begun.elapsed(),
        }
    }

    fn report(&self) -> String {
        format!(
            "--- {} stdout\n{}\n--- stderr\n{}",
            self.name,
            tail(&self.stdout()),
            tail(&self.stderr())
        )
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}", self.report());
        }
    }
}

/// How a process ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// Exit code or signal.
    pub status: ExitStatus,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// From the moment that it was waited for.
    pub elapsed: Duration,
}

impl Outcome {
    /// Exit code; 128 + signal as a shell has it.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Standard output of a process that must have succeeded.
    ///
    /// # Panics
    /// When it has not.
    pub fn expect_success(self, what: &str) -> String {
        assert!(
            self.status.success(),
            "{what}: {}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            tail(&self.stdout),
            tail(&self.stderr)
        );
        self.stdout
    }
}

/// Runs a command to its end, within `limit`, keeping its output in `dir`.
#[must_use]
pub fn run(command: Command, dir: &Path, limit: Duration) -> Outcome {
    let name = command
        .get_args()
        .nth(3)
        .map(Path::new)
        .and_then(Path::file_name);
    let name = name.map_or("command".into(), |name| name.to_string_lossy().into_owned());
    Running::start(command, dir, &name).outcome(limit)
}

/// Runs something short that belongs to the harness, such as `ip`.
///
/// # Panics
/// When it fails.
pub fn must(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = output.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}\n{stderr}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Physical memory of a process, in bytes.
///
/// # Panics
/// When it does not run.
#[must_use]
pub fn resident(pid: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib = kib.and_then(|kib| kib.trim().parse::<usize>().ok());
    kib.expect("a number") << 10
}

/// Asks until there is an answer or `limit` has passed.
pub fn poll<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if begun.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The last lines, which are the ones that say why.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
