//! The target: Linux's user-space iSCSI target, in a lab's target namespace.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::lab::{Lab, Side};
use crate::process::{Running, poll};

/// A running target daemon with no targets yet.
#[derive(Debug)]
pub struct Tgtd {
    process: Running,
    control: PathBuf,
    dir: PathBuf,
    targets: std::cell::Cell<u32>,
}

impl Tgtd {
    /// Starts it, listening on every address of the namespace.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(lab: &Lab) -> Self {
        let control = lab.dir().join("tgtd");
        let mut command = lab.command(Side::Target, "tgtd");
        command
            .args(["-f", "-C", "0"])
            .env("TGT_IPC_SOCKET", &control);
        let process = Running::start(command, lab.dir(), "tgtd");
        let this = Self {
            process,
            control,
            dir: lab.dir().to_owned(),
            targets: 0.into(),
        };
        let up = poll(Duration::from_secs(10), || {
            this.admin(&["--op", "show", "--mode", "system"]).ok()
        });
        assert!(
            up.is_some(),
            "tgtd does not come up: {}",
            this.process.stderr()
        );
        this
    }

    /// A new target that any initiator may log in to.
    #[must_use]
    pub fn target(&self, iqn: &str) -> Target<'_> {
        let tid = self.targets.get() + 1;
        self.targets.set(tid);
        let target = Target {
            tgtd: self,
            tid: tid.to_string(),
            iqn: iqn.to_owned(),
        };
        target.admin(&["--op", "new", "--mode", "target", "--targetname", iqn]);
        target.admin(&[
            "--op",
            "bind",
            "--mode",
            "target",
            "--initiator-address",
            "ALL",
        ]);
        target
    }

    /// A target that was made before, the `number`th from 1.
    #[must_use]
    pub fn known(&self, number: u32, iqn: &str) -> Target<'_> {
        Target {
            tgtd: self,
            tid: number.to_string(),
            iqn: iqn.to_owned(),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Kills it on the spot, as a crash would.
    pub fn kill(self) {
        drop(self);
    }

    /// Stops it where it is: connections stay, and nobody answers.
    pub fn pause(&self) {
        self.process.signal(rustix::process::Signal::STOP);
    }

    /// `tgtadm`, or what it complained about.
    fn admin(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("tgtadm")
            .args(["-C", "0", "--lld", "iscsi"])
            .args(arguments)
            .env("TGT_IPC_SOCKET", &self.control)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

/// One target name.
#[derive(Debug)]
pub struct Target<'a> {
    tgtd: &'a Tgtd,
    tid: String,
    iqn: String,
}

/// What a logical unit should be.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    bytes: u64,
    sector: u32,
    read_only: bool,
}

impl Unit {
    /// Thin, writable, sectors of 512 bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self {
            bytes,
            sector: 512,
            read_only: false,
        }
    }

    /// With sectors of another size.
    #[must_use]
    pub fn sector(self, sector: u32) -> Self {
        Self { sector, ..self }
    }

    /// Write-protected.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self {
            read_only: true,
            ..self
        }
    }
}

/// Bytes of a unit that keeps nothing, whatever one might wish.
const NULL_BYTES: u64 = 1 << 40;

/// A logical unit there is.
#[derive(Debug, Clone)]
pub struct Lun {
    /// Its target.
    pub iqn: String,
    /// Its number.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// Bytes of a logical block.
    pub sector: u32,
    /// Write-protected.
    pub read_only: bool,
    /// Where the target keeps it: readable behind the target's back.
    pub file: PathBuf,
}

impl Lun {
    /// Its URL at a portal, in the form every iSCSI client here understands.
    #[must_use]
    pub fn url(&self, portal: &str) -> String {
        format!("iscsi://{}/{}/{}", bracketed(portal), self.iqn, self.number)
    }

    /// Its URL for somebody with a name and a secret.
    #[must_use]
    pub fn url_as(&self, user: &str, secret: &str, portal: &str) -> String {
        format!(
            "iscsi://{user}%{secret}@{}/{}/{}",
            bracketed(portal),
            self.iqn,
            self.number
        )
    }
}

impl Target<'_> {
    /// Adds a logical unit in a sparse file.
    ///
    /// # Panics
    /// When the target refuses.
    #[must_use]
    pub fn unit(&self, number: u32, unit: Unit) -> Lun {
        let file = self.tgtd.dir.join(format!("unit-{}-{number}", self.tid));
        File::create(&file)
            .and_then(|file| file.set_len(unit.bytes))
            .expect("making a sparse file");
        let lun = Lun {
            iqn: self.iqn.clone(),
            number,
            size: unit.bytes,
            sector: unit.sector,
            read_only: unit.read_only,
            file,
        };
        self.keep(&lun);
        lun
    }

    /// Adds a logical unit that keeps nothing: the target answers at once.
    ///
    /// # Panics
    /// When the target refuses.
    #[must_use]
    pub fn null_unit(&self, number: u32) -> Lun {
        let lun = number.to_string();
        let file = PathBuf::from("/dev/null");
        self.admin(&[
            "--op",
            "new",
            "--mode",
            "logicalunit",
            "--lun",
            &lun,
            "--bstype",
            "null",
            "--backing-store",
            "/dev/null",
        ]);
        Lun {
            iqn: self.iqn.clone(),
            number,
            size: NULL_BYTES,
            sector: 512,
            read_only: false,
            file,
        }
    }

    /// Adds a logical unit with what is in its file, such as one of a daemon
    /// before this one.
    ///
    /// # Panics
    /// When the target refuses.
    pub fn keep(&self, lun: &Lun) {
        let number = lun.number.to_string();
        let path = lun.file.to_str().expect("made of ASCII");
        let sector = lun.sector.to_string();
        let which = ["--mode", "logicalunit", "--lun", &number];
        self.admin(
            &[
                &which[..],
                &[
                    "--op",
                    "new",
                    "--backing-store",
                    path,
                    "--blocksize",
                    &sector,
                ],
            ]
            .concat(),
        );
        let parameters = if lun.read_only {
            "thin_provisioning=1,readonly=1"
        } else {
            "thin_provisioning=1"
        };
        self.admin(&[&which[..], &["--op", "update", "--params", parameters]].concat());
    }

    /// Makes a unit longer, while it is used.
    ///
    /// # Panics
    /// When the target refuses.
    pub fn grow(&self, lun: &Lun, bytes: u64) {
        File::options()
            .write(true)
            .open(&lun.file)
            .and_then(|file| file.set_len(bytes))
            .expect("the unit's file");
        let number = lun.number.to_string();
        let path = format!("path={}", lun.file.display());
        // It looks at the file once only, when it opens it.
        for parameters in ["online=0", &path, "online=1"] {
            self.admin(&[
                "--op",
                "update",
                "--mode",
                "logicalunit",
                "--lun",
                &number,
                "--params",
                parameters,
            ]);
        }
    }

    /// Sets an operational parameter of RFC 7143 §13.
    pub fn set(&self, name: &str, value: &str) {
        self.admin(&[
            "--op", "update", "--mode", "target", "--name", name, "--value", value,
        ]);
    }

    /// Initiators must authenticate as `user`.
    pub fn account(&self, user: &str, secret: &str) {
        self.add_account(user, secret);
        self.admin(&["--op", "bind", "--mode", "account", "--user", user]);
    }

    /// The target authenticates itself as `user` when asked to.
    pub fn outgoing_account(&self, user: &str, secret: &str) {
        self.add_account(user, secret);
        self.admin(&[
            "--op",
            "bind",
            "--mode",
            "account",
            "--user",
            user,
            "--outgoing",
        ]);
    }

    /// How many connections initiators have to it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shown("Connection:")
    }

    /// How many sessions initiators have with it.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shown("Session:")
    }

    fn shown(&self, what: &str) -> usize {
        let shown = self.admin(&["--op", "show", "--mode", "conn"]);
        let lines = shown.lines();
        lines
            .filter(|line| line.trim_start().starts_with(what))
            .count()
    }

    fn add_account(&self, user: &str, secret: &str) {
        let arguments = [
            "--op",
            "new",
            "--mode",
            "account",
            "--user",
            user,
            "--password",
            secret,
        ];
        self.tgtd
            .admin(&arguments)
            .unwrap_or_else(|error| panic!("tgtadm {arguments:?}: {error}"));
    }

    fn admin(&self, arguments: &[&str]) -> String {
        let arguments = [arguments, &["--tid", &self.tid]].concat();
        self.tgtd
            .admin(&arguments)
            .unwrap_or_else(|error| panic!("tgtadm {arguments:?}: {error}"))
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}
