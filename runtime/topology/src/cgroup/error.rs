//! Why a thread is not in the group it should be in.

use std::io;
use std::path::PathBuf;

/// Each is one line that names what was tried and what is missing.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// No hierarchy is mounted, or none with the controller that was asked for.
    #[error("control group {group:?}: no cgroup v2 and no cgroup v1 with {controller} is mounted")]
    NotMounted {
        /// The group that was named.
        group: PathBuf,
        /// The controller that it was for.
        controller: &'static str,
    },
    /// The path leaves the mount, or is the mount.
    #[error(
        "control group {0:?}: must be a path below the cgroup mount without \".\" or \"..\", such \
         as \"vcp/disk0\""
    )]
    Path(PathBuf),
    /// A limit that no kernel takes.
    #[error("control group {group:?}: {what}")]
    Limit {
        /// The group that was named.
        group: PathBuf,
        /// What is wrong with the limit.
        what: &'static str,
    },
    /// The kernel didn't let us.
    #[error("{action} {path:?}: {}", reason(.source, .path))]
    Io {
        /// The action that was tried.
        action: String,
        /// The file or directory.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A controller isn't there for this group, and could not be had.
    #[error(
        "control group {group:?}: the {controller} controller is not enabled; it takes \
         \"+{controller}\" in {control:?}"
    )]
    NoController {
        /// The group's directory.
        group: PathBuf,
        /// The controller.
        controller: &'static str,
        /// The file of the parent that enables it.
        control: PathBuf,
    },
}

fn reason(error: &io::Error, path: &std::path::Path) -> String {
    let directory = path.parent().unwrap_or(path).display();
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            format!("not permitted; it takes write access to {directory} and to the group left")
        }
        Some(libc::EROFS) => "the control groups are mounted read-only here".to_owned(),
        Some(libc::ENOENT) => "not there; the controller is not enabled or not built".to_owned(),
        Some(libc::EOPNOTSUPP) => {
            "the group can't take threads; its parent must hold this process".to_owned()
        }
        Some(libc::EBUSY) => {
            "the group is in use in another way (it has controllers for its children)".to_owned()
        }
        _ => error.to_string(),
    }
}
