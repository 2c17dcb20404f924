//! Those that are compared: each a process with a disk of its own in its own memory,
//! which it serves on a Unix socket. No network is between them and fio.

use std::fs;
use std::path::{Path, PathBuf};

use vcp_benches::arm::{Arm, Server};
use vcp_tests::lab::Scratch;
use vcp_tests::peer::Nbdkit;
use vcp_tests::process::command;
use vcp_tests::vcp::{Vcp, binary};

/// Bytes of a disk, all of them written before the first measurement.
pub(crate) const SIZE: u64 = 1 << 30;
/// Of the VCP: the disk and what else it has, in whole MiB.
const MEMORY: &str = "1056MiB";

/// The plugin in Python.
const PYTHON: &str = include_str!("ramdisk.py");

/// One of those compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `vcp run ramdisk`.
    Vcp,
    /// nbdkit's own memory plugin, which all are compared with.
    Memory,
    /// Native code of the VCP's shape.
    Rust,
    /// The same in an interpreter.
    Python,
}

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Vcp, Self::Memory, Self::Rust, Self::Python];

    /// In tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vcp => "vcp ramdisk",
            Self::Memory => "nbdkit memory",
            Self::Rust => "nbdkit, Rust",
            Self::Python => "nbdkit, Python",
        }
    }
}

/// Starts one, with all of its disk written; `None` when there is no such plugin here.
pub(crate) fn start(kind: Kind, scratch: &Scratch) -> Option<Arm> {
    let dir = scratch.path();
    let size = format!("size={SIZE}");
    let nbdkit = |plugin: &[&str]| Server::Nbdkit(Nbdkit::start(dir, plugin));
    let server = match kind {
        Kind::Vcp => vcp(&size, dir),
        Kind::Memory => nbdkit(&["memory", &size]),
        Kind::Rust => nbdkit(&[&plugin()?, &size]),
        Kind::Python => nbdkit(&["python", &python(dir)?, &size]),
    };
    let arm = Arm::new(kind.name(), server, SIZE, dir);
    arm.fill();
    Some(arm)
}

fn vcp(size: &str, dir: &Path) -> Server {
    let socket = format!("unix:{}", dir.join("vcp.sock").display());
    let mut vcp = command(binary());
    vcp.args(["run", "ramdisk", size, "--memory", MEMORY]);
    vcp.args(["--nbd", &socket, "--control", "none"]);
    Server::Vcp(Vcp::start(vcp, dir))
}

/// The shared object: what built it says where it is.
fn plugin() -> Option<String> {
    let built = || binary().with_file_name("../guest/libvcp_nbdkit_ramdisk.so");
    let plugin = std::env::var_os("VCP_NBDKIT_RAMDISK").map_or_else(built, PathBuf::from);
    if !plugin.is_file() {
        println!("{}: no {}", Kind::Rust.name(), plugin.display());
        return None;
    }
    Some(plugin.display().to_string())
}

/// The script, in a file as nbdkit wants it.
fn python(dir: &Path) -> Option<String> {
    let mut ask = command("nbdkit");
    let answer = ask.args(["--dump-plugin", "python"]).output();
    if !answer.is_ok_and(|output| output.status.success()) {
        println!("{}: nbdkit has no plugin python", Kind::Python.name());
        return None;
    }
    let script = dir.join("ramdisk.py");
    fs::write(&script, PYTHON).expect("writing to a directory of our own");
    Some(format!("script={}", script.display()))
}
