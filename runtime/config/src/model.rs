//! The parts of a configuration, whichever way it was written.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::address::NbdAddress;
use crate::attach::Attach;
use crate::budget::{Cpu, Limit};
use crate::error::Invalid;
use crate::export_name::ExportName;
use crate::nbd::NbdOptions;
use crate::net::Net;
use crate::reclaim::HostOptions;
use crate::recovery::{CrashReports, Reload, Restart, Watchdog};
use crate::settings::Settings;
use crate::socket::{SocketGroup, SocketMode};
use crate::value::{ByteSize, Interval, Timeout};

/// All VCPs of a host and what they export.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostConfig {
    /// `[host]`: options of the process.
    pub host: HostOptions,
    /// `nbd` of `[host]`: options of its NBD servers.
    pub nbd: NbdOptions,
    /// `[vcp.NAME]`.
    pub vcps: BTreeMap<Name, Vcp>,
    /// `[export.NAME]`; each names a VCP in `vcps`.
    pub exports: BTreeMap<ExportName, Export>,
}

/// One VCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vcp {
    /// `module`: the module that runs in it.
    pub module: Module,
    /// `cpu`: its CPUs and its share of them.
    pub cpu: Cpu,
    /// `memory`: the most linear memory it may have; 1 MiB to 4 GiB, a multiple of 64
    /// KiB. Without it the VCP gets what its module asks for, as far as the host can
    /// spare that.
    pub memory: Option<ByteSize>,
    /// `restart`: what happens after a fault.
    pub restart: Restart,
    /// `replacement-timeout`: how long a request waits before it fails while the device
    /// can't answer it; 0 to a year.
    pub replacement_timeout: Timeout,
    /// `watchdog`: the limits beyond which an instance counts as hung.
    pub watchdog: Watchdog,
    /// `reload`: how a new version takes over.
    pub reload: Reload,
    /// `crash-reports`: what is kept of instances that died.
    pub crash_reports: CrashReports,
    /// `config`: the module's settings.
    pub settings: Settings,
    /// `net`: the link, for a module that needs one.
    pub net: Option<Net>,
    /// `files`: the directories it may reach through WASI.
    pub files: Vec<DirectoryGrant>,
    /// `queue-depth`: the most requests it holds at a time, 1 to 4096.
    pub queue_depth: u32,
}

impl Vcp {
    /// A VCP with every default.
    pub fn new(module: Module) -> Self {
        Self {
            module,
            cpu: Cpu::default(),
            memory: None,
            restart: Restart::default(),
            replacement_timeout: Self::DEFAULT_REPLACEMENT_TIMEOUT,
            watchdog: Watchdog::default(),
            reload: Reload::default(),
            crash_reports: CrashReports::default(),
            settings: Settings::default(),
            net: None,
            files: Vec::new(),
            queue_depth: Self::DEFAULT_QUEUE_DEPTH,
        }
    }

    /// The default of `replacement-timeout`: that of open-iscsi.
    pub const DEFAULT_REPLACEMENT_TIMEOUT: Timeout = Timeout::After(Interval::millis(120_000));

    /// The default of `queue-depth`.
    pub const DEFAULT_QUEUE_DEPTH: u32 = 128;
}

/// A device that clients can connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// `vcp`: the VCP that provides the device; by default that of the same name.
    pub vcp: Name,
    /// `nbd`: the addresses where it is served, without repetitions. If empty, the host
    /// makes a private socket and reports its address.
    pub nbd: Vec<NbdAddress>,
    /// `read-only`: refuse writes even if the device takes them.
    pub read_only: bool,
    /// `description`: for people, in an NBD client's listing; one line.
    pub description: Option<String>,
    /// `limit`: the limits of its clients, all together.
    pub limit: Limit,
    /// `memory`: the bytes that the requests of its clients may hold, all together; 33
    /// MiB to 64 GiB.
    pub memory: ByteSize,
    /// `socket-mode`: the mode of its unix sockets' files; needs one in `nbd`.
    pub socket_mode: Option<SocketMode>,
    /// `socket-group`: the group of these files; `None`: that of the process.
    pub socket_group: Option<SocketGroup>,
    /// `attach`: its kernel device, attached for as long as the host runs.
    pub attach: Option<Attach>,
}

impl Export {
    /// A writable export of `vcp` at these addresses, without limits.
    pub fn new(vcp: Name, nbd: Vec<NbdAddress>) -> Self {
        Self {
            vcp,
            nbd,
            read_only: false,
            description: None,
            limit: Limit::default(),
            memory: Self::DEFAULT_MEMORY,
            socket_mode: None,
            socket_group: None,
            attach: None,
        }
    }

    /// The default of `memory`.
    pub const DEFAULT_MEMORY: ByteSize = ByteSize::mib(64);
}

/// The name of a VCP: 1 to 63 of `A-Z a-z 0-9 . _ -`, the first a
/// letter or digit. Safe in file names, logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let inner = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        (starts && text.len() <= 63 && text.chars().all(inner))
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| {
                Invalid::new(
                    "a name of up to 63 letters, digits, \".\", \"_\" and \"-\" that starts with a letter or digit",
                    text,
                )
            })
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The module of a VCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Module {
    /// A module that is built into the host: a word of lower-case letters, digits and
    /// `-`. The host decides whether one of this name exists.
    Builtin(String),
    /// A component in a file: anything with a `/` or a `.` in it.
    File(PathBuf),
    /// A component in a registry: `oci:REFERENCE`.
    Oci(String),
}

impl Module {
    /// Whether this is the built-in module `name`.
    pub fn is_builtin(&self, name: &str) -> bool {
        matches!(self, Module::Builtin(own) if own == name)
    }
}

impl FromStr for Module {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        const EXPECTED: &str =
            "the name of a built-in module, a path such as \"./disk.wasm\", or \"oci:REFERENCE\"";
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let invalid = || Invalid::new(EXPECTED, text);
        if text.is_empty() || text.len() > 4096 || text.contains(char::is_control) {
            return Err(invalid());
        }
        match text.strip_prefix("oci:") {
            Some("") => Err(invalid()),
            Some(reference) => Ok(Self::Oci(reference.to_owned())),
            None if text.contains(['/', '.']) => Ok(Self::File(PathBuf::from(text))),
            None if text.chars().all(word) => Ok(Self::Builtin(text.to_owned())),
            None => Err(invalid()),
        }
    }
}

impl fmt::Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Module::Builtin(name) => f.write_str(name),
            Module::File(path) => write!(f, "{}", path.display()),
            Module::Oci(reference) => write!(f, "oci:{reference}"),
        }
    }
}

/// A directory of the host that a VCP may reach through WASI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryGrant {
    /// `host`: the directory.
    pub host: PathBuf,
    /// `guest`: the absolute path under which the VCP finds it.
    pub guest: String,
    /// `read-only`: the VCP may not change anything in it.
    pub read_only: bool,
}

impl DirectoryGrant {
    /// Checks that a VCP can be given this path: absolute, in its shortest form.
    pub(crate) fn check_guest(guest: &str) -> Result<(), Invalid> {
        let part =
            |p: &str| !p.is_empty() && p != "." && p != ".." && !p.contains(char::is_control);
        let inner = guest.strip_prefix('/');
        let valid = inner.is_some_and(|rest| rest.is_empty() || rest.split('/').all(part));
        valid.then_some(()).ok_or_else(|| {
            Invalid::new(
                "an absolute path without \".\" or \"..\", such as \"/data\"",
                guest,
            )
        })
    }
}

/// Parses `HOST:GUEST[:ro]`, as on the command line.
impl FromStr for DirectoryGrant {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (paths, read_only) = match text.strip_suffix(":ro") {
            Some(paths) => (paths, true),
            None => (text, false),
        };
        match paths.rsplit_once(':') {
            Some((host, guest)) if !host.is_empty() => {
                Self::check_guest(guest)?;
                Ok(Self {
                    host: PathBuf::from(host),
                    guest: guest.to_owned(),
                    read_only,
                })
            }
            _ => Err(Invalid::new("HOST-DIRECTORY:GUEST-DIRECTORY[:ro]", text)),
        }
    }
}
