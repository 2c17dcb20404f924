//! The machine goes down, or the service does, while the disk is in use. Whatever was
//! written is there after the next boot, and nothing waits for long.

use crate::bed::{Bed, DEVICE, DROP_INS, EXAMPLES, MOUNT, SOON};

/// A process stays on the mount until the machine kills it, long after the service was
/// told to end: the host goes on until the last unmount.
pub(crate) fn busy_mount(bed: &mut Bed) {
    bed.allow_devices();
    bed.run("systemctl start vcp");
    bed.wait_for_device();
    bed.run(&format!("mkfs.ext4 -q {DEVICE}"));
    bed.mount();
    bed.write_file("first", 4);
    bed.write_file("busy", 10);
    bed.keep_busy();
    bed.reboot("a busy mount");
    let journal = bed.journal(-1);
    assert!(journal.contains("served until they are not"), "{journal}");
    bed.mount();
    bed.assert_clean();
    bed.check_file("busy");
    bed.check_file("first");
}

/// An operator who stops the service under a mount is told, and has lost nothing of what was written
/// before, neither if the service is started again nor if the machine is rebooted.
pub(crate) fn stopped_under_a_mount(bed: &mut Bed) {
    bed.write_file("again", 4);
    bed.run("systemctl stop vcp");
    let words = [
        DEVICE,
        MOUNT,
        "stands still",
        "systemctl start vcp.service",
        "300 s",
    ];
    let journal = bed.journal(0);
    let line = journal.lines().find(|line| line.contains("stands still"));
    let line = line.unwrap_or_else(|| panic!("nothing is said of it:\n{journal}"));
    assert!(words.iter().all(|word| line.contains(word)), "{line}");
    // Root is logged in there.
    let console = bed.machine.console();
    let told = console.lines().any(|line| line.contains("stands still"));
    assert!(told, "root's terminal says nothing of it");
    bed.run("systemctl start vcp");
    bed.wait_for_device();
    bed.check_file("again");

    bed.write_file("stopped", 20);
    bed.run("systemctl stop vcp");
    bed.reboot("stopped under a mount");
    bed.mount();
    bed.check_file("stopped");
    bed.check_file("first");
}

/// With the drop-in that refuses, it is not stopped by mistake.
pub(crate) fn refused(bed: &mut Bed) {
    bed.run(&format!(
        "cp {EXAMPLES}/refuse-stop.conf {DROP_INS}/ && systemctl daemon-reload"
    ));
    let refused = bed.ask("systemctl stop vcp");
    assert_ne!(refused.code(), 0, "{refused:?}");
    assert!(refused.stderr.contains("refused"), "{refused:?}");
    bed.check_file("first");
    bed.run(&format!(
        "rm {DROP_INS}/refuse-stop.conf && systemctl daemon-reload && umount {MOUNT}"
    ));
}

/// The boot does not wait for a target that is not there, and the file system of the
/// book's line comes with it.
pub(crate) fn target_away(bed: &mut Bed) {
    bed.run(&format!(
        "printf '{DEVICE} {MOUNT} ext4 \
         nofail,_netdev,x-systemd.device-timeout=10s,x-systemd.after=vcp.service 0 0\\n' \
         >> /etc/fstab"
    ));
    // A file system that is dirty and busy is not what keeps the machine.
    bed.mount();
    bed.write_file("lost", 4);
    bed.keep_busy();
    bed.kill_target();
    bed.reboot("the target is away, and the mount is busy");
    let journal = bed.journal(-1);
    assert!(
        !journal.contains("vcp-left.service: Stopping timed out"),
        "{journal}"
    );
    let state = bed.ask("timeout 85 systemctl is-system-running --wait");
    println!("without its target the machine is {}", state.stdout.trim());
    let mounts = bed.run("cat /proc/mounts");
    assert!(!mounts.contains(MOUNT), "{mounts}");
    bed.start_target();
    bed.wait_for_device();
    let mounted = format!("systemctl start mnt-disk.mount && mountpoint -q {MOUNT}");
    bed.machine.until(&mounted, SOON);
    bed.check_file("first");
    bed.run(&format!(
        "umount {MOUNT} && sed -i '/nbd0/d' /etc/fstab && systemctl daemon-reload"
    ));
}
