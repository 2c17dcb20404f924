//! The kernel in the machine as one more client over TCP: the host is outside,
//! and knows nothing of devices. `nbd-client` makes the connection.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use vcp_target::Target;
use vcp_target::config::{TargetConfig, TargetNode};
use vcp_target::disk::SparseMemory;
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};
use vcp_target::serve::{TcpServer, serve_tcp};
use vcp_tests::requires;
use vcp_tests::scale::is_full;
use vcp_tests::user::User;
use vcp_tests::vm::Vm;

use crate::AGENT;
use crate::tree::Tree;

const IQN: &str = "iqn.2026-11.test:outside";

/// A target outside, in memory, as everything there.
fn target(bytes: u64) -> TcpServer {
    let disk = Box::new(SparseMemory::new(bytes));
    let unit = LogicalUnit::new(disk, UnitOptions::default()).expect("whole blocks");
    let mut units = Node::default();
    units.insert(1, Arc::new(unit));
    let mut config = TargetConfig::default();
    config.nodes.push(TargetNode::new(IQN, units));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    serve_tcp(listener, Target::new(config)).expect("a thread")
}

/// A port that was free a moment ago.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

#[test]
fn a_kernel_elsewhere_mounts_an_export_over_tcp() {
    requires!(Machine);
    let target = target(512 << 20);
    let user = User::new();
    let port = port();
    let host = user.host(&[
        "iscsi",
        &format!("target=iscsi://{}/{IQN}/1", target.address()),
        "--link",
        "host",
        "--nbd",
        &format!("tcp:127.0.0.1:{port}"),
        "--name",
        "disk",
    ]);
    let mut vm = Vm::boot(AGENT);
    vm.run("modprobe nbd");
    vm.run(&format!(
        "nbd-client -N disk -persist 10.0.2.2 {port} /dev/nbd0"
    ));
    vm.run("mkfs.ext4 -q /dev/nbd0 && mount -t ext4 /dev/nbd0 /mnt");
    let (files, deaths) = if is_full() { (5_000, 20) } else { (600, 4) };
    let tree = Tree::new(files);
    let writing = tree.write(&mut vm);
    for death in 1..=deaths {
        writing.until(&mut vm, death, deaths + 1);
        user.say(&["inject", "disk", "trap"]);
    }
    let written = writing.end(&mut vm);
    vm.ask("umount /mnt", Duration::from_secs(120))
        .expect_success("umount");
    vm.run("e2fsck -f -n /dev/nbd0 && mount -t ext4 /dev/nbd0 /mnt");
    assert_eq!(tree.check(&mut vm), written);
    vm.run("umount /mnt && nbd-client -d /dev/nbd0");
    let seen = user.json(&["inspect", "disk"]);
    assert_eq!(seen["faults"], u64::from(deaths), "{seen:#}");
    vm.shut_down();
    host.shut_down();
}
