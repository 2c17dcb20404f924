//! What a test needs of the machine, and how it is skipped without.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::calls::can_count;
use crate::vm::debian::Image;
use crate::vm::files;
use crate::vm::kernel::Kernel;

/// Something that not every machine has.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// Namespaces, links and privileged processes.
    Root,
    /// `/dev/net/tun`.
    Tun,
    /// Counting system calls of another process.
    Calls,
    /// What a virtual machine is made of: qemu, a kernel, and what goes in.
    Machine,
    /// A machine with systemd, on which the package can be installed.
    Debian,
    /// A virtual machine whose kernel has an iSCSI target.
    KernelTarget,
    /// A file system that the kernel can mount, by name.
    FileSystem(&'static str),
    /// Loop devices, and file systems by processes.
    LoopAndFuse,
    /// A program, by name.
    Program(&'static str),
}

impl Need {
    /// Why it is not there; `None` when it is.
    fn lacking(self) -> Option<String> {
        match self {
            Self::Root if !is_root() => Some("not root".into()),
            Self::Tun if !Path::new("/dev/net/tun").exists() => Some("no /dev/net/tun".into()),
            Self::Calls if !can_count() => {
                Some("no perf, or no tracepoints for it to count system calls with".into())
            }
            Self::Machine => lacking_for_a_machine(),
            Self::Debian => lacking_for_a_machine().or_else(|| {
                let there = Image::find().is_some();
                (!there).then(|| "no machine with systemd; `cargo xtask machine` makes one".into())
            }),
            Self::KernelTarget => lacking_for_a_machine().or_else(|| {
                let module = "iscsi_target_mod";
                let there = Kernel::find().is_some_and(|kernel| kernel.has(module));
                (!there).then(|| format!("no {module} for a virtual machine"))
            }),
            Self::FileSystem(name) if !mountable(name) => Some(format!("no {name} in the kernel")),
            Self::LoopAndFuse if !can_loop() => Some("no /dev/loop-control or no /dev/fuse".into()),
            Self::Program(name) if which(name).is_none() => Some(format!("no {name}")),
            _ => None,
        }
    }
}

fn lacking_for_a_machine() -> Option<String> {
    let programs = ["qemu-system-x86_64", "busybox"];
    let mut programs = programs.iter().chain(files::PROGRAMS);
    if let Some(name) = programs.find(|name| which(name).is_none()) {
        return Some(format!("no {name}"));
    }
    let lacking = Kernel::find().is_none();
    lacking.then(|| "no kernel for a virtual machine; `cargo xtask setup` fetches one".into())
}

/// Whether this process is root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the kernel has the file system, also in a module.
fn mountable(name: &str) -> bool {
    // Where it is built in, or there are no modules, this says so, and that is all.
    let _ = Command::new("modprobe").args(["-q", name]).output();
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    // Those that need no device have a word about that before their names.
    known
        .lines()
        .any(|line| line.split_whitespace().last() == Some(name))
}

fn can_loop() -> bool {
    for module in ["loop", "fuse"] {
        let _ = Command::new("modprobe").args(["-q", module]).output();
    }
    ["/dev/loop-control", "/dev/fuse"]
        .iter()
        .all(|path| Path::new(path).exists())
}

/// Where a program is, looking also where administrators' programs are.
#[must_use]
pub fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Says what is lacking, in a line that whoever runs the tests counts; `false`
/// if nothing is.
#[must_use]
pub fn skipped(file: &str, needs: &[Need]) -> bool {
    let lacking: Vec<String> = needs.iter().filter_map(|need| need.lacking()).collect();
    if lacking.is_empty() {
        return false;
    }
    let thread = std::thread::current();
    println!(
        "skipped: {file}: {}: {}",
        thread.name().unwrap_or("?"),
        lacking.join(", ")
    );
    true
}

/// `requires!(Root, Tun, "fio")`: returns from the test when one is lacking.
#[macro_export]
macro_rules! requires {
    ($($need:tt),+ $(,)?) => {
        if $crate::need::skipped(file!(), &[$($crate::requires!(@ $need)),+]) {
            return;
        }
    };
    (@ Root) => { $crate::need::Need::Root };
    (@ Tun) => { $crate::need::Need::Tun };
    (@ Machine) => { $crate::need::Need::Machine };
    (@ Debian) => { $crate::need::Need::Debian };
    (@ KernelTarget) => { $crate::need::Need::KernelTarget };
    (@ LoopAndFuse) => { $crate::need::Need::LoopAndFuse };
    (@ Ext4) => { $crate::need::Need::FileSystem("ext4") };
    (@ Xfs) => { $crate::need::Need::FileSystem("xfs") };
    (@ Btrfs) => { $crate::need::Need::FileSystem("btrfs") };
    (@ Overlay) => { $crate::need::Need::FileSystem("overlay") };
    (@ Calls) => { $crate::need::Need::Calls };
    (@ $program:literal) => { $crate::need::Need::Program($program) };
}
