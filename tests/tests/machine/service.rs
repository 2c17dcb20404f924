//! The service while the machine runs: at the first boot, reloaded, restarted, killed and
//! upgraded under load, and gone.

use std::time::Duration;

use vcp_tests::vm::debian::DELIVERY;
use vcp_tests::vm::session::Job;

use crate::bed::{Bed, DEVICE, EXAMPLES, MOUNT, SOON};

/// The first start after a boot has every right to the device.
pub(crate) fn first_boot(bed: &mut Bed) {
    bed.reboot("installed");
    bed.wait_for_device();
    bed.run("vcp detach disk0");
    let left = bed.run(&format!(
        "lsblk -no SIZE {DEVICE} || true; ls /sys/block/nbd0"
    ));
    assert!(!left.lines().any(|line| line == "pid"), "{left}");
    bed.run(&format!(
        "vcp attach disk0 {DEVICE} && mkfs.ext4 -q {DEVICE}"
    ));
    bed.mount();
    bed.write_file("first", 4);
    bed.check_file("first");
}

/// A reload says what it did, once, and leaves the disk alone.
pub(crate) fn reload(bed: &mut Bed) {
    let load = start_load(bed);
    bed.run(
        "printf '[vcp.ram]\\nmodule = \"ramdisk\"\\nconfig = { size = \"1MiB\" }\\n\
             [export.ram]\\nnbd = \"unix:/run/vcp/ram.sock\"\\n' > /etc/vcp/conf.d/ram.toml
             systemctl reload vcp",
    );
    bed.machine.until("vcp ps | grep -q ram", SOON);
    bed.run("rm /etc/vcp/conf.d/ram.toml && systemctl reload vcp && ! vcp ps | grep ram");
    // A configuration with an error changes nothing.
    let wrong = bed.ask(
        "echo nonsense > /etc/vcp/conf.d/wrong.toml; systemctl reload vcp; \
         code=$?; rm /etc/vcp/conf.d/wrong.toml; exit $code",
    );
    assert_ne!(wrong.code(), 0, "{wrong:?}");
    end_load(bed, load);
}

/// The kernel's client notices nothing of a planned restart, and nothing but a pause when
/// the host is killed.
pub(crate) fn restarts_under_load(bed: &mut Bed) {
    let load = start_load(bed);
    bed.run("systemctl restart vcp");
    bed.wait_for_device();
    let before = main_pid(bed);
    bed.run(&format!("kill -9 {before}"));
    bed.machine.until(
        &format!("pid=$(systemctl show -P MainPID vcp); [ $pid != 0 ] && [ $pid != {before} ]"),
        SOON,
    );
    end_load(bed, load);
    bed.check_file("first");
}

/// A socket unit is enabled while the service runs, and a restart puts it in the place of
/// the host's own.
pub(crate) fn socket_unit_under_load(bed: &mut Bed) {
    let load = start_load(bed);
    bed.run(&format!(
        "cp {EXAMPLES}/vcp-disk0.socket /etc/systemd/system/ && systemctl daemon-reload &&
         systemctl enable vcp-disk0.socket && systemctl restart vcp"
    ));
    let state = bed.run("systemctl is-active vcp-disk0.socket vcp.service");
    assert_eq!(state, "active\nactive\n");
    bed.machine
        .until("vcp ps --json | grep -q '\"state\": *\"ready\"'", SOON);
    end_load(bed, load);
    bed.run(
        "systemctl disable --now vcp-disk0.socket && rm /etc/systemd/system/vcp-disk0.socket &&
         systemctl daemon-reload && systemctl restart vcp",
    );
    bed.wait_for_device();
}

/// An upgrade restarts the service, with the unit of the new package.
pub(crate) fn upgrade_under_load(bed: &mut Bed) {
    let load = start_load(bed);
    bed.run(&format!("dpkg -i {DELIVERY}/changed.deb"));
    let pid = main_pid(bed);
    let environment = bed.run(&format!("tr '\\0' '\\n' < /proc/{pid}/environ"));
    assert!(environment.contains("VCP_TEST_CHANGED=1"), "{environment}");
    end_load(bed, load);
    bed.check_file("first");
}

/// Nothing of the package is left.
pub(crate) fn purge(bed: &mut Bed) {
    bed.run(&format!(
        "umount {MOUNT} && vcp detach disk0 && dpkg --purge vcp"
    ));
    let left = bed.run(
        "systemctl list-units --all --no-legend 'vcp*'
         pgrep -a vcp | grep -v vm-agent
         find / -xdev -name '*vcp*' ! -path '/proc/*' ! -path '/delivery/*' \
             ! -path '/var/lib/dpkg/*' ! -path '/var/log/*' ! -path '/var/cache/apt/*'
         find /run -name '*vcp*'
         ls /sys/block/nbd0/pid 2> /dev/null
         true",
    );
    let own = ["/etc/systemd/system/vcp.service.d"];
    let left: Vec<_> = left.lines().filter(|line| !own.contains(line)).collect();
    assert_eq!(left, [""; 0]);
    bed.reboot("purged");
    let failed = bed.run("systemctl --failed --no-legend");
    assert_eq!(failed, "", "a unit has failed after the purge");
}

/// A verifying load on the mounted file system.
fn start_load(bed: &mut Bed) -> Job {
    let job = bed.machine.start_job(&format!(
        "fio --name=load --directory={MOUNT} --size=16M --rw=randrw --bs=4k --fsync=16 \
         --verify=crc32c --verify_fatal=1 --do_verify=1 --ioengine=psync --end_fsync=1 \
         --time_based --runtime=15"
    ));
    bed.machine.until(&format!("[ -s {MOUNT}/load.0.0 ]"), SOON);
    job
}

fn end_load(bed: &mut Bed, load: Job) {
    let outcome = bed.machine.end(load, Duration::from_secs(240));
    outcome.expect_success("fio");
}

fn main_pid(bed: &mut Bed) -> String {
    bed.run("systemctl show -P MainPID vcp").trim().to_owned()
}
