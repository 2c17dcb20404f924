//! Reports about machines; the recorded ones are in `tests/doctor.rs`.

use std::path::PathBuf;

use super::capabilities::memberships;
use super::{Capabilities, CgroupAccess, report};
use crate::topology::Topology;

#[test]
fn groups_of_a_process() {
    let text = "9:name=systemd:/init\n3:cpuset:/a:b\n2:cpu,cpuacct:/c\n1:cpu\n\n0::/user.slice/x\n";
    let expected = [("cpuset", "a:b"), ("cpu", "c"), ("v2", "user.slice/x")];
    let expected = expected.map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
    assert_eq!(memberships(text), expected);
    assert_eq!(
        memberships("0::/../../x"),
        [("v2".to_owned(), PathBuf::new())]
    );
}

#[test]
fn this_machine() {
    let topology = Topology::of_this_machine().unwrap();
    let capabilities = Capabilities::probe(&topology);
    let text = report(&topology, &capabilities);
    assert!(
        text.contains("Privileges") && text.contains("Recommended"),
        "{text}"
    );
    let fifo = format!(
        "SCHED_FIFO      {}",
        if capabilities.real_time.is_ok() {
            "yes"
        } else {
            "no:"
        }
    );
    assert!(text.contains(&fifo), "{text}");
}

#[test]
fn what_is_missing_is_named() {
    let capabilities = Capabilities {
        real_time: Err("it takes CAP_SYS_NICE".to_owned()),
        tun: Ok(()),
        net_admin: false,
        net_raw: false,
        cgroups: vec![CgroupAccess {
            hierarchy: "v2".to_owned(),
            group: PathBuf::from("/sys/fs/cgroup/a\nb"),
            writable: Ok(()),
        }],
        slow_governors: vec![("powersave".to_owned(), "0-3".parse().unwrap())],
    };
    let lines = capabilities.lines();
    assert!(lines.iter().all(|line| !line.contains('\n')));
    for (line, part) in lines.iter().zip([
        "CAP_SYS_NICE",
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "a\\nb",
        "0-3",
    ]) {
        assert!(line.contains(part), "{line}");
    }
    assert_eq!(lines.len(), 5);
}
