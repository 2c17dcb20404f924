//! What is written while the VCP dies is there, and the file system is whole.

use std::path::Path;
use std::time::Duration;

use vcp_tests::host::NAME;
use vcp_tests::mounted::KernelLog;
use vcp_tests::process::{Outcome, Running, command, run};
use vcp_tests::requires;
use vcp_tests::scale::is_full;

use crate::Bed;

/// An instance that was killed is replaced at once, however short it ran.
const AT_ONCE: &str = "restart = { min-run = \"0ms\" }";

/// Between two crashes.
const PAUSE: Duration = Duration::from_millis(200);

/// For anything that moves a tree, however slow the machine.
const LIMIT: Duration = Duration::from_secs(280);

fn tree(bed: &Bed, words: &[&str]) -> std::process::Command {
    let mut tree = command(env!("CARGO_BIN_EXE_tree"));
    let mnt = bed.mounts.point("mnt").join("tree");
    tree.arg(words[0]).arg(mnt).args(&words[1..]);
    tree
}

/// Runs it to its end; the VCP is killed meanwhile. How often.
fn killing(bed: &Bed, work: std::process::Command, name: &str) -> (u32, Outcome) {
    let mut work = Running::start(work, bed.lab.dir(), name);
    let mut kills = 0;
    while work.ended().is_none() {
        kills += u32::from(bed.host.inject_if_there("kill"));
        std::thread::sleep(PAUSE);
    }
    (kills, work.outcome(LIMIT))
}

#[test]
fn a_tree_written_through_crashes() {
    requires!(Root, Tun, LoopAndFuse, Ext4, "tgtd", "nbdfuse", "mkfs.ext4");
    let (files, enough, rate) = if is_full() {
        ("20000", 50, "1500")
    } else {
        ("2000", 8, "1000")
    };
    let bed = Bed::ext4(if is_full() { 1 << 30 } else { 256 << 20 }, AT_ONCE);
    let log = KernelLog::from_now("tree");
    let (said, device) = bed.mount(&["-o", "noatime"]);
    assert!(said.contains("ext4 on /dev/loop"), "{said}");
    let write = tree(&bed, &["write", files, "1", rate]);
    let (kills, outcome) = killing(&bed, write, "tree");
    let written = outcome.expect_success("writing the tree");
    assert_eq!(log.errors(&device), Vec::<String>::new());
    bed.mounts.say(&["umount", NAME]);
    bed.mounts.assert_nothing_left();
    bed.check(&["fsck.ext4", "-f", "-n"]);
    // Nothing of it is in a cache of this machine's any more.
    bed.mount(&["--read-only"]);
    let check = run(tree(&bed, &["check", files, "1"]), bed.lab.dir(), LIMIT);
    assert_eq!(check.expect_success("checking the tree"), written);
    bed.mounts.say(&["umount", NAME]);
    println!("{kills} crashes, {}", written.trim());
    assert!(kills >= enough, "{kills} crashes only");
    assert_eq!(bed.host.faults(), u64::from(kills));
    bed.host.shut_down();
}

/// Somebody works on the disk: clones this project, and builds a crate of it.
#[test]
fn a_clone_and_a_build_through_crashes() {
    requires!(
        Root,
        Tun,
        LoopAndFuse,
        Ext4,
        "tgtd",
        "nbdfuse",
        "mkfs.ext4",
        "git",
        "cargo"
    );
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let workspace = workspace.expect("tests/ is in the workspace");
    let bed = Bed::ext4(1 << 30, AT_ONCE);
    let log = KernelLog::from_now("build");
    let (_, device) = bed.mount(&[]);
    let clone = bed.mounts.point("mnt").join("clone");
    let mut git = command("git");
    git.args(["-c", "safe.directory=*", "clone", "-q", "--no-local"]);
    git.arg(workspace).arg(&clone);
    let (_, outcome) = killing(&bed, git, "git");
    outcome.expect_success("git clone");
    let mut cargo = command("cargo");
    cargo.args(["build", "--offline", "-q", "-p", "vcp-nbd-proto"]);
    cargo.current_dir(&clone).env_remove("CARGO_TARGET_DIR");
    let (kills, outcome) = killing(&bed, cargo, "cargo");
    outcome.expect_success("cargo build");
    let mut fsck = command("git");
    fsck.args(["-c", "safe.directory=*", "fsck", "--full"])
        .current_dir(&clone);
    run(fsck, bed.lab.dir(), LIMIT).expect_success("git fsck");
    let built = clone.join("target/debug/libvcp_nbd_proto.rlib");
    assert!(built.is_file(), "nothing was built");
    assert_eq!(log.errors(&device), Vec::<String>::new());
    bed.mounts.say(&["umount", NAME]);
    bed.mounts.assert_nothing_left();
    bed.check(&["fsck.ext4", "-f", "-n"]);
    println!("{kills} crashes while building");
    assert!(kills > 0);
    bed.host.shut_down();
}

/// The same for a file system, in short.
fn briefly(mkfs: &[&str], fsck: &[&str], kind: &str) {
    let bed = Bed::new(512 << 20, AT_ONCE);
    bed.mounts.make(&bed.host.uri(), mkfs);
    let log = KernelLog::from_now(kind);
    let (said, device) = bed.mount(&[]);
    assert!(said.contains(&format!("{kind} on")), "{said}");
    let write = tree(&bed, &["write", "500", "2", "500"]);
    let (kills, outcome) = killing(&bed, write, "tree");
    let written = outcome.expect_success("writing the tree");
    assert_eq!(log.errors(&device), Vec::<String>::new());
    bed.mounts.say(&["umount", NAME]);
    bed.check(fsck);
    bed.mount(&[]);
    let check = run(tree(&bed, &["check", "500", "2"]), bed.lab.dir(), LIMIT);
    assert_eq!(check.expect_success("checking the tree"), written);
    bed.mounts.say(&["umount", NAME]);
    bed.mounts.assert_nothing_left();
    assert!(kills > 0);
    bed.host.shut_down();
}

#[test]
fn xfs() {
    requires!(Root, Tun, LoopAndFuse, Xfs, "tgtd", "nbdfuse", "mkfs.xfs");
    briefly(&["mkfs.xfs", "-q"], &["xfs_repair", "-n", "-f"], "xfs");
}

#[test]
fn btrfs() {
    requires!(
        Root,
        Tun,
        LoopAndFuse,
        Btrfs,
        "tgtd",
        "nbdfuse",
        "mkfs.btrfs"
    );
    briefly(
        &["mkfs.btrfs", "-q"],
        &["btrfs", "check", "--readonly"],
        "btrfs",
    );
}
