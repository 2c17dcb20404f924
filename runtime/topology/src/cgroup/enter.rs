//! Entering a group: which hierarchy, which limits, thread or process.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::error::CgroupError;
use super::files::{Files, Kernel};
use super::hierarchies::Hierarchies;
use super::{v1, v2};
use crate::list::CpuSet;

/// Whether a thread or its process goes into the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The calling thread. With version 2 only threaded groups take one: a group that is
    /// made becomes threaded, and must then be below that of its process; if the group is
    /// there and isn't threaded, the whole process goes into it.
    Thread,
    /// The whole process.
    Process,
}

/// CPU time of a group: so much in each period (`cpu.max`, `cpu.cfs_quota_us`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// CPU time in each period, over all CPUs; 1 ms or more.
    pub time: Duration,
    /// The period, 1 ms to 1 s.
    pub period: Duration,
}

/// The limits that are set on the group; one that is `None` is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// `cpuset.cpus`; not empty.
    pub cpus: Option<CpuSet>,
    /// `cpu.max`, or `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
    pub quota: Option<Quota>,
}

/// What entering a group has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// The directories of the groups: one with version 2, up to one for each
    /// controller with version 1.
    pub groups: Vec<PathBuf>,
    /// Whether the thread or its process was moved in the end.
    pub who: Who,
}

impl Hierarchies {
    /// Moves the calling thread or its process into the group at `path` below the
    /// mount, made if it is not there, after setting the limits. A `/` at the start
    /// of the path is the mount. A thread's affinity may become that of the group:
    /// pin after this, not before.
    ///
    /// Version 1 is used where it has `cpu` or `cpuset` (version 2 then hasn't),
    /// version 2 elsewhere. When this fails, groups that were made and limits
    /// that were set stay; with version 1, it may already have moved in one hierarchy.
    pub fn enter(&self, path: &Path, limits: &Limits, who: Who) -> Result<Entered, CgroupError> {
        self.enter_in(&Kernel, path, limits, who)
    }

    pub(super) fn enter_in(
        &self,
        files: &dyn Files,
        path: &Path,
        limits: &Limits,
        who: Who,
    ) -> Result<Entered, CgroupError> {
        let path = below(path)?;
        check(&path, limits)?;
        match &self.v2 {
            _ if !self.v1.is_empty() => v1::enter(files, &self.v1, &path, limits, who),
            Some(root) => v2::enter(files, root, &path, limits, who),
            None => Err(CgroupError::NotMounted {
                group: path,
                controller: "cpu or cpuset",
            }),
        }
    }
}

/// The path relative to the mount, if it is below it.
fn below(path: &Path) -> Result<PathBuf, CgroupError> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let normal = |part: Component| matches!(part, Component::Normal(_));
    // `components` hides "." inside a path.
    let dots = || {
        relative
            .as_os_str()
            .as_encoded_bytes()
            .split(|&b| b == b'/')
    };
    let plain = relative.components().all(normal) && dots().all(|part| part != b".");
    match plain && relative.components().next().is_some() {
        true => Ok(relative.to_owned()),
        false => Err(CgroupError::Path(path.to_owned())),
    }
}

/// Checks that a kernel could take these: cgroup-v2.rst, sched-bwc.rst.
fn check(group: &Path, limits: &Limits) -> Result<(), CgroupError> {
    let millisecond = Duration::from_millis(1);
    let what = match limits {
        Limits {
            cpus: Some(cpus), ..
        } if cpus.is_empty() => "an empty set of CPUs",
        Limits {
            quota: Some(quota), ..
        } => match quota {
            q if q.period < millisecond || q.period > Duration::from_secs(1) => {
                "the period of CPU time must be 1 ms to 1 s"
            }
            q if q.time < millisecond => "CPU time must be at least 1 ms in each period",
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    let group = group.to_owned();
    Err(CgroupError::Limit { group, what })
}

/// The number to write for the calling thread or its process.
pub(super) fn id(who: Who) -> String {
    match who {
        Who::Thread => rustix::thread::gettid().as_raw_nonzero().to_string(),
        Who::Process => std::process::id().to_string(),
    }
}
