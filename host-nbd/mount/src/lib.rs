//! File systems on the devices of a host: mounted by mount(8), so that its helpers and
//! options work, and taken apart again in the order that loses nothing. Each step that
//! was made is undone when a later one fails.
//!
//! Knows block devices and NBD addresses, and nothing of VCPs. Where the kernel has no
//! NBD, [`fuse`] makes a block device of an NBD address by nbdfuse and a loop device.
//!
//! | module | subject |
//! |---|---|
//! | [`mod@file_system`] | what is on a device, and mounting it |
//! | [`fuse`] | a device by nbdfuse and loop |
//! | [`record`] | what was mounted, for whoever takes it apart |
//! | [`table`] | what the kernel says is mounted |
//! | `file_name` | a file's name for any disk's |
//! | `program` | other programs, run to their end |

mod file_name;
pub mod file_system;
pub mod fuse;
mod program;
pub mod record;
pub mod table;

use std::io;
use std::path::PathBuf;

pub use file_name::file_name;
pub use file_system::{Options, flush, mount, unmount};
pub use record::{Device, Record, Slot};

/// How one goes about what may not answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// In order, and not while somebody uses it.
    Orderly,
    /// Out of sight at once; it ends when nobody uses it.
    Lazy,
    /// Now: what is under way fails.
    Force,
}

/// What could not be done, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that is not installed.
    #[error("{program}: not found; Debian has it in the package {package}")]
    NoProgram {
        /// Its name.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// A program failed, and what it said.
    #[error("{program}: {said}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// In one line.
        said: String,
    },
    /// There is nothing to mount.
    #[error("{}: {found}", device.display())]
    NoFileSystem {
        /// Where it was looked for.
        device: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// It is in use, or being worked on.
    #[error("{name}: {why}")]
    Taken {
        /// Of the VCP or export.
        name: String,
        /// By whom.
        why: String,
    },
    /// The system would not.
    #[error("{what}: {error}")]
    System {
        /// Of which object.
        what: String,
        /// Why not.
        error: io::Error,
    },
    /// It did not happen in time.
    #[error("{0}")]
    Late(String),
}

impl Error {
    /// An error of the system about a path or another thing with a name.
    pub(crate) fn at(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |error| Self::System { what, error }
    }
}
