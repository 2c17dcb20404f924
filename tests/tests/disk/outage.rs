//! The target stays away for longer than requests wait: those who use the disk are
//! told, and everything can be taken away and used again.

use std::time::Duration;

use vcp_tests::requires;

use crate::bed::{Bed, DEVICE, EXT4, FileSystem, NAME, XFS};
use crate::tree::MOUNT;

/// Longer than the replacement timeout, for whatever must not hang.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_lost_target_is_an_error_and_the_device_can_be_used_again() {
    requires!(Machine);
    let mut bed = Bed::new("512M", "replacement-timeout = \"3s\"");
    bed.vm.expect_failures();
    bed.start_host();
    for system in [EXT4, XFS] {
        lose_and_find_again(&mut bed, system);
    }
    bed.stop_host();
    wait_and_give_up(&mut bed);
    bed.vm.shut_down();
}

/// A host died with its target. The next one waits for that, and keeps the device;
/// unless nobody wants it any more.
fn wait_and_give_up(bed: &mut Bed) {
    for wanted in [true, false] {
        bed.vm.run("rm -f /run/host.out");
        bed.start_service();
        bed.wait_for_device();
        bed.kill_target();
        bed.kill_host();
        bed.start_service();
        let refused = format!("vcp detach {DEVICE} 2>&1 | grep 'its VCP is ready; --force'");
        bed.vm.until(&refused, LIMIT);
        let shown = bed.vm.run(&format!("vcp inspect {NAME} --json"));
        assert!(shown.contains("\"connected\": 0"), "{shown}");
        if wanted {
            bed.start_target();
            let read = bed
                .vm
                .ask(&format!("head -c 4096 {DEVICE} > /dev/null"), LIMIT);
            read.expect_success("reading what was taken over");
            bed.vm.run(&format!("vcp detach {NAME}"));
        } else {
            let outcome = bed.vm.ask(&format!("vcp detach {DEVICE} --force"), LIMIT);
            outcome.expect_success("vcp detach --force");
        }
        bed.vm.run("[ ! -e /sys/block/nbd0/pid ]");
        bed.kill_host();
    }
}

fn lose_and_find_again(bed: &mut Bed, system: FileSystem) {
    bed.vm.run(&system.make());
    bed.vm.run(&system.mount());
    bed.vm.run(&format!("echo kept > {MOUNT}/kept && sync"));
    // Somebody with a file open, who does not go away by himself.
    let user = format!("sleep 1000 < {MOUNT}/kept > /dev/null 2>&1 & echo $! > /run/user.pid");
    bed.vm.run(&user);
    bed.kill_target();

    let write = format!("dd if=/dev/zero of={MOUNT}/lost bs=1M count=4 conv=fsync");
    let outcome = bed.vm.ask(&write, LIMIT);
    assert_ne!(outcome.code(), 0, "{}: a write went nowhere", system.name);
    assert!(outcome.stderr.contains("Input/output error"), "{outcome:?}");

    let outcome = bed.vm.ask(&format!("umount -l {MOUNT}"), LIMIT);
    outcome.expect_success("umount -l");
    let outcome = bed.vm.ask(&format!("vcp detach {NAME} --force"), LIMIT);
    outcome.expect_success("vcp detach --force");
    bed.vm.run("kill $(cat /run/user.pid)");
    // The kernel lets go of the number with the last who has it open.
    bed.vm.until("[ ! -e /sys/block/nbd0/pid ]", LIMIT);
    let stuck = bed.vm.run("ps -o stat,args | grep '^D' || true");
    assert_eq!(stuck, "", "{}: somebody hangs", system.name);

    bed.start_target();
    // Until then requests go on failing, those of the kernel's first look as well.
    let ready = format!("vcp inspect {NAME} --json | grep -q '\"state\": *\"ready\"'");
    bed.vm.until(&ready, LIMIT);
    bed.vm.run(&format!("vcp attach {NAME} {DEVICE}"));
    bed.vm
        .ask(&system.mount(), LIMIT)
        .expect_success("mounting again");
    assert_eq!(bed.vm.run(&format!("cat {MOUNT}/kept")), "kept\n");
    bed.vm.run(&format!("umount {MOUNT}"));
    let checked = bed.vm.ask(&system.check(), LIMIT);
    checked.expect_success("checking a file system");
}
