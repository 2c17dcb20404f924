//! Mounts the devices of a host by mount(8), so that its helpers and options work, and
//! unmounts them in the order that loses nothing. When a step fails, the earlier ones are
//! undone.
//!
//! This crate knows block devices and NBD addresses, but not VCPs. Where the kernel has
//! no NBD, [`fuse`] makes a block device of an NBD address by nbdfuse and a loop device.
//!
//! | module | subject |
//! |---|---|
//! | [`mod@file_system`] | what is on a device, and mounting it |
//! | [`fuse`] | a device by nbdfuse and loop |
//! | [`record`] | what was mounted, for the process that unmounts it |
//! | [`table`] | what the kernel says is mounted |
//! | `file_name` | file names for disks |
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

/// How to unmount a device that may no longer answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// In order, and only when nobody uses it.
    Orderly,
    /// Out of sight at once; the mount ends when nobody uses it.
    Lazy,
    /// At once: requests under way fail.
    Force,
}

/// Why something could not be done, in one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("{program}: not found; Debian has it in the package {package}")]
    NoProgram {
        /// The program's name.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A program failed.
    #[error("{program}: {said}")]
    Failed {
        /// The program's name.
        program: &'static str,
        /// Its message, in one line.
        said: String,
    },
    /// There is no file system to mount.
    #[error("{}: {found}", device.display())]
    NoFileSystem {
        /// The device that was examined.
        device: PathBuf,
        /// What was found on it instead.
        found: String,
    },
    /// The disk is in use, or another process works on it.
    #[error("{name}: {why}")]
    Taken {
        /// The name of the VCP or export.
        name: String,
        /// The reason.
        why: String,
    },
    /// The system refused.
    #[error("{what}: {error}")]
    System {
        /// The path or other object concerned.
        what: String,
        /// The reason.
        error: io::Error,
    },
    /// Something did not happen in time.
    #[error("{0}")]
    Late(String),
}

impl Error {
    /// Makes an error of the system about a path or another named object.
    pub(crate) fn at(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_string();
        move |error| Self::System { what, error }
    }
}
