//! The program under test, run as a user runs it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::lab::{Lab, Scratch, Side};
use crate::process::{Outcome, Running, command, must, poll, run};

/// How long a login may take before it counts as a hang.
const READY: Duration = Duration::from_secs(20);
/// How long a failure may take to be reported.
const FAILURE: Duration = Duration::from_secs(60);

/// Where the binary is: `VCP_BIN`, or the workspace's release build.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn binary() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the workspace");
    let binary = std::env::var_os("VCP_BIN")
        .map_or_else(|| workspace.join("target/release/vcp"), PathBuf::from);
    assert!(
        binary.is_file(),
        "no {}; `cargo xtask build` makes it",
        binary.display()
    );
    binary
}

/// A running `vcp run` that serves.
#[derive(Debug)]
pub struct Vcp {
    process: Running,
}

impl Vcp {
    /// `vcp run ARGUMENTS` in a namespace; returns when it says that it is ready.
    ///
    /// # Panics
    /// When it ends or is not ready in time.
    #[must_use]
    pub fn run<I, S>(lab: &Lab, side: Side, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let mut command = lab.command(side, binary());
        command.arg("run").args(arguments);
        Self::start(command, lab.dir())
    }

    /// Any command line that ends up as a serving `vcp`.
    ///
    /// # Panics
    /// When it ends or is not ready in time.
    #[must_use]
    pub fn start(command: Command, dir: &Path) -> Self {
        let line = format!("{command:?}");
        let mut this = Self {
            process: Running::start(command, dir, "vcp"),
        };
        let ready = poll(READY, || {
            let ended = this.process.ended();
            assert!(
                ended.is_none(),
                "{line}\nended: {ended:?}\n{}",
                this.process.stderr()
            );
            (!this.uris().is_empty()).then_some(())
        });
        assert!(ready.is_some(), "{line}\nnot ready after {READY:?}");
        this
    }

    /// The URIs that it has printed, one an export, in the order printed.
    #[must_use]
    pub fn uris(&self) -> Vec<String> {
        let output = self.process.stdout();
        let complete = output.rfind('\n').map_or("", |end| &output[..end]);
        let words = complete.split_whitespace();
        words
            .filter(|word| word.starts_with("nbd:") || word.starts_with("nbd+"))
            .map(str::to_owned)
            .collect()
    }

    /// The URIs when there are `count`.
    ///
    /// # Panics
    /// When they are not printed in time.
    #[must_use]
    pub fn wait_for_uris(&self, count: usize) -> Vec<String> {
        let all = || Some(self.uris()).filter(|uris| uris.len() == count);
        poll(READY, all).unwrap_or_else(|| panic!("{count} exports expected: {:?}", self.uris()))
    }

    /// The URI of the only export.
    ///
    /// # Panics
    /// When there is not exactly one.
    #[must_use]
    pub fn uri(&self) -> String {
        let mut uris = self.uris();
        assert_eq!(uris.len(), 1, "one export expected: {uris:?}");
        uris.remove(0)
    }

    /// Its logs so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.stderr()
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

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for an end that something else brings about.
    #[must_use]
    pub fn ends(self) -> Outcome {
        self.process.outcome(Duration::from_secs(10))
    }

    /// Asks it to end and waits.
    #[must_use]
    pub fn stop(self, signal: Signal) -> Outcome {
        self.process.signal(signal);
        self.process.outcome(Duration::from_secs(10))
    }

    /// Asks it to end; it must have done so cleanly.
    pub fn shut_down(self) {
        let outcome = self.stop(Signal::TERM);
        assert_no_panic(&outcome);
        assert_eq!(outcome.code(), 0, "{outcome:?}");
    }
}

/// Runs `vcp ARGUMENTS` that is expected to end by itself.
#[must_use]
pub fn once<S: AsRef<OsStr>>(lab: &Lab, side: Side, arguments: &[S]) -> Outcome {
    let mut command = lab.command(side, binary());
    command.args(arguments);
    run(command, lab.dir(), FAILURE)
}

/// The same where no network is needed.
#[must_use]
pub fn once_here<S: AsRef<OsStr>>(scratch: &Scratch, arguments: &[S]) -> Outcome {
    let mut here = command(binary());
    here.args(arguments).current_dir(scratch.path());
    run(here, scratch.path(), FAILURE)
}

/// A command line of `vcp` for somebody without privileges, from a copy of the
/// binary that they can reach and with a home of their own. In the namespace of
/// `inside`, where one is given; for root, who becomes nobody, only.
///
/// # Panics
/// When the copy cannot be made.
#[must_use]
pub fn unprivileged(dir: &Path, inside: Option<(&Lab, Side)>) -> Command {
    let copy = dir.join("vcp-for-all");
    let home = dir.join("home");
    if !copy.exists() {
        // By another process: a descriptor open for writing here could be
        // inherited by a child that another test is just starting, and a file
        // that somebody has open for writing cannot be executed.
        let binary = binary();
        must("install", &["-m", "755", &text(&binary), &text(&copy)]);
        fs::create_dir(&home).expect("making a home");
    }
    let mut command = match inside {
        Some((lab, side)) => lab.command(side, "setpriv"),
        None => command("setpriv"),
    };
    if crate::need::is_root() {
        fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).expect("just made");
        // A change of user clears the death signal: it is set again after it.
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--inh-caps=-all",
        ]);
    }
    command.args(["--pdeathsig", "KILL", "--"]).arg(copy);
    command
        .env("HOME", &home)
        .env_remove("XDG_CACHE_HOME")
        .env_remove("XDG_RUNTIME_DIR")
        .current_dir(home);
    command
}

/// Bad input has one clear line: the exit code, one line on standard error, and
/// in it every one of `named`.
///
/// # Panics
/// When it is otherwise.
pub fn assert_one_line(outcome: &Outcome, code: i32, named: &[&str]) {
    assert_no_panic(outcome);
    let stderr = outcome.stderr.trim_end();
    assert_eq!(
        outcome.code(),
        code,
        "exit code; stderr:\n{stderr}\nstdout:\n{}",
        outcome.stdout
    );
    assert_eq!(
        stderr.lines().count(),
        1,
        "one line on stderr expected:\n{stderr}"
    );
    for name in named {
        assert!(
            stderr.to_lowercase().contains(&name.to_lowercase()),
            "`{name}` is not named in: {stderr}"
        );
    }
}

/// Nothing in the output says that something panicked.
///
/// # Panics
/// When it does.
pub fn assert_no_panic(outcome: &Outcome) {
    let panicked = outcome.stderr.contains("panicked") || outcome.stdout.contains("panicked");
    assert!(!panicked, "it panicked:\n{}", outcome.stderr);
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
