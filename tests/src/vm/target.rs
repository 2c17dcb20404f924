//! A machine that is nothing but a target: Linux's own, in the kernel. Its units are
//! files in memory; all of it is set up through configfs, as [`crate::lio`] does.

use std::path::Path;

use super::files::{basis, modules};
use super::initramfs::Initramfs;
use super::kernel::Kernel;
use crate::lab::{WIRE_TARGET_V4, WIRE_TARGET_V6};

/// The target, its units in files, and the network.
const MODULES: &[&str] = &[
    "configfs",
    "target_core_mod",
    "target_core_file",
    "iscsi_target_mod",
    "virtio_pci",
    "virtio_net",
];

/// The first process, as in other machines, with the wire's address for its own.
fn init() -> String {
    format!(
        r#"#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs -o size=256m shm /dev/shm
mount -t tmpfs -o mode=755 run /run
for module in {}; do modprobe $module; done
mount -t configfs config /sys/kernel/config
echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
ip link set lo up
ip addr add {WIRE_TARGET_V4}/24 dev eth0
ip link set eth0 up
ip addr add {WIRE_TARGET_V6}/64 dev eth0
vm-agent
reboot -f
"#,
        MODULES.join(" ")
    )
}

/// The archive to boot `kernel` with. In `scratch` it may put things meanwhile.
pub(super) fn initramfs(kernel: &Kernel, agent: &Path, scratch: &Path) -> Vec<u8> {
    let mut archive: Initramfs = basis(&init(), agent, scratch);
    modules(&mut archive, kernel, MODULES);
    archive.finish()
}
