//! Everything an operator writes, parsed and checked: the configuration file,
//! the command line's shorthand for it, addresses, links, sizes and times.
//!
//! A [`HostConfig`] is correct by construction as far as that can be known without
//! touching the system: [`HostConfig::read`] and [`HostConfig::shorthand`] give the same
//! type, and [`HostConfig::to_toml`] prints either as a file. A [`Change`] applies to
//! what runs already. Each error is one line that names the place, the key and what was
//! expected ([`ConfigError`]).
//!
//! This crate does no I/O besides reading the file it is given. The environment and the
//! files that hold secrets are reached through [`Sources`]; whether a device exists, a
//! link kind is built in or a name resolves is for the host to find out.

pub mod address;
mod attach;
mod budget;
mod change;
mod check;

mod difference;
mod dump;
mod error;
mod export_name;
mod model;
mod nbd;
pub mod net;
mod read;
mod reclaim;
mod recovery;
mod secret;
mod settings;
mod shorthand;
mod socket;
pub mod value;

pub use address::{DiscoveryUri, IscsiUri, Login, NbdAddress, Portal, PortalHost, UriError};
pub use attach::{Attach, NbdDevice};
pub use budget::{Cgroup, Cpu, Fifo, Limit, Slack};
pub use change::{Change, ChangeError};
pub use difference::{Difference, VcpDifference};
pub use error::{ConfigError, Invalid, Place};
pub use export_name::ExportName;
pub use model::{DirectoryGrant, Export, HostConfig, Module, Name, Vcp};
pub use nbd::NbdOptions;
pub use net::{InterfaceAddress, LinkForm, LinkKind, LinkOption, Mac, Net, Offload, Subnet};
pub use read::Places;
pub use reclaim::HostOptions;
pub use recovery::{CrashReports, PoisonAfter, Reload, Restart, RestartPolicy, Watchdog};
pub use secret::Secret;
pub use settings::{Resolved, SecretError, Setting, Settings, Sources};
pub use shorthand::Shorthand;
pub use socket::{SocketGroup, SocketMode};
pub use value::{Backoff, ByteSize, CpuSet, Interval, Percent, Pin, Timeout};
