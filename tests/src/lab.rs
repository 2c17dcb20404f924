//! A test's own network: a namespace for the target, another for an initiator
//! that is not on a TAP, a wire between them, and a directory in memory.
//!
//! ```text
//!   target namespace                        client namespace
//!   tgtd, listening everywhere
//!   vcp0 (TAP, made by vcp)                 wire1, no address: packet links
//!   wire0 10.77.1.1, fd77:1::1  ─────────   wire1 10.77.1.2, if addressed
//! ```

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::mounted;
use crate::process::{command, must};

/// The target's end of the wire.
pub const WIRE_TARGET_V4: &str = "10.77.1.1";
/// The same in IPv6.
pub const WIRE_TARGET_V6: &str = "fd77:1::1";
/// The client's end of the wire.
pub const WIRE_CLIENT_V4: &str = "10.77.1.2";
/// The same in IPv6.
pub const WIRE_CLIENT_V6: &str = "fd77:1::2";
/// The client's interface on the wire.
pub const WIRE_CLIENT: &str = "wire1";

/// Every name made here begins so, then the test program's process id.
const PREFIX: &str = "vcpt";

/// On which side of the wire something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// With the target; a TAP made here ends beside it.
    Target,
    /// At the other end of the wire.
    Client,
}

/// See the module. Everything in it ends with it.
#[derive(Debug)]
pub struct Lab {
    scratch: Scratch,
    name: String,
}

impl Lab {
    /// Makes the namespaces and the wire; wants root.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn new() -> Self {
        let scratch = Scratch::new();
        let name = scratch.name.clone();
        let lab = Self { scratch, name };
        for side in [Side::Target, Side::Client] {
            must("ip", &["netns", "add", &lab.namespace(side)]);
            lab.ip(side, &["link", "set", "lo", "up"]);
            // A machine's default congestion control may be one that paces;
            // duplicate address detection would cost each test a second.
            for setting in [
                "net.ipv4.tcp_congestion_control=reno",
                "net.ipv6.conf.default.accept_dad=0",
                "net.ipv6.conf.all.accept_dad=0",
            ] {
                must(
                    "ip",
                    &[
                        "netns",
                        "exec",
                        &lab.namespace(side),
                        "sysctl",
                        "-qw",
                        setting,
                    ],
                );
            }
        }
        lab.wire();
        lab
    }

    /// Gives the client's end of the wire addresses, for a peer on the kernel's
    /// TCP. A packet link wants it without.
    #[must_use]
    pub fn addressed(self) -> Self {
        self.address_client();
        self
    }

    /// The same for a lab that others have as well.
    pub fn address_client(&self) {
        let setting = format!("net.ipv6.conf.{WIRE_CLIENT}.disable_ipv6=0");
        must(
            "ip",
            &[
                "netns",
                "exec",
                &self.namespace(Side::Client),
                "sysctl",
                "-qw",
                &setting,
            ],
        );
        self.address(Side::Client, WIRE_CLIENT, WIRE_CLIENT_V4, WIRE_CLIENT_V6);
    }

    /// Takes them again.
    pub fn unaddress_client(&self) {
        self.ip(Side::Client, &["address", "flush", "dev", WIRE_CLIENT]);
        self.silence_and_raise();
    }

    /// Takes the wire from the target's namespace and makes the client's end one of a
    /// machine, which gets every frame. Without addresses, as before.
    pub fn wire_to_machine(&self) {
        self.ip(Side::Target, &["link", "delete", "wire0"]);
        self.ip(Side::Client, &["tuntap", "add", WIRE_CLIENT, "mode", "tap"]);
        self.silence_and_raise();
    }

    /// The directory, on tmpfs: images, sockets, logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.scratch.path()
    }

    /// An NBD address in the directory, for `--nbd`.
    #[must_use]
    pub fn nbd(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// The socket of [`Self::nbd`].
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir().join("nbd.sock")
    }

    /// A namespace's name.
    #[must_use]
    pub fn namespace(&self, side: Side) -> String {
        match side {
            Side::Target => format!("{}t", self.name),
            Side::Client => format!("{}c", self.name),
        }
    }

    /// `program` in a namespace. `ip` and `setpriv` replace themselves with it,
    /// so the process id is the program's.
    #[must_use]
    pub fn command(&self, side: Side, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut inside = command("ip");
        inside
            .args(["netns", "exec", &self.namespace(side)])
            .arg(program);
        inside
    }

    /// Runs something in a namespace, on a thread that goes there and ends: a
    /// socket stays where it was made.
    ///
    /// # Panics
    /// When it does, or the namespace cannot be entered.
    pub fn inside<T: Send>(&self, side: Side, act: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.namespace(side));
        let there = move || {
            let namespace = fs::File::open(path).expect("the lab has this namespace");
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
                .expect("entering a namespace as root");
            act()
        };
        std::thread::scope(|scope| scope.spawn(there).join()).expect("it has not panicked")
    }

    /// `ip ARGUMENTS` in a namespace.
    pub fn ip(&self, side: Side, arguments: &[&str]) -> String {
        must(
            "ip",
            &[&["-netns", &self.namespace(side)], arguments].concat(),
        )
    }

    /// The interfaces in a namespace.
    #[must_use]
    pub fn interfaces(&self, side: Side) -> Vec<String> {
        let listing = self.ip(side, &["-brief", "link"]);
        let name = |line: &str| line.split([' ', '@']).next().map(str::to_owned);
        listing.lines().filter_map(name).collect()
    }

    /// The processes in a namespace.
    #[must_use]
    pub fn processes(&self, side: Side) -> Vec<u32> {
        processes_in(&self.namespace(side))
    }

    /// Makes the wire, or makes it again after somebody removed an end, and with it
    /// both. The client's has no addresses.
    pub fn wire(&self) {
        let client = self.namespace(Side::Client);
        self.ip(
            Side::Target,
            &[
                "link",
                "add",
                "wire0",
                "type",
                "veth",
                "peer",
                "name",
                WIRE_CLIENT,
                "netns",
                &client,
            ],
        );
        self.address(Side::Target, "wire0", WIRE_TARGET_V4, WIRE_TARGET_V6);
        self.silence_and_raise();
    }

    /// Without an address on the client's end the kernel must not speak up either.
    fn silence_and_raise(&self) {
        let client = self.namespace(Side::Client);
        let silent = format!("net.ipv6.conf.{WIRE_CLIENT}.disable_ipv6=1");
        must("ip", &["netns", "exec", &client, "sysctl", "-qw", &silent]);
        self.ip(Side::Client, &["link", "set", WIRE_CLIENT, "up"]);
    }

    fn address(&self, side: Side, interface: &str, v4: &str, v6: &str) {
        self.ip(
            side,
            &["address", "add", &format!("{v4}/24"), "dev", interface],
        );
        self.ip(
            side,
            &[
                "address",
                "add",
                &format!("{v6}/64"),
                "dev",
                interface,
                "nodad",
            ],
        );
        self.ip(side, &["link", "set", interface, "up"]);
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for side in [Side::Target, Side::Client] {
            remove_namespace(&self.namespace(side));
        }
    }
}

/// A directory in memory that goes with its handle. For tests without a network
/// too: wants no privileges.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    name: String,
}

impl Scratch {
    /// A new, empty directory that everybody may enter.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static SEQUENCE: AtomicU32 = AtomicU32::new(0);
        static LEFTOVERS: Once = Once::new();
        LEFTOVERS.call_once(remove_leftovers);
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{sequence}", std::process::id());
        let path = parent().join(&name);
        fs::create_dir_all(&path).expect("making a directory for a test");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("just made");
        Self { path, name }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        mounted::clear(&self.path);
        if std::env::var_os("VCP_E2E_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn parent() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    }
}

/// What a killed test program could not remove: its namespaces with the
/// processes in them, and its directories.
fn remove_leftovers() {
    if let Ok(namespaces) = fs::read_dir("/run/netns") {
        for name in namespaces.flatten().map(|entry| entry.file_name()) {
            let name = name.to_string_lossy();
            if is_orphan(&name) {
                remove_namespace(&name);
            }
        }
    }
    for entry in fs::read_dir(parent()).into_iter().flatten().flatten() {
        if is_orphan(&entry.file_name().to_string_lossy()) {
            mounted::clear(&entry.path());
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether `name` is one of ours and the process that made it is gone.
fn is_orphan(name: &str) -> bool {
    let owner = name
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split('-').nth(1));
    owner
        .and_then(|pid| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn remove_namespace(name: &str) {
    for pid in processes_in(name) {
        if let Some(pid) = i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    let _ = Command::new("ip").args(["netns", "delete", name]).output();
}

fn processes_in(namespace: &str) -> Vec<u32> {
    let Ok(output) = Command::new("ip")
        .args(["netns", "pids", namespace])
        .output()
    else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|pid| pid.trim().parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_leave_orphans() {
        assert!(!is_orphan(&format!("{PREFIX}-{}-0t", std::process::id())));
        assert!(is_orphan(&format!("{PREFIX}-{}-0t", u32::MAX)));
        assert!(!is_orphan("blue"));
    }
}
