//! What this process may do about CPUs. It is found by trying, on a thread that ends right
//! after, or by asking for access; nothing is left changed.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};

use crate::cgroup::Hierarchies;
use crate::list::CpuSet;
use crate::priority::{self, Priority};
use crate::topology::Topology;

/// The most lines of `/proc/self/cgroup` that are looked at.
const MAX_LINES: usize = 64;

/// What this process may do, apart from pinning its threads, which any process may. What it
/// may not do says why, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether a thread can have SCHED_FIFO.
    pub real_time: Result<(), String>,
    /// Whether `/dev/net/tun` can be opened, for `tap:` links.
    pub tun: Result<(), String>,
    /// CAP_NET_ADMIN: whether it can make a TAP that isn't there.
    pub net_admin: bool,
    /// CAP_NET_RAW: whether it can have `packet:` links.
    pub net_raw: bool,
    /// The control groups that have to do with CPUs.
    pub cgroups: Vec<CgroupAccess>,
    /// The cpufreq governors that aren't `performance`, and their CPUs; empty if
    /// none, or if the machine shows none.
    pub slow_governors: Vec<(String, CpuSet)>,
}

/// Whether groups can be made in a hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupAccess {
    /// `v2`, or the controller of version 1.
    pub hierarchy: String,
    /// The group this process is in.
    pub group: PathBuf,
    /// Whether groups can be made below it, by its permissions.
    pub writable: Result<(), String>,
}

impl Capabilities {
    /// Finds out about the calling process on this machine.
    pub fn probe(topology: &Topology) -> Self {
        let held = capabilities(None).map(|sets| sets.effective);
        let held = held.unwrap_or(CapabilitySet::empty());
        let slow = topology.governors().iter();
        let slow = slow.filter(|(name, _)| *name != "performance");
        Self {
            real_time: real_time(),
            tun: tun(),
            net_admin: held.contains(CapabilitySet::NET_ADMIN),
            net_raw: held.contains(CapabilitySet::NET_RAW),
            cgroups: cgroups(&Hierarchies::detect()),
            slow_governors: slow
                .map(|(name, cpus)| (name.clone(), cpus.clone()))
                .collect(),
        }
    }

    /// What is there and what is missing, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![match &self.real_time {
            Ok(()) => "SCHED_FIFO      yes".to_owned(),
            Err(why) => format!("SCHED_FIFO      no: {why}"),
        }];
        lines.push(match &self.tun {
            Err(why) => format!("tap: links      no: {why}"),
            Ok(()) if self.net_admin => "tap: links      yes".to_owned(),
            Ok(()) => "tap: links      those made for this user; CAP_NET_ADMIN would make new ones"
                .to_owned(),
        });
        lines.push(match self.net_raw {
            true => "packet: links   yes".to_owned(),
            false => "packet: links   no: it takes CAP_NET_RAW".to_owned(),
        });
        for CgroupAccess {
            hierarchy,
            group,
            writable,
        } in &self.cgroups
        {
            let name = format!("cgroup {hierarchy}");
            // A path may hold anything.
            lines.push(match writable {
                Ok(()) => format!("{name:<15} yes, below {group:?}"),
                Err(why) => format!("{name:<15} no: {why}"),
            });
        }
        if self.cgroups.is_empty() {
            lines.push("cgroup          no: none is mounted".to_owned());
        }
        for (name, cpus) in &self.slow_governors {
            lines.push(format!(
                "CPU frequency   governor \"{name}\" on CPUs {cpus}: \"performance\" saves the time \
                 to speed up"
            ));
        }
        lines
    }
}

/// Tries it on a thread that does nothing else.
fn real_time() -> Result<(), String> {
    let attempt = || priority::set(Priority::Fifo(1)).map_err(|error| error.to_string());
    let thread = std::thread::Builder::new().name("vcp-doctor".to_owned());
    let thread = thread.spawn(attempt).map_err(|error| error.to_string())?;
    let gone = || Err("the thread that tried it ended early".to_owned());
    thread.join().unwrap_or_else(|_| gone())
}

fn tun() -> Result<(), String> {
    let open = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/net/tun");
    match open {
        // It is closed again before it is attached to any interface.
        Ok(_) => Ok(()),
        Err(error) => Err(format!("opening /dev/net/tun: {error}")),
    }
}

/// The group of this process in each hierarchy, and whether it can be written.
fn cgroups(mounted: &Hierarchies) -> Vec<CgroupAccess> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut found = Vec::new();
    for (hierarchy, path) in memberships(&own) {
        let mount = match hierarchy.as_str() {
            // Version 2 counts only without these controllers of version 1 beside it.
            "v2" if mounted.v1("cpu").is_some() || mounted.v1("cpuset").is_some() => None,
            "v2" => mounted.v2(),
            controller => mounted.v1(controller),
        };
        let Some(mount) = mount else { continue };
        // Collected anew: joining an empty path leaves a slash at the end.
        let group: PathBuf = mount.join(path).components().collect();
        // In a container the mount may be this group already.
        let group = match group.is_dir() {
            true => group,
            false => mount.to_owned(),
        };
        let writable = writable(&group);
        found.push(CgroupAccess {
            hierarchy,
            group,
            writable,
        });
    }
    found
}

/// Hierarchies and groups of `/proc/PID/cgroup` (cgroups(7)), relative to the mount.
pub(super) fn memberships(text: &str) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for line in text.lines().take(MAX_LINES) {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
            continue;
        };
        let relative = PathBuf::from(path.trim_start_matches('/'));
        // A group outside of the namespace shows as "/../..".
        let outside = path.split('/').any(|part| part == "..");
        let relative = if outside { PathBuf::new() } else { relative };
        match controllers {
            "" => found.push(("v2".to_owned(), relative)),
            _ => {
                let known = controllers
                    .split(',')
                    .filter(|c| ["cpu", "cpuset"].contains(c));
                found.extend(known.map(|c| (c.to_owned(), relative.clone())));
            }
        }
    }
    found
}

fn writable(group: &Path) -> Result<(), String> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    match accessat(CWD, group, access, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        Err(Errno::ROFS) => Err(format!("{group:?} is mounted read-only")),
        Err(_) => Err(format!("it takes write access to {group:?}")),
    }
}
