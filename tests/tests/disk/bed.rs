//! A machine with everything in it: a target, a host whose VCP reaches it over a
//! TAP, and the disk that the kernel has of it.

use std::time::Duration;

use vcp_tests::vm::Vm;

use crate::AGENT;

/// The disk, as VCP and as export.
pub(crate) const NAME: &str = "disk";
/// Its device.
pub(crate) const DEVICE: &str = "/dev/nbd0";

const IQN: &str = "iqn.2026-11.test:inside";
pub(crate) const CONFIGURATION: &str = "/etc/vcp.toml";
/// How long it may take until the disk is there, or there again.
pub(crate) const READY: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Bed {
    pub(crate) vm: Vm,
}

impl Bed {
    /// A machine with a target, and a configuration with `lines` in the VCP's table.
    /// The host attaches the disk itself.
    pub(crate) fn new(size: &str, lines: &str) -> Self {
        Self::configured(
            size,
            lines,
            &format!("attach = {{ device = \"{DEVICE}\" }}"),
        )
    }

    /// The same, and it is left to others to attach it.
    pub(crate) fn detached(size: &str, lines: &str) -> Self {
        Self::configured(size, lines, "")
    }

    fn configured(size: &str, lines: &str, export: &str) -> Self {
        let mut vm = Vm::boot(AGENT);
        vm.run(&format!(
            "modprobe tun && modprobe xfs && truncate -s {size} /dev/shm/unit"
        ));
        vm.write(
            CONFIGURATION,
            &format!(
                "[vcp.{NAME}]\nmodule = \"iscsi\"\n{lines}\n\
                 config = {{ target = \"iscsi://10.77.0.1/{IQN}/1\" }}\n\
                 [vcp.{NAME}.net]\nlink = \"tap:vcp0\"\naddress = \"10.77.0.2/24\"\n\
                 host-address = \"10.77.0.1/24\"\n\
                 [export.{NAME}]\nnbd = \"unix:/run/{NAME}.sock\"\n\
                 {export}"
            ),
        );
        let mut bed = Self { vm };
        bed.start_target();
        bed
    }

    /// A new daemon with the unit as the last one has left it.
    pub(crate) fn start_target(&mut self) {
        self.vm
            .run("tgtd -f > /dev/console 2>&1 & echo $! > /run/tgtd.pid");
        let admin = "tgtadm --lld iscsi";
        self.vm
            .until(&format!("{admin} --op show --mode system"), READY);
        self.vm.run(&format!(
            "{admin} --op new --mode target --tid 1 --targetname {IQN} &&
             {admin} --op new --mode logicalunit --tid 1 --lun 1 --backing-store /dev/shm/unit &&
             {admin} --op update --mode logicalunit --tid 1 --lun 1 --params thin_provisioning=1 &&
             {admin} --op bind --mode target --tid 1 --initiator-address ALL"
        ));
    }

    /// Ends it on the spot.
    pub(crate) fn kill_target(&mut self) {
        self.vm.run("kill -9 $(cat /run/tgtd.pid)");
    }

    /// Starts the host and waits for the device. What it logs is on the console.
    pub(crate) fn start_host(&mut self) {
        self.start_host_alone();
        self.wait_for_device();
    }

    /// Starts the host and waits until it serves.
    pub(crate) fn start_host_alone(&mut self) {
        self.start("run");
        self.vm.until("grep -q nbd /run/host.out", READY);
    }

    /// Starts the host as a service, which waits for nothing but its socket.
    pub(crate) fn start_service(&mut self) {
        self.start("host --config");
        self.vm.until(&format!("vcp inspect {NAME}"), READY);
    }

    fn start(&mut self, verb: &str) {
        self.vm.run(&format!(
            "VCP_LOG=info vcp {verb} {CONFIGURATION} > /run/host.out 2> /dev/console &
             echo $! > /run/host.pid"
        ));
    }

    /// Waits until the kernel has a disk that can be used.
    pub(crate) fn wait_for_device(&mut self) {
        self.vm.until(
            &format!("[ \"$(blockdev --getsize64 {DEVICE})\" -gt 0 ]"),
            READY,
        );
    }

    /// Ends it on the spot, and waits until it is gone.
    pub(crate) fn kill_host(&mut self) {
        self.vm.run(
            "pid=$(cat /run/host.pid); kill -9 $pid; while [ -e /proc/$pid ]; do usleep 10000; done",
        );
    }

    /// Asks the host to end; it must do so cleanly.
    pub(crate) fn stop_host(&mut self) {
        self.vm.run("kill $(cat /run/host.pid)");
        self.vm.until("[ ! -e /proc/$(cat /run/host.pid) ]", READY);
    }

    /// A fault of the VCP, as soon as there is one to fail.
    pub(crate) fn inject(&mut self, fault: &str) {
        self.vm.until(&format!("vcp inject {NAME} {fault}"), READY);
    }
}

/// A file system: how to make and to check one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileSystem {
    pub(crate) name: &'static str,
    make: &'static str,
    check: &'static str,
}

pub(crate) const EXT4: FileSystem = FileSystem {
    name: "ext4",
    make: "mkfs.ext4 -q -F",
    check: "e2fsck -f -n",
};

pub(crate) const XFS: FileSystem = FileSystem {
    name: "xfs",
    make: "mkfs.xfs -q -f",
    check: "xfs_repair -n",
};

impl FileSystem {
    /// The script that makes one on the disk.
    pub(crate) fn make(self) -> String {
        format!("{} {DEVICE}", self.make)
    }

    /// The script that mounts it.
    pub(crate) fn mount(self) -> String {
        format!("mount -t {} {DEVICE} {}", self.name, crate::tree::MOUNT)
    }

    /// The script that succeeds if it is clean, and changes nothing.
    pub(crate) fn check(self) -> String {
        format!("{} {DEVICE}", self.check)
    }
}
