//! The target, and the two that are compared, each on a TAP of its own that ends in the
//! target's namespace. Nothing is behind the units, so that the target is as little in
//! the way as can be.

use std::path::{Path, PathBuf};

use vcp_benches::arm::{Arm, Server};
use vcp_benches::process::Process;
use vcp_tests::lab::{Lab, Side};
use vcp_tests::tgtd::{Lun, Tgtd};
use vcp_tests::vcp::{Vcp, binary};
use vcp_tests::wiring::Wiring;

use crate::plan::Link;

/// Bytes of a unit that are used.
const SPAN: u64 = 1 << 30;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Native,
    Wasm,
}

impl Kind {
    pub(crate) const BOTH: [Self; 2] = [Self::Native, Self::Wasm];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Wasm => "wasm",
        }
    }
}

/// Of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameters {
    /// Its own.
    Default,
    /// Large PDUs, and data without asking, so that what is moved is mostly data.
    Tuned,
}

pub(crate) struct Scene {
    // Before the lab: it ends first.
    tgtd: Tgtd,
    default: Lun,
    tuned: Lun,
    lab: Lab,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let lab = Lab::new();
        let tgtd = Tgtd::start(&lab);
        let default = tgtd.target("iqn.2026-11.bench:default").null_unit(1);
        let target = tgtd.target("iqn.2026-11.bench:tuned");
        target.set("MaxRecvDataSegmentLength", "262144");
        target.set("InitialR2T", "No");
        let tuned = target.null_unit(1);
        Self {
            tgtd,
            default,
            tuned,
            lab,
        }
    }

    pub(crate) fn target(&self) -> Process {
        Process::new(self.tgtd.pid())
    }

    /// Starts one; returns when it serves.
    pub(crate) fn start(&self, kind: Kind, link: Link, parameters: Parameters) -> Arm {
        let lun = match parameters {
            Parameters::Default => &self.default,
            Parameters::Tuned => &self.tuned,
        };
        let name = kind.name();
        let socket = self.lab.dir().join(format!("{name}.sock"));
        let wiring = wiring(kind, link);
        let mut command = self.lab.command(wiring.side, host());
        command
            .arg(format!("--{name}"))
            .args(wiring.arguments(lun, &format!("unix:{}", socket.display())))
            .env("VCP_NATIVE_ISCSI", shared_object());
        let server = Server::Vcp(Vcp::start(command, self.lab.dir()));
        Arm::new(name, server, SPAN, self.lab.dir())
    }
}

/// A TAP for each of the two.
fn wiring(kind: Kind, link: Link) -> Wiring {
    let (tap, own, portal) = match kind {
        Kind::Native => ("vcp0", "10.77.2.2", "10.77.2.1"),
        Kind::Wasm => ("vcp1", "10.77.3.2", "10.77.3.1"),
    };
    let Link { mtu, offload } = link;
    Wiring {
        side: Side::Target,
        link: format!(
            "tap:{tap},address={own}/24,host-address={portal}/24,mtu={mtu},offload={offload}"
        ),
        portal,
    }
}

/// The program that both are; built together with `vcp`.
fn host() -> PathBuf {
    binary().with_file_name("native")
}

/// The one without the box: what built it says where it is.
fn shared_object() -> PathBuf {
    let built = || {
        let target = binary().parent().and_then(Path::parent).map(Path::to_owned);
        let target = target.unwrap_or_default();
        target.join("guest/libvcp_native_iscsi.so")
    };
    std::env::var_os("VCP_NATIVE_ISCSI").map_or_else(built, PathBuf::from)
}
