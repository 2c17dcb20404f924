//! Tests on directories of their own, with a stand-in for the kernel that gives a new group
//! its files.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::files::{Files, Kernel};
use super::{CgroupError, Entered, Hierarchies, Limits, Quota, Who};

/// A hierarchy on disk.
struct Fake {
    root: TempDir,
    /// The files of a new group.
    files: &'static [(&'static str, &'static str)],
    /// The name of a file to which writes fail, and the error.
    fails: Option<(&'static str, i32)>,
}

const V2: &[(&str, &str)] = &[
    ("cgroup.type", "domain"),
    ("cgroup.procs", ""),
    ("cgroup.threads", ""),
    ("cgroup.controllers", ""),
    ("cgroup.subtree_control", ""),
    ("cpuset.cpus", ""),
    ("cpu.max", "max 100000"),
];
const V1: &[(&str, &str)] = &[
    ("tasks", ""),
    ("cgroup.procs", ""),
    ("cpuset.cpus", ""),
    ("cpuset.mems", ""),
    ("cpu.cfs_period_us", "100000"),
    ("cpu.cfs_quota_us", "-1"),
];

impl Files for Fake {
    fn make(&self, directory: &Path) -> io::Result<()> {
        if let Some(("mkdir", errno)) = self.fails {
            return Err(io::Error::from_raw_os_error(errno));
        }
        Kernel.make(directory)?;
        let write = |(name, text): &(&str, &str)| fs::write(directory.join(name), text);
        self.files.iter().try_for_each(write)
    }

    fn write(&self, file: &Path, line: &str) -> io::Result<()> {
        match self.fails {
            Some((name, errno)) if file.ends_with(name) => Err(io::Error::from_raw_os_error(errno)),
            _ => Kernel.write(file, line),
        }
    }
}

impl Fake {
    fn new(files: &'static [(&'static str, &'static str)], root: &[(&str, &str)]) -> Self {
        let fake = Self {
            root: TempDir::new().unwrap(),
            files,
            fails: None,
        };
        for (name, text) in files.iter().chain(root) {
            fs::write(fake.root.path().join(name), text).unwrap();
        }
        fake
    }

    fn v2() -> Self {
        Self::new(V2, &[("cgroup.controllers", "cpuset cpu io memory")])
    }

    fn v1() -> Self {
        Self::new(V1, &[("cpuset.cpus", "0-3"), ("cpuset.mems", "0")])
    }

    fn at(&self, path: &str) -> String {
        fs::read_to_string(self.root.path().join(path)).unwrap()
    }

    fn enter(&self, path: &str, limits: &Limits, who: Who) -> Result<Entered, CgroupError> {
        let root = self.root.path().to_owned();
        let mut hierarchies = Hierarchies::default();
        match self.files == V2 {
            true => hierarchies.v2 = Some(root),
            false => hierarchies.v1 = [("cpu", root.clone()), ("cpuset", root)].into(),
        }
        hierarchies.enter_in(self, Path::new(path), limits, who)
    }
}

fn limits() -> Limits {
    Limits {
        cpus: Some("1,3".parse().unwrap()),
        quota: Some(Quota {
            time: Duration::from_millis(30),
            period: Duration::from_millis(100),
        }),
    }
}

fn tid() -> String {
    rustix::thread::gettid().as_raw_nonzero().to_string()
}

fn pid() -> String {
    std::process::id().to_string()
}

#[test]
fn v2_thread_into_a_group_of_its_own() {
    let fake = Fake::v2();
    // The test's thread isn't the process's first.
    std::thread::scope(|scope| {
        let inner = scope.spawn(|| (fake.enter("vcp/disk0", &limits(), Who::Thread), tid()));
        let (entered, tid) = inner.join().unwrap();
        let entered = entered.unwrap();
        assert_eq!(entered.who, Who::Thread);
        assert_eq!(entered.groups, [fake.root.path().join("vcp/disk0")]);
        assert_eq!(fake.at("vcp/disk0/cgroup.threads"), tid);
        assert_ne!(tid, pid());
    });
    assert_eq!(fake.at("vcp/disk0/cgroup.type"), "threaded");
    assert_eq!(fake.at("vcp/disk0/cgroup.procs"), "");
    assert_eq!(fake.at("vcp/disk0/cpuset.cpus"), "1,3");
    assert_eq!(fake.at("vcp/disk0/cpu.max"), "30000 100000");
    assert_eq!(fake.at("vcp/cgroup.type"), "domain");
    // It has the last one written; the kernel would collect them.
    assert_eq!(fake.at("vcp/cgroup.subtree_control"), "+cpu");
    assert_eq!(fake.at("cgroup.subtree_control"), "+cpu");
}

#[test]
fn v2_process_where_the_group_takes_no_threads() {
    let fake = Fake::v2();
    for who in [Who::Process, Who::Thread] {
        // The group is made by the first, so that the second finds one that isn't threaded.
        let entered = fake.enter("/vcp", &Limits::default(), who).unwrap();
        assert_eq!(entered.who, Who::Process);
        assert_eq!(fake.at("vcp/cgroup.procs"), pid());
        assert_eq!(fake.at("vcp/cgroup.type"), "domain");
        fs::write(fake.root.path().join("vcp/cgroup.procs"), "").unwrap();
    }
    assert_eq!(fake.at("vcp/cpu.max"), "max 100000");
    assert_eq!(fake.at("cgroup.subtree_control"), "");
}

#[test]
fn v2_below_a_threaded_group() {
    let fake = Fake::v2();
    fake.make(&fake.root.path().join("a")).unwrap();
    fs::write(fake.root.path().join("a/cgroup.type"), "domain invalid").unwrap();
    let entered = fake.enter("a", &Limits::default(), Who::Thread).unwrap();
    assert_eq!(entered.who, Who::Thread);
    assert_eq!(fake.at("a/cgroup.type"), "threaded");
}

#[test]
fn v2_controllers_that_are_not_to_be_had() {
    let fake = Fake {
        fails: Some(("cgroup.subtree_control", libc::EACCES)),
        ..Fake::v2()
    };
    let error = fake.enter("vcp", &limits(), Who::Process).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("\"+cpuset\"") && text.contains("subtree_control"),
        "{text}"
    );
    // They are not even at the mount, as with a version 1 that holds them.
    let fake = Fake::new(V2, &[]);
    let error = fake.enter("vcp", &limits(), Who::Process).unwrap_err();
    assert!(error.to_string().contains("cpuset is mounted"), "{error}");
    assert_eq!(fake.at("vcp/cgroup.procs"), "");
}

#[test]
fn v1_thread_with_limits() {
    let fake = Fake::v1();
    let entered = fake.enter("vcp/disk0", &limits(), Who::Thread).unwrap();
    assert_eq!(entered.who, Who::Thread);
    assert_eq!(entered.groups.len(), 1, "both controllers are in one mount");
    assert_eq!(fake.at("vcp/disk0/tasks"), tid());
    assert_eq!(fake.at("vcp/disk0/cpuset.cpus"), "1,3");
    assert_eq!(fake.at("vcp/disk0/cpuset.mems"), "0");
    assert_eq!(fake.at("vcp/disk0/cpu.cfs_period_us"), "100000");
    assert_eq!(fake.at("vcp/disk0/cpu.cfs_quota_us"), "30000");
    assert_eq!(fake.at("vcp/cpuset.cpus"), "0-3");
    assert_eq!(fake.at("cpuset.cpus"), "0-3");
}

#[test]
fn v1_process_without_limits_gets_what_its_parent_has() {
    let fake = Fake::v1();
    fake.enter("a/b/c", &Limits::default(), Who::Process)
        .unwrap();
    assert_eq!(fake.at("a/b/c/cgroup.procs"), pid());
    for group in ["a", "a/b", "a/b/c"] {
        assert_eq!(fake.at(&format!("{group}/cpuset.cpus")), "0-3");
        assert_eq!(fake.at(&format!("{group}/cpuset.mems")), "0");
    }
    assert_eq!(fake.at("a/b/c/cpu.cfs_quota_us"), "-1");
    // A value that is set stays.
    fs::write(fake.root.path().join("a/b/c/cpuset.cpus"), "2").unwrap();
    fake.enter("a/b/c", &Limits::default(), Who::Process)
        .unwrap();
    assert_eq!(fake.at("a/b/c/cpuset.cpus"), "2");
}

#[test]
fn what_is_missing_is_said_in_one_line() {
    for (what, errno, says) in [
        ("mkdir", libc::EACCES, "making control group"),
        ("mkdir", libc::EROFS, "mounted read-only"),
        ("cgroup.threads", libc::EPERM, "it takes write access to"),
        ("cgroup.threads", libc::EOPNOTSUPP, "must hold this process"),
        ("cpu.max", libc::ENOENT, "the controller is not enabled"),
        ("cpuset.cpus", libc::EINVAL, "writing \"1,3\" to"),
    ] {
        let fake = Fake {
            fails: Some((what, errno)),
            ..Fake::v2()
        };
        let error = fake.enter("vcp", &limits(), Who::Thread).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(says), "{text}");
        assert!(text.contains(fake.root.path().to_str().unwrap()), "{text}");
        assert!(!text.contains('\n'));
    }
}

#[test]
fn paths_that_leave_the_mount() {
    let fake = Fake::v2();
    for path in ["", "/", ".", "..", "../a", "a/../b", "a/./b", "//"] {
        let error = fake.enter(path, &Limits::default(), Who::Process);
        assert!(
            matches!(error, Err(CgroupError::Path(_))),
            "{path:?}: {error:?}"
        );
    }
    let error = Hierarchies::default().enter(Path::new("a"), &limits(), Who::Process);
    assert!(matches!(error, Err(CgroupError::NotMounted { .. })));
}

#[test]
fn limits_no_kernel_takes() {
    let fake = Fake::v2();
    let quota = |time, period| Limits {
        quota: Some(Quota {
            time: Duration::from_micros(time),
            period: Duration::from_micros(period),
        }),
        cpus: None,
    };
    let empty = Limits {
        cpus: Some("".parse().unwrap()),
        quota: None,
    };
    for limits in [
        quota(999, 10_000),
        quota(1000, 999),
        quota(1000, 1_000_001),
        empty,
    ] {
        let error = fake.enter("a", &limits, Who::Process);
        assert!(matches!(error, Err(CgroupError::Limit { .. })), "{error:?}");
    }
    assert!(!fake.root.path().join("a").exists());
    fake.enter("a", &quota(1000, 1_000_000), Who::Process)
        .unwrap();
}

#[test]
fn mounts() {
    let v2 = b"29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    let found = Hierarchies::parse(v2);
    assert_eq!(found, Hierarchies::unified("/sys/fs/cgroup"));
    let hybrid = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n\
        34 31 0:31 / /mnt/with\\040space rw - cgroup none rw,cpuset\n\
        35 31 0:31 / /later rw - cgroup none rw,cpuset\n\
        40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    let found = Hierarchies::parse(hybrid);
    assert_eq!(
        found.v1("cpu"),
        Some(Path::new("/sys/fs/cgroup/cpu,cpuacct"))
    );
    assert_eq!(found.v1("cpuset"), Some(Path::new("/mnt/with space")));
    assert_eq!(found.v2(), Some(Path::new("/sys/fs/cgroup/unified")));
    for odd in [
        &b"1 2 3 4"[..],
        b"- cgroup2",
        b"a b c d e f cgroup2 g h",
        b"\xff - - - - -",
        b"",
    ] {
        assert_eq!(Hierarchies::parse(odd), Hierarchies::default());
    }
}
