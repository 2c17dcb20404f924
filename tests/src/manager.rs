//! `vcp host` under a service manager that does what systemd does:
//! `bin/service-manager`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Outcome, Running, command, poll, run};
use crate::vcp::binary;

/// How long anything may take that it is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// The manager, and the host that it runs.
#[derive(Debug)]
pub struct Manager {
    process: Running,
    dir: PathBuf,
}

impl Manager {
    /// Has the manager, a program that cargo builds for whoever tests, run `vcp host` on `host.toml` in `dir`, with listening sockets that are passed,
    /// each as `NAME=PATH`.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn start(
        program: &str,
        dir: &Path,
        sockets: &[String],
        environment: &[(&str, &str)],
    ) -> Self {
        Self::by(command(program), dir, sockets, environment)
    }

    /// The same of a command that runs this program in a place of its own, such as a
    /// network namespace.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn by(
        mut manager: Command,
        dir: &Path,
        sockets: &[String],
        environment: &[(&str, &str)],
    ) -> Self {
        manager.arg(dir).args(sockets).arg("--");
        // The host, too, is not to outlive who started it.
        manager.args(["setpriv", "--pdeathsig", "KILL", "--"]);
        manager.arg(binary()).args(["host", "--config"]);
        manager.arg(dir.join("host.toml"));
        manager.env("VCP_CONTROL_DIR", dir.join("control"));
        manager.envs(environment.iter().copied());
        Self {
            process: Running::start(manager, dir, "manager"),
            dir: dir.to_owned(),
        }
    }

    /// What has happened so far, a line each.
    #[must_use]
    pub fn events(&self) -> Vec<String> {
        self.process.stdout().lines().map(str::to_owned).collect()
    }

    /// How often the host has said something that contains this.
    #[must_use]
    pub fn count(&self, what: &str) -> usize {
        let told = |line: &String| line.starts_with("told") && line.contains(what);
        self.events().iter().filter(|line| told(line)).count()
    }

    /// Waits until the host has said something so often.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_for(&self, what: &str, times: usize) {
        let there = poll(LIMIT, || (self.count(what) >= times).then_some(()));
        let said = || format!("{}\n{}", self.process.stdout(), self.process.stderr());
        assert!(there.is_some(), "{what}: not {times} times:\n{}", said());
    }

    /// Restarts the host as planned, and waits until it serves again.
    pub fn restart(&self) {
        self.again("restart");
    }

    /// Restarts the host as planned, with one more socket that is passed: `NAME=PATH`, made
    /// while no host runs.
    pub fn restart_with(&self, socket: &str) {
        self.again(&format!("socket {socket}"));
    }

    /// Kills the host, and waits until the next one serves.
    pub fn kill(&self) {
        self.again("kill");
    }

    /// Ends the host as planned; none runs until [`Manager::back`].
    ///
    /// # Panics
    /// When it does not end.
    pub fn away(&self) {
        let ended = || {
            self.events()
                .iter()
                .filter(|e| e.starts_with("ended "))
                .count()
        };
        let before = ended();
        self.tell("away");
        let gone = poll(LIMIT, || (ended() > before).then_some(()));
        assert!(
            gone.is_some(),
            "it does not end:\n{}",
            self.process.stderr()
        );
    }

    /// Starts a host again, and waits for nothing.
    pub fn back(&self) {
        self.tell("back");
    }

    fn again(&self, how: &str) {
        let ready = self.count("READY=1");
        self.tell(how);
        self.wait_for("READY=1", ready + 1);
    }

    fn tell(&self, what: &str) {
        let pipe = File::options().write(true).open(self.dir.join("commands"));
        let told = pipe.and_then(|mut pipe| pipe.write_all(format!("{what}\n").as_bytes()));
        told.expect("the manager runs");
    }

    /// Has the host read its configuration again.
    pub fn reload(&self) {
        self.again("reload");
    }

    /// The process id of the host that runs now.
    ///
    /// # Panics
    /// When none was started.
    #[must_use]
    pub fn host(&self) -> u32 {
        let events = self.events();
        let started = events
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix("started "));
        let pid = started.and_then(|rest| rest.split(' ').next()?.parse().ok());
        pid.expect("a host was started")
    }

    /// What the hosts have logged so far.
    #[must_use]
    pub fn logs(&self) -> String {
        self.process.stderr()
    }

    /// `vcp ARGUMENTS`, asking this host.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Outcome {
        let mut ask = command(binary());
        ask.args(arguments);
        ask.env("VCP_CONTROL_DIR", self.dir.join("control"));
        run(ask, &self.dir, LIMIT)
    }

    /// Ends the host, which must do so cleanly, and the manager.
    ///
    /// # Panics
    /// When it does not.
    pub fn stop(self) {
        self.tell("stop");
        let outcome = self.process.outcome(LIMIT);
        let (said, logs) = (&outcome.stdout, &outcome.stderr);
        assert_eq!(outcome.code(), 0, "{said}\n{logs}");
        assert!(said.contains("\nended 0\n"), "{said}\n{logs}");
        assert!(!logs.contains("panicked"), "{logs}");
    }
}
