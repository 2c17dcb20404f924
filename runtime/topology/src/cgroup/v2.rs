//! Version 2: one hierarchy, controllers enabled from above, threaded groups.

use std::path::Path;

use super::enter::{Entered, Limits, Quota, Who, id};
use super::error::CgroupError;
use super::files::{Files, Group};

pub(super) fn enter(
    files: &dyn Files,
    root: &Path,
    path: &Path,
    limits: &Limits,
    who: Who,
) -> Result<Entered, CgroupError> {
    let (group, made) = Group::open(files, root, path)?;
    let kind = group.read("cgroup.type");
    // A group below a threaded one starts out as "domain invalid" and takes nothing
    // until it is threaded too.
    let threaded = match (who, kind.as_str()) {
        (_, "threaded") => true,
        (Who::Thread, "domain invalid") => {
            group.write("cgroup.type", "threaded")?;
            true
        }
        (Who::Thread, _) if made => {
            group.write("cgroup.type", "threaded")?;
            true
        }
        _ => false,
    };
    if let Some(cpus) = &limits.cpus {
        enable(&group, root, "cpuset")?;
        group.write("cpuset.cpus", &cpus.to_string())?;
    }
    if let Some(Quota { time, period }) = limits.quota {
        enable(&group, root, "cpu")?;
        let line = format!("{} {}", time.as_micros(), period.as_micros());
        group.write("cpu.max", &line)?;
    }
    let who = match (who, threaded) {
        (Who::Thread, true) => Who::Thread,
        _ => Who::Process,
    };
    let file = match who {
        Who::Thread => "cgroup.threads",
        Who::Process => "cgroup.procs",
    };
    group.write(file, &id(who))?;
    Ok(Entered {
        groups: vec![group.directory],
        who,
    })
}

/// Enables a controller for a group: it must be enabled in every group above it, from the
/// root of the mount down.
fn enable(group: &Group<'_>, root: &Path, controller: &'static str) -> Result<(), CgroupError> {
    let listed = |text: String| text.split_whitespace().any(|word| word == controller);
    if listed(group.read("cgroup.controllers")) {
        return Ok(());
    }
    let Some(parent) = group
        .parent()
        .filter(|parent| parent.directory.starts_with(root))
    else {
        // The mount itself has no such controller, so no group below can.
        return Err(CgroupError::NotMounted {
            group: group.directory.clone(),
            controller,
        });
    };
    enable(&parent, root, controller)?;
    let wanted = format!("+{controller}");
    let result = parent.write("cgroup.subtree_control", &wanted);
    match result {
        Ok(()) => Ok(()),
        Err(_) => Err(CgroupError::NoController {
            group: group.directory.clone(),
            controller,
            control: parent.directory.join("cgroup.subtree_control"),
        }),
    }
}
