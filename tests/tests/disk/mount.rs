//! `vcp mount` and `vcp umount` by the kernel's own NBD client: attached on the way,
//! and detached on the way back, also when the target does not answer any more.

use std::time::Duration;

use vcp_tests::requires;
use vcp_tests::vcp::assert_one_line;

use crate::bed::{Bed, DEVICE, EXT4, NAME};
use crate::tree::{MOUNT, Tree};

/// Longer than the replacement timeout, for whatever must not hang.
const LIMIT: Duration = Duration::from_secs(60);

/// What PR_SET_IO_FLUSHER sets in a thread's flags: PF_MEMALLOC_NOIO and
/// PF_LOCAL_THROTTLE.
const FLUSHER: u32 = 0x0008_0000 | 0x0010_0000;

#[test]
fn a_disk_is_mounted_and_unmounted_in_one_step() {
    requires!(Machine);
    let mut bed = Bed::detached("512M", "replacement-timeout = \"3s\"");
    // In the end the target is gone.
    bed.vm.expect_failures();
    bed.start_host_alone();
    let before = bed.vm.run("cat /proc/$(cat /run/host.pid)/oom_score_adj");
    assert_eq!(before, "0\n", "nothing is attached yet");
    makes_a_file_system(&mut bed);
    mount(&mut bed);
    takes_precautions(&mut bed);
    let tree = Tree::new(100);
    let written = tree.write(&mut bed.vm).end(&mut bed.vm);
    refuses_while_it_is_used(&mut bed);
    goes_lazily(&mut bed);
    mount(&mut bed);
    goes_by_force(&mut bed);
    mount(&mut bed);
    assert_eq!(tree.check(&mut bed.vm), written);
    umount(&mut bed, MOUNT);
    bed.vm.run(&format!("vcp attach {NAME} {DEVICE}"));
    bed.vm
        .ask(&EXT4.check(), LIMIT)
        .expect_success("checking a file system");
    bed.stop_host();
    bed.vm.shut_down();
}

/// A host that is told to end while a file system on its device is in use, and after
/// which there is no other, loses nothing that was written before.
#[test]
fn what_was_written_is_flushed_before_the_end() {
    requires!(Machine);
    let mut bed = Bed::new("128M", "replacement-timeout = \"3s\"");
    bed.vm.expect_failures();
    bed.start_host();
    bed.vm
        .ask(&EXT4.make(), LIMIT)
        .expect_success("making a file system");
    bed.vm.run(&EXT4.mount());
    // The kernel keeps it to itself for half a minute.
    let mark = "0123456789abcdef-flushed-at-the-end";
    bed.vm.run(&format!(
        "yes {mark} | head -c 4000000 > {MOUNT}/file; cd {MOUNT}; sleep 1000 & cd /"
    ));
    let found = format!("grep -c {mark} /dev/shm/unit || true");
    assert_eq!(bed.vm.run(&found).trim(), "0", "it is on the disk already");
    bed.stop_host();
    let lines: u32 = bed.vm.run(&found).trim().parse().expect("a number");
    assert!(lines > 100_000, "{lines} lines are on the disk");
    drop(bed);
}

/// What has none is not mounted, and nothing is left of the attempt.
fn makes_a_file_system(bed: &mut Bed) {
    let refused = bed.vm.ask(&format!("vcp mount {NAME} {MOUNT}"), LIMIT);
    assert_one_line(&refused, 1, &[NAME, DEVICE, "no file system on it"]);
    assert_free(bed);
    bed.vm.run(&format!("vcp attach {NAME} {DEVICE}"));
    bed.vm
        .ask(&EXT4.make(), LIMIT)
        .expect_success("making a file system");
    bed.vm.run(&format!("vcp detach {NAME}"));
    assert_free(bed);
}

fn mount(bed: &mut Bed) {
    let script = format!("vcp mount {NAME} {MOUNT} -o noatime");
    let said = bed.vm.ask(&script, LIMIT).expect_success(&script);
    let expected = format!("{NAME}: ext4 on {DEVICE} mounted at {MOUNT}\n");
    assert_eq!(said, expected);
    let seen = bed.vm.run("cat /proc/mounts; vcp ps");
    let mounted = format!("{DEVICE} {MOUNT} ext4 rw,noatime");
    assert!(seen.contains(&mounted), "{seen}");
    assert!(
        seen.lines()
            .last()
            .is_some_and(|disk| disk.contains(DEVICE)),
        "{seen}"
    );
}

fn umount(bed: &mut Bed, what: &str) {
    let script = format!("vcp umount {what}");
    let said = bed.vm.ask(&script, LIMIT).expect_success(&script);
    assert_eq!(said, format!("{NAME}: unmounted\n"));
    assert_gone(bed);
    assert_free(bed);
}

/// The file system is nowhere to be seen.
fn assert_gone(bed: &mut Bed) {
    let mounts = bed.vm.run("cat /proc/mounts");
    assert!(!mounts.contains(DEVICE), "{mounts}");
}

/// The kernel has no device of ours, and the host says so, too.
fn assert_free(bed: &mut Bed) {
    let left = bed
        .vm
        .run("ls -d /sys/block/nbd*/pid /run/vcp/mount/* 2> /dev/null; vcp ps | grep nbd0 || true");
    assert_eq!(left, "");
}

/// Somebody with a file open, who does not go away by himself.
fn use_it(bed: &mut Bed) {
    bed.vm.run(&format!(
        "echo kept > {MOUNT}/kept && sync
         sleep 1000 < {MOUNT}/kept > /dev/null 2>&1 & echo $! > /run/user.pid"
    ));
}

fn stop_using_it(bed: &mut Bed) {
    bed.vm
        .run("pid=$(cat /run/user.pid); kill $pid; while [ -e /proc/$pid ]; do usleep 10000; done");
}

/// Everything stays as it is.
fn refuses_while_it_is_used(bed: &mut Bed) {
    use_it(bed);
    let refused = bed.vm.ask(&format!("vcp umount {NAME}"), LIMIT);
    assert_one_line(&refused, 1, &[NAME, MOUNT, "busy"]);
    let again = bed.vm.ask(&format!("vcp mount {NAME} /tmp"), LIMIT);
    assert_one_line(&again, 1, &[NAME, "mounted at /mnt already"]);
    let detached = bed.vm.ask(&format!("vcp detach {NAME}"), LIMIT);
    assert_one_line(&detached, 1, &[DEVICE, MOUNT, "in use"]);
    assert_eq!(bed.vm.run(&format!("cat {MOUNT}/kept")), "kept\n");
    stop_using_it(bed);
}

/// Out of sight at once; the device goes with another `vcp umount` when it is not used
/// any more.
fn goes_lazily(bed: &mut Bed) {
    use_it(bed);
    let lazy = bed.vm.ask(&format!("vcp umount {NAME} --lazy"), LIMIT);
    assert_one_line(&lazy, 1, &[NAME, DEVICE, "in use"]);
    assert_gone(bed);
    stop_using_it(bed);
    umount(bed, NAME);
}

/// The target is away, and so is the host's patience.
fn goes_by_force(bed: &mut Bed) {
    use_it(bed);
    bed.kill_target();
    bed.vm.run(&format!(
        "dd if=/dev/zero of={MOUNT}/lost bs=64k count=1 2> /dev/null"
    ));
    let forced = bed.vm.ask(&format!("vcp umount {NAME} --force"), LIMIT);
    println!("--force took {:.1} s", forced.elapsed.as_secs_f32());
    forced.expect_success("vcp umount --force");
    assert_gone(bed);
    stop_using_it(bed);
    bed.vm.until("[ ! -e /sys/block/nbd0/pid ]", LIMIT);
    assert_free(bed);
    let stuck = bed.vm.run("ps -o stat,args | grep '^D' || true");
    assert_eq!(stuck, "", "somebody hangs");
    bed.start_target();
    let ready = format!("vcp inspect {NAME} --json | grep -q '\"state\": *\"ready\"'");
    bed.vm.until(&ready, LIMIT);
}

/// What is against waiting for itself when memory is short.
fn takes_precautions(bed: &mut Bed) {
    let script = "pid=$(cat /run/host.pid)
         cat /proc/$pid/oom_score_adj
         grep VmLck: /proc/$pid/status | grep -o '[0-9]*'
         for task in /proc/$pid/task/*; do
             name=$(cat $task/comm)
             [ ${task##*/} = $pid ] && name=main
             echo $(sed 's/.*) //' $task/stat | cut -d ' ' -f 7) $name
         done";
    let told = bed.vm.run(script);
    let mut lines = told.lines();
    assert_eq!(lines.next(), Some("-1000"), "{told}");
    let locked: u64 = lines.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    assert!(locked > 0, "{told}");
    println!("locked: {locked} KiB");
    let (mut flushers, mut others) = (Vec::new(), Vec::new());
    for line in lines {
        let (flags, name) = line.split_once(' ').expect("flags and a name");
        let flags: u32 = flags.parse().expect("a number");
        match flags & FLUSHER == FLUSHER {
            true => flushers.push(name),
            false => others.push(name),
        }
    }
    // The control plane, what blocks for it, and the data plane.
    for name in ["main", "tokio-rt-worker", "vcp-disk"] {
        assert!(flushers.contains(&name), "{name}: {told}");
    }
    // The compiler's, without a name of their own, and those that write the log, for
    // which nobody waits: they serve nobody's requests.
    let serves_nobody = |name: &&str| ["vcp", "log"].contains(name);
    assert!(others.iter().all(serves_nobody), "{told}");
}
