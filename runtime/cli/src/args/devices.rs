//! The kernel's devices, and what is mounted on them.

use std::path::PathBuf;

use clap::Args;

use super::{HostArguments, TargetArguments};

/// `vcp attach`.
#[derive(Args)]
pub(crate) struct AttachArguments {
    /// An export, or the VCP whose only one it is
    #[arg(value_name = "NAME")]
    pub(crate) name: vcp_control::Address,
    /// The next that is free, unless given
    #[arg(value_name = "/dev/nbdX")]
    pub(crate) device: Option<vcp_config::NbdDevice>,
    /// Connections between the kernel and the host, 1 to 16
    #[arg(long, value_name = "N")]
    pub(crate) connections: Option<u32>,
    /// Refuse writes
    #[arg(long)]
    pub(crate) read_only: bool,
    /// What the kernel lets a request take: a time, seconds, or "never"
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<String>,
    /// How long requests wait for another host when this one is gone: a time, or seconds
    #[arg(long, value_name = "TIME")]
    pub(crate) dead_timeout: Option<String>,
    #[command(flatten)]
    pub(crate) host: HostArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp detach`.
#[derive(Args)]
pub(crate) struct DetachArguments {
    /// The export, or its device
    #[arg(value_name = "NAME|/dev/nbdX", required_unless_present = "left")]
    pub(crate) name: Option<String>,
    /// Although it is in use, and whatever can't be written any more
    #[arg(long)]
    pub(crate) force: bool,
    /// Every device that hosts have left and no host serves
    #[arg(long, requires = "force", conflicts_with = "name")]
    pub(crate) left: bool,
    #[command(flatten)]
    pub(crate) host: HostArguments,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `vcp mount`.
#[derive(Args)]
pub(crate) struct MountArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    /// Where to
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Options for mount(8), such as noatime,discard (_netdev is always added)
    #[arg(short, long, value_name = "OPTIONS")]
    pub(crate) options: Option<String>,
    /// Type of the file system; found by what is on the disk when not given
    #[arg(long = "type", value_name = "FS")]
    pub(crate) kind: Option<String>,
    /// Never write
    #[arg(long)]
    pub(crate) read_only: bool,
    /// The kernel's NBD client, or nbdfuse and a loop device; kernel where it can
    #[arg(long, value_enum)]
    pub(crate) via: Option<MountVia>,
}

/// `--via`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MountVia {
    /// `/dev/nbdX`.
    Kernel,
    /// nbdfuse, and `/dev/loopX`.
    Fuse,
}

/// `vcp umount`.
#[derive(Args)]
pub(crate) struct UmountArguments {
    /// A disk, or where it is mounted
    #[arg(value_name = "DIR|NAME")]
    pub(crate) what: String,
    /// Out of sight at once, also in use; the device goes when nobody uses it
    #[arg(long)]
    pub(crate) lazy: bool,
    /// Now: what waits for the disk fails
    #[arg(long)]
    pub(crate) force: bool,
}
