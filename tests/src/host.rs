//! A host with one iSCSI disk from a configuration file, and the commands that ask
//! it: `vcp inject`, `inspect` and the like, with its control socket in the lab.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::lab::Lab;
use crate::process::{Outcome, command, poll, resident, run};
use crate::vcp::{Vcp, binary};
use crate::wiring::Wiring;

/// The disk's name, as VCP and as export.
pub const NAME: &str = "disk";

/// How long a command may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The running host.
#[derive(Debug)]
pub struct Host {
    vcp: Vcp,
    dir: PathBuf,
}

impl Host {
    /// Runs the disk at `url`, with more lines in the table of its VCP; returns
    /// when it serves.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(lab: &Lab, wiring: &Wiring, url: &str, lines: &str) -> Self {
        Self::configured(lab, wiring, url, lines, "")
    }

    /// The same with more settings of the module, in the table of its configuration.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn configured(lab: &Lab, wiring: &Wiring, url: &str, lines: &str, settings: &str) -> Self {
        let file = lab.dir().join("host.toml");
        let text = format!(
            "[vcp.{NAME}]\nmodule = \"iscsi\"\n{lines}\n{}\n\
             [vcp.{NAME}.config]\ntarget = \"{url}\"\n{settings}\n[export.{NAME}]\nnbd = \"{}\"\n",
            wiring.table(),
            lab.nbd()
        );
        fs::write(&file, text).expect("writing a configuration");
        let mut command = lab.command(wiring.side, binary());
        command.arg("run").arg(&file);
        command.env("VCP_CONTROL_DIR", lab.dir().join("control"));
        Self {
            vcp: Vcp::start(command, lab.dir()),
            dir: lab.dir().to_owned(),
        }
    }

    /// Where the disk is served.
    #[must_use]
    pub fn uri(&self) -> String {
        self.vcp.uri()
    }

    /// The process itself.
    #[must_use]
    pub fn vcp(&self) -> &Vcp {
        &self.vcp
    }

    /// A fault, by the name that `vcp inject` has for it.
    ///
    /// # Panics
    /// When the command fails.
    pub fn inject(&self, fault: &str) {
        self.ask(&["inject", NAME, fault])
            .expect_success(&format!("vcp inject {fault}"));
    }

    /// A fault as [`Host::inject`] has it, unless the instance before it has just
    /// died and there is none to fail. Returns whether it struck.
    ///
    /// # Panics
    /// When the command fails for another reason.
    pub fn inject_if_there(&self, fault: &str) -> bool {
        let outcome = self.ask(&["inject", NAME, fault]);
        if outcome.stderr.contains("there is no instance") {
            return false;
        }
        outcome.expect_success(&format!("vcp inject {fault}"));
        true
    }

    /// What `vcp inspect` says.
    ///
    /// # Panics
    /// When it says nothing.
    #[must_use]
    pub fn inspect(&self) -> Value {
        let text = self
            .ask(&["inspect", NAME, "--json"])
            .expect_success("vcp inspect");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// What `vcp rescan` says.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn rescan(&self) -> Value {
        let text = self
            .ask(&["rescan", NAME, "--json"])
            .expect_success("vcp rescan");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// How many instances have died.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.inspect()["faults"].as_u64().expect("a number")
    }

    /// What `inspect` says once it holds.
    ///
    /// # Panics
    /// When it does not come to hold.
    pub fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let look = || Some(self.inspect()).filter(&holds);
        poll(LIMIT, look).unwrap_or_else(|| panic!("not {what}: {:#}", self.inspect()))
    }

    /// Resident memory in bytes, open descriptors, threads.
    ///
    /// # Panics
    /// When it has ended.
    #[must_use]
    pub fn resources(&self) -> Resources {
        let of = |what: &str| format!("/proc/{}/{what}", self.vcp.pid());
        let count = |what| fs::read_dir(of(what)).expect("it runs").count() as u64;
        Resources {
            resident: resident(self.vcp.pid()) as u64,
            descriptors: count("fd"),
            threads: count("task"),
        }
    }

    /// Asks it to end and waits.
    #[must_use]
    pub fn stop(self) -> Outcome {
        self.vcp.stop(Signal::TERM)
    }

    /// Asks it to end; it must have done so cleanly.
    pub fn shut_down(self) {
        self.vcp.shut_down();
    }

    /// Runs `vcp ARGUMENTS` on it.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Outcome {
        let mut ask = command(binary());
        ask.args(arguments);
        ask.env("VCP_CONTROL_DIR", self.dir.join("control"));
        run(ask, &self.dir, LIMIT)
    }
}

/// What a process has of the machine.
#[derive(Debug, Clone, Copy)]
pub struct Resources {
    /// Bytes of memory.
    pub resident: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}
