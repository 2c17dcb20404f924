//! Somebody who runs hosts and asks them by `vcp ps` and the like, with control
//! sockets where nobody else looks.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::client::Clients;
use crate::lab::Scratch;
use crate::process::{Outcome, command, poll, run};
use crate::vcp::{Vcp, binary};

/// How long a command, or what it brings about, may take.
pub const LIMIT: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub struct User {
    scratch: Scratch,
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}

impl User {
    /// With a directory of their own.
    #[must_use]
    pub fn new() -> Self {
        Self {
            scratch: Scratch::new(),
        }
    }

    /// Where commands are run.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// The directory of control sockets.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.scratch.path().join("control")
    }

    /// The control socket of a host.
    #[must_use]
    pub fn socket(&self, host: &Vcp) -> PathBuf {
        self.sockets().join(format!("{}.sock", host.pid()))
    }

    /// `vcp ARGUMENTS`, in the directory.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(binary());
        command.args(arguments);
        command
            .env("VCP_CONTROL_DIR", self.sockets())
            // What hosts leave that are killed goes with the test.
            .env("XDG_RUNTIME_DIR", self.scratch.path())
            .current_dir(self.scratch.path());
        command
    }

    /// `vcp run ARGUMENTS`, once it serves.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn host(&self, arguments: &[&str]) -> Vcp {
        let line = [&["run"], arguments].concat();
        Vcp::start(self.command(&line), self.scratch.path())
    }

    /// A RAM disk of 8 MiB of this name.
    #[must_use]
    pub fn ram(&self, name: &str) -> Vcp {
        self.host(&["ramdisk", "size=8MiB", "--name", name])
    }

    /// A host with these lines in the table of its VCP `ram`, a RAM disk of 8 MiB that
    /// comes back blank.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn configured(&self, lines: &str) -> Vcp {
        self.host(&[self.disks(&[("ram", lines)])])
    }

    /// The name of a configuration with RAM disks of 8 MiB: names, and lines in their
    /// tables. One export each.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn disks(&self, disks: &[(&str, &str)]) -> &'static str {
        let table = |(name, lines): &(&str, &str)| {
            format!(
                "[vcp.{name}]\nmodule = \"ramdisk\"\nconfig = {{ size = \"8MiB\", after-fault = \"blank\" }}\n{lines}\n[export.{name}]\n"
            )
        };
        let text: String = disks.iter().map(table).collect();
        fs::write(self.scratch.path().join("disks.toml"), text).expect("writing a configuration");
        "disks.toml"
    }

    /// Runs `vcp ARGUMENTS`, that ends by itself.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Outcome {
        run(self.command(arguments), self.scratch.path(), LIMIT)
    }

    /// What `vcp ARGUMENTS` prints, which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn say(&self, arguments: &[&str]) -> String {
        let line = format!("vcp {}", arguments.join(" "));
        self.ask(arguments).expect_success(&line)
    }

    /// The same with `--json`.
    ///
    /// # Panics
    /// When it fails or is no JSON.
    #[must_use]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.say(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// What `inspect` says once `there` holds of it.
    ///
    /// # Panics
    /// When it does not come to hold.
    pub fn until(&self, vcp: &str, there: impl Fn(&Value) -> bool) -> Value {
        let look = || Some(self.json(&["inspect", vcp])).filter(&there);
        poll(LIMIT, look).unwrap_or_else(|| panic!("{}", self.say(&["inspect", vcp])))
    }

    /// What a host answers to `stats`: everything that it counts.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn stats(&self, host: &Vcp) -> Value {
        let mut stream = UnixStream::connect(self.socket(host)).expect("it listens");
        stream.set_read_timeout(Some(LIMIT)).expect("not zero");
        let ask = b"{\"v\":1,\"verb\":\"stats\"}\n";
        stream.write_all(ask).expect("it takes a line");
        let mut answer = String::new();
        let read = BufReader::new(stream).read_line(&mut answer);
        read.expect("it answers");
        let mut answer: Value = serde_json::from_str(&answer).expect("in JSON");
        answer["ok"].take()
    }

    /// NBD clients in the same directory.
    #[must_use]
    pub fn clients(&self) -> Clients {
        Clients::new(self.scratch.path())
    }
}
