//! The servers, the crowds, and the client that behaves.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use vcp_benches::process::Process;
use vcp_tests::client::Clients;
use vcp_tests::hostile::{Manner, Place};
use vcp_tests::peer::Nbdkit;
use vcp_tests::process::{command, run};
use vcp_tests::vcp::{Vcp, binary};

/// Bytes of a disk: the first half is the client's, the other the crowd's.
const SIZE: u64 = 128 << 20;
const HALF: u64 = SIZE / 2;

/// One of the servers that are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Vcp,
    Nbdkit,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Vcp, Self::Nbdkit];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Vcp => "vcp",
            Self::Nbdkit => "nbdkit",
        }
    }
}

/// How many are in a crowd: as many as an address takes where they do nothing, and
/// otherwise as many as this machine can be troubled by.
pub(crate) fn size_of_crowd(manner: Manner) -> u64 {
    match manner {
        Manner::Silent | Manner::Undecided => 128,
        Manner::Unread | Manner::Stalled => 16,
        Manner::OneByte | Manner::LargeReads | Manner::Mutated => 4,
        Manner::SmallReads => 8,
    }
}

enum Server {
    Vcp(Vcp),
    Nbdkit(Nbdkit),
}

/// A running server.
pub(crate) struct Arm {
    kind: Kind,
    server: Server,
    clients: Clients,
}

impl Arm {
    pub(crate) fn start(kind: Kind, dir: &Path) -> Self {
        let server = match kind {
            Kind::Vcp => {
                let mut vcp = command(binary());
                vcp.args(["run", "ramdisk", "size=128MiB", "--memory", "256MiB"]);
                vcp.args(["--name", "ram", "--control", "none"]);
                Server::Vcp(Vcp::start(vcp, dir))
            }
            Kind::Nbdkit => Server::Nbdkit(Nbdkit::start(dir, &["memory", "size=128M"])),
        };
        let arm = Self {
            kind,
            server,
            clients: Clients::new(dir),
        };
        // What is read has been written, in both.
        arm.clients.qemu_io(&arm.uri(), &["write -P 1 0 128M"]);
        arm
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The server is no more: something made it end.
    pub(crate) fn has_ended(&mut self) -> bool {
        match &mut self.server {
            Server::Vcp(vcp) => vcp.has_ended(),
            Server::Nbdkit(nbdkit) => nbdkit.has_ended(),
        }
    }

    fn uri(&self) -> String {
        match &self.server {
            Server::Vcp(vcp) => vcp.uri(),
            Server::Nbdkit(nbdkit) => nbdkit.uri().to_owned(),
        }
    }

    pub(crate) fn process_id(&self) -> u32 {
        match &self.server {
            Server::Vcp(vcp) => vcp.pid(),
            Server::Nbdkit(nbdkit) => nbdkit.pid(),
        }
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(self.process_id())
    }

    /// Where a crowd finds it.
    pub(crate) fn place(&self) -> Place {
        let uri = self.uri();
        let (before, socket) = uri.split_once("?socket=").expect("a unix socket");
        let export = before.rsplit('/').next().unwrap_or_default();
        Place {
            socket: PathBuf::from(socket),
            export: export.to_owned(),
            span: (HALF, HALF),
        }
    }

    /// Four requests of 4 KiB at a time, 400 a second, read and written and verified;
    /// fio's report of them, or why there is none. It has a CPU `first` when it wants
    /// one: what it waits for then is the server.
    pub(crate) fn load(&self, time: Duration, first: bool) -> Result<Value, String> {
        let mut fio = command(if first { "chrt" } else { "fio" });
        if first {
            fio.args(["--rr", "1", "fio"]);
        }
        // As a thread: its processes have sessions of their own, and where the kernel
        // weighs sessions they would not have the precedence of this one.
        fio.args([
            "--name=load",
            "--ioengine=nbd",
            "--output-format=json",
            "--thread",
            "--time_based",
            "--rw=randrw",
            "--bs=4k",
            "--iodepth=4",
            "--rate_iops=200,200",
            "--verify=crc32c",
            "--verify_fatal=1",
            "--verify_backlog=64",
            "--verify_state_save=0",
            "--random_generator=tausworthe64",
        ]);
        fio.arg(format!("--size={HALF}"));
        fio.arg(format!("--runtime={}ms", time.as_millis()));
        fio.arg(format!("--uri={}", self.uri()));
        let outcome = run(fio, self.clients.dir(), 2 * time + Duration::from_secs(60));
        if !outcome.status.success() {
            let why = outcome.stderr.lines().last().unwrap_or("no word of why");
            return Err(why.to_owned());
        }
        // Notes come before the report when there are any.
        let text = outcome.stdout;
        let json = &text[text.find('{').unwrap_or(0)..];
        let report: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Ok(report["jobs"][0].clone())
    }

    pub(crate) fn stop(self) {
        if let Server::Vcp(vcp) = self.server {
            vcp.shut_down();
        }
    }
}
