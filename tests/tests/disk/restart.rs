//! A host is replaced by another as planned, below a file system that is written to:
//! the service manager hands its connections over, and the kernel notices nothing.

use std::time::Instant;

use vcp_tests::requires;
use vcp_tests::scale::is_full;

use crate::bed::{Bed, CONFIGURATION, EXT4, READY};
use crate::survival::UNMOUNT;
use crate::tree::{MOUNT, Tree};

/// Where the manager is told what to do, and tells what it did.
const DIRECTORY: &str = "/run/manager";
const EVENTS: &str = "/run/manager/events";

#[test]
fn the_kernel_does_not_notice_a_planned_restart() {
    requires!(Machine);
    let (size, files, restarts, deaths) = if is_full() {
        ("768M", 20_000, 60, 50)
    } else {
        ("128M", 400, 3, 2)
    };
    let mut bed = Bed::new(size, "");
    start(&mut bed);
    bed.vm
        .ask(&EXT4.make(), UNMOUNT)
        .expect_success("making a file system");
    bed.vm.run(&EXT4.mount());
    let tree = Tree::new(files);
    let written = write_across(&mut bed, tree, restarts, deaths);
    let handed_over = bed.vm.run(&format!(
        "grep -c '^started .*\\(vcp-connection=[0-9a-f]*-0,*\\)\\{{2\\}}' {EVENTS}"
    ));
    assert_eq!(handed_over.trim(), restarts.to_string());
    assert_eq!(lost_connections(&mut bed), "", "the kernel has noticed");

    // It would have: a host that dies has nobody to hand anything over.
    again(&mut bed, "kill");
    bed.wait_for_device();
    let lost = lost_connections(&mut bed);
    assert_ne!(lost, "", "nothing is said of a connection that is lost");

    bed.vm
        .ask(&format!("umount {MOUNT}"), UNMOUNT)
        .expect_success("unmounting");
    bed.vm
        .ask(&EXT4.check(), UNMOUNT)
        .expect_success("checking a file system");
    bed.vm.run(&EXT4.mount());
    assert_eq!(tree.check(&mut bed.vm), written);
    bed.vm.run(&format!("umount {MOUNT}"));
    stop(&mut bed);
    bed.vm.shut_down();
}

/// Writes a tree while the host is restarted; what the writer says of it.
fn write_across(bed: &mut Bed, tree: Tree, restarts: u32, deaths: u32) -> String {
    let writing = tree.write(&mut bed.vm);
    let mut died = 0;
    for number in 1..=restarts {
        writing.until(&mut bed.vm, number, restarts + 1);
        // Just before some, so that one host leaves what the next has to recover from.
        if number * deaths / restarts > died {
            bed.inject(if number % 2 == 0 { "kill" } else { "trap" });
            died += 1;
        }
        again(bed, "restart");
    }
    assert_eq!(died, deaths);
    let written = writing.end(&mut bed.vm);
    println!("{restarts} restarts, {deaths} deaths of the VCP: {written}");
    written
}

/// Has the manager end the host, which detaches what nobody uses.
fn stop(bed: &mut Bed) {
    bed.vm.run(&format!("echo stop > {DIRECTORY}/commands"));
    // Each that was replaced has ended as well: the last line is of this one.
    bed.vm
        .until(&format!("tail -n 1 {EVENTS} | grep -q '^ended 0'"), READY);
    bed.vm.run("[ ! -e /sys/block/nbd0/pid ]");
}

/// Starts a manager with a host, and waits for the device.
fn start(bed: &mut Bed) {
    bed.vm.run(&format!(
        "mkdir {DIRECTORY}
         VCP_LOG=info service-manager {DIRECTORY} -- vcp host --config {CONFIGURATION} \
         > {EVENTS} 2> /dev/console &"
    ));
    bed.vm
        .until(&format!("grep -q 'told READY=1' {EVENTS}"), READY);
    bed.wait_for_device();
}

/// Has the manager end the host and start the next, and waits until that serves.
fn again(bed: &mut Bed, how: &str) {
    let begun = Instant::now();
    let script = format!(
        "before=$(grep -c 'told READY=1' {EVENTS})
         echo {how} > {DIRECTORY}/commands
         while [ $(grep -c 'told READY=1' {EVENTS}) -le $before ]; do usleep 20000; done"
    );
    bed.vm.ask(&script, READY).expect_success(how);
    println!(
        "{how}: served again after {} ms",
        begun.elapsed().as_millis()
    );
}

/// What the kernel's driver says of the device: nothing as long as connections last,
/// but that something takes its time.
fn lost_connections(bed: &mut Bed) -> String {
    let script = "dmesg | grep 'block nbd0:' | grep -v 'Possible stuck request' || true";
    bed.vm.run(script)
}
