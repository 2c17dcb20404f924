//! Version 1: a hierarchy for each controller, threads on their own in each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::enter::{Entered, Limits, Quota, Who, id};
use super::error::CgroupError;
use super::files::{Files, Group};

pub(super) fn enter(
    files: &dyn Files,
    mounts: &BTreeMap<&'static str, PathBuf>,
    path: &Path,
    limits: &Limits,
    who: Who,
) -> Result<Entered, CgroupError> {
    let missing = |controller| match mounts.contains_key(controller) {
        true => Ok(()),
        false => Err(CgroupError::NotMounted {
            group: path.to_owned(),
            controller,
        }),
    };
    limits.cpus.as_ref().map_or(Ok(()), |_| missing("cpuset"))?;
    limits.quota.map_or(Ok(()), |_| missing("cpu"))?;
    // All limits are set before the first move: a failure then leaves it where it was.
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (&controller, mount) in mounts {
        let (group, _) = Group::open(files, mount, path)?;
        match controller {
            "cpuset" => set_cpus(&group, mount, limits)?,
            _ => set_quota(&group, limits)?,
        }
        // Two controllers may share a mount.
        if groups
            .iter()
            .all(|other| other.directory != group.directory)
        {
            groups.push(group);
        }
    }
    let file = match who {
        Who::Thread => "tasks",
        Who::Process => "cgroup.procs",
    };
    for group in &groups {
        group.write(file, &id(who))?;
    }
    let groups = groups.into_iter().map(|group| group.directory).collect();
    Ok(Entered { groups, who })
}

fn set_cpus(group: &Group<'_>, mount: &Path, limits: &Limits) -> Result<(), CgroupError> {
    // A group that was just made has neither, and takes no process until it has both.
    inherit(group, mount, "cpuset.mems")?;
    match &limits.cpus {
        Some(cpus) => {
            // A group above that was just made has no CPUs to give.
            if let Some(parent) = group.parent().filter(|parent| parent.directory != *mount) {
                inherit(&parent, mount, "cpuset.cpus")?;
            }
            group.write("cpuset.cpus", &cpus.to_string())
        }
        None => inherit(group, mount, "cpuset.cpus"),
    }
}

/// An empty file gets what the same file of the group above says, which may have
/// to get it from above first.
fn inherit(group: &Group<'_>, mount: &Path, file: &str) -> Result<(), CgroupError> {
    if group.directory == mount || !group.read(file).is_empty() {
        return Ok(());
    }
    let Some(parent) = group.parent() else {
        return Ok(());
    };
    inherit(&parent, mount, file)?;
    group.write(file, &parent.read(file))
}

fn set_quota(group: &Group<'_>, limits: &Limits) -> Result<(), CgroupError> {
    let Some(Quota { time, period }) = limits.quota else {
        return Ok(());
    };
    // No quota while the period changes: the old one may not fit the new period.
    if group.has("cpu.cfs_quota_us") {
        group.write("cpu.cfs_quota_us", "-1")?;
    }
    group.write("cpu.cfs_period_us", &period.as_micros().to_string())?;
    group.write("cpu.cfs_quota_us", &time.as_micros().to_string())
}
