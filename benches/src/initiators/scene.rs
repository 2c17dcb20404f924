//! The target and those that are compared: one namespace with `tgtd`, with the TAPs
//! that end beside it and with its loopback, another at the end of a veth pair. TCP of
//! the kernel is reno in both, which the lab sees to: a congestion control that paces
//! would be what is measured.

use std::path::PathBuf;

use vcp_benches::arm::{Arm, Server};
use vcp_benches::process::Process;
use vcp_tests::image;
use vcp_tests::lab::{Lab, Side, WIRE_TARGET_V4};
use vcp_tests::peer::QemuNbd;
use vcp_tests::tgtd::{Lun, Tgtd, Unit};
use vcp_tests::vcp::{Vcp, binary};
use vcp_tests::wiring::{Family, Wiring};

/// Bytes of a unit that are used, all of them written before the first measurement.
const SPAN: u64 = 1 << 30;

/// One of those compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program as it is used.
    Tap,
    /// The same VCP compiled into a host, without the box.
    Native,
    /// The VCP above the kernel's TCP.
    Host,
    /// libiscsi, through two stacks of the kernel.
    Veth,
    /// libiscsi beside the target.
    Loopback,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Tap,
        Self::Native,
        Self::Host,
        Self::Veth,
        Self::Loopback,
    ];

    pub(crate) fn by_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// On the command line.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Tap => "tap",
            Self::Native => "native",
            Self::Host => "host",
            Self::Veth => "veth",
            Self::Loopback => "loopback",
        }
    }

    /// In tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tap => "vcp, tap tso",
            Self::Native => "vcp native",
            Self::Host => "vcp, host tcp",
            Self::Veth => "qemu-nbd, veth",
            Self::Loopback => "qemu-nbd, loopback",
        }
    }
}

/// Of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameters {
    /// tgtd's own: 8 KiB a PDU, and permission is wanted before data is sent.
    Default,
    /// For large requests.
    Tuned,
}

impl Parameters {
    pub(crate) const ALL: [Self; 2] = [Self::Default, Self::Tuned];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Default => "its default parameters",
            Self::Tuned => "MaxRecvDataSegmentLength 256 KiB and InitialR2T No",
        }
    }

    fn set(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Default => &[],
            Self::Tuned => &[("MaxRecvDataSegmentLength", "262144"), ("InitialR2T", "No")],
        }
    }
}

/// Where the target keeps the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backing {
    /// In a file in memory.
    File,
    /// Nowhere.
    Null,
}

impl Backing {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::File => "a file on tmpfs",
            Self::Null => "nothing behind it (null)",
        }
    }
}

pub(crate) struct Scene {
    // Before the lab: it ends first.
    tgtd: Tgtd,
    luns: Vec<(Parameters, Backing, Lun)>,
    lab: Lab,
    cpu: Option<String>,
}

impl Scene {
    /// `cpu` is what the program as it is used is told of CPUs.
    pub(crate) fn new(cpu: Option<String>) -> Self {
        let lab = Lab::new().addressed();
        let tgtd = Tgtd::start(&lab);
        let mut luns: Vec<(Parameters, Backing, Lun)> = Vec::new();
        for parameters in Parameters::ALL {
            let iqn = format!("iqn.2026-11.bench:{parameters:?}").to_lowercase();
            let target = tgtd.target(&iqn);
            for (name, value) in parameters.set() {
                target.set(name, value);
            }
            // Both targets have the same file.
            let file = match luns.first() {
                Some((_, _, first)) => Lun {
                    iqn,
                    ..first.clone()
                },
                None => {
                    let file = target.unit(1, Unit::new(SPAN));
                    image::write_random(&file.file, SPAN, 7);
                    file
                }
            };
            if !luns.is_empty() {
                target.keep(&file);
            }
            luns.push((parameters, Backing::File, file));
            luns.push((parameters, Backing::Null, target.null_unit(2)));
        }
        Self {
            tgtd,
            luns,
            lab,
            cpu,
        }
    }

    pub(crate) fn lun(&self, parameters: Parameters, backing: Backing) -> &Lun {
        let wanted = (parameters, backing);
        let found = self.luns.iter().find(|(p, b, _)| (*p, *b) == wanted);
        &found.expect("one of each was made").2
    }

    pub(crate) fn target(&self) -> Process {
        Process::new(self.tgtd.pid())
    }

    /// Starts one; `None` when it is not built.
    pub(crate) fn start(&self, kind: Kind, lun: &Lun) -> Option<Arm> {
        let server = match kind {
            Kind::Tap => self.vcp(&Wiring::tap("tso", Family::V4), kind, lun),
            Kind::Native => self.native(lun)?,
            Kind::Host => self.vcp(&Wiring::host(Family::V4), kind, lun),
            Kind::Veth => self.qemu(Side::Client, WIRE_TARGET_V4, lun),
            Kind::Loopback => self.qemu(Side::Target, "127.0.0.1", lun),
        };
        let arm = Arm::new(kind.name(), server, SPAN, self.lab.dir());
        Some(arm.with_target(self.target()))
    }

    fn vcp(&self, wiring: &Wiring, kind: Kind, lun: &Lun) -> Server {
        let mut command = self.lab.command(wiring.side, binary());
        command.arg("run").args(self.arguments(wiring, kind, lun));
        if let (Kind::Tap, Some(cpu)) = (kind, &self.cpu) {
            command.args(["--cpu", cpu]);
        }
        Server::Vcp(Vcp::start(command, self.lab.dir()))
    }

    /// The same words for a host that has the VCP compiled in.
    fn native(&self, lun: &Lun) -> Option<Server> {
        // Built with this program, and beside it.
        let host = std::env::current_exe().ok()?.with_file_name("native");
        let built = || host.with_file_name("../guest/libvcp_native_iscsi.so");
        let vcp = std::env::var_os("VCP_NATIVE_ISCSI").map_or_else(built, PathBuf::from);
        if let Some(missing) = [&host, &vcp].into_iter().find(|file| !file.is_file()) {
            println!("{}: no {}", Kind::Native.name(), missing.display());
            return None;
        }
        let wiring = second_tap();
        let mut command = self.lab.command(wiring.side, host);
        command
            .arg("--native")
            .args(self.arguments(&wiring, Kind::Native, lun))
            .env("VCP_NATIVE_ISCSI", vcp);
        Some(Server::Vcp(Vcp::start(command, self.lab.dir())))
    }

    fn arguments(&self, wiring: &Wiring, kind: Kind, lun: &Lun) -> Vec<String> {
        let socket = self.lab.dir().join(format!("{}.sock", kind.key()));
        wiring.arguments(lun, &format!("unix:{}", socket.display()))
    }

    fn qemu(&self, side: Side, portal: &str, lun: &Lun) -> Server {
        Server::QemuNbd(QemuNbd::start(&self.lab, side, &lun.url(portal)))
    }
}

/// As [`Wiring::tap`], beside it.
fn second_tap() -> Wiring {
    let (own, portal) = ("10.77.2.2", "10.77.2.1");
    Wiring {
        side: Side::Target,
        link: format!("tap:vcp1,address={own}/24,host-address={portal}/24,offload=tso"),
        portal,
    }
}
