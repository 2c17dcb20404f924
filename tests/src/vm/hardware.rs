//! What a machine is made of, as `qemu` is told. No devices but what is named here,
//! and a machine that would start again ends.

use std::path::Path;
use std::process::Command;

use super::kernel::Kernel;
use super::warm::CPU;
use crate::lab::{Lab, Side, WIRE_CLIENT};
use crate::process::command;

const QEMU: &str = "qemu-system-x86_64";

/// Where a machine is, which is what its network leads to.
#[derive(Debug)]
pub(super) enum Place<'a> {
    /// By itself: 10.0.2.2 is this machine's loopback.
    Apart,
    /// At the other end of the wire of a lab's client, in place of the target's
    /// namespace.
    Wire(&'a Lab),
}

impl Place<'_> {
    fn qemu(&self) -> Command {
        match self {
            Self::Apart => command(QEMU),
            Self::Wire(lab) => lab.command(Side::Client, QEMU),
        }
    }

    /// The back end of its only interface.
    fn network(&self) -> String {
        match self {
            Self::Apart => "user,id=net,ipv6=off".to_owned(),
            Self::Wire(_) => {
                format!("tap,id=net,ifname={WIRE_CLIENT},script=no,downscript=no")
            }
        }
    }

    /// MiB.
    fn memory(&self) -> &'static str {
        match self {
            Self::Apart => "2048",
            Self::Wire(_) => "512",
        }
    }
}

/// What every machine is.
fn basis(mut qemu: Command, memory: &str, port: &Path, console: &Path) -> Command {
    qemu.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]);
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", CPU]);
    qemu.args(["-smp", "2", "-m", memory]);
    qemu.arg("-serial")
        .arg(format!("file:{}", console.display()));
    qemu.arg("-chardev")
        .arg(format!("socket,id=agent,path={}", port.display()));
    qemu.args(["-serial", "chardev:agent"]);
    qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    qemu
}

/// A machine that has disks, in the target's namespace of a lab: 10.0.2.2 is the loopback
/// of that.
pub(super) fn with_disks(
    lab: &Lab,
    (kernel, initramfs): (&Path, &Path),
    disks: [(&Path, &str); 2],
    (port, console): (&Path, &Path),
) -> Command {
    let mut qemu = basis(lab.command(Side::Target, QEMU), "1024", port, console);
    qemu.args(["-netdev", "user,id=net,ipv6=off"]);
    for (number, (disk, format)) in disks.into_iter().enumerate() {
        let drive = format!(
            "if=none,id=disk{number},format={format},cache=unsafe,file={}",
            disk.display()
        );
        let device = format!("virtio-blk-pci,drive=disk{number}");
        qemu.args(["-drive", &drive, "-device", &device]);
    }
    qemu.arg("-kernel").arg(kernel);
    qemu.arg("-initrd").arg(initramfs);
    qemu.args([
        "-append",
        "root=/dev/vda rw net.ifnames=0 console=ttyS0 panic=-1 nosoftlockup mitigations=off \
         random.trust_cpu=on",
    ]);
    qemu
}

pub(super) fn qemu(
    place: &Place<'_>,
    kernel: &Kernel,
    initramfs: &Path,
    port: &Path,
    console: &Path,
) -> Command {
    let mut qemu = basis(place.qemu(), place.memory(), port, console);
    qemu.args(["-netdev", &place.network()]);
    qemu.arg("-kernel").arg(&kernel.image);
    qemu.arg("-initrd").arg(initramfs);
    qemu.args([
        "-append",
        // A busy machine keeps an emulated CPU waiting, which is no lock-up.
        "console=ttyS0 loglevel=5 panic=-1 nosoftlockup mitigations=off random.trust_cpu=on",
    ]);
    qemu
}
