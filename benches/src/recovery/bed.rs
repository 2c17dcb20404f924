//! What is measured: VCPs in this process, on TAPs that end in the namespace of
//! a `tgtd`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{Cache, Engine, Event, Module, Network, RestartSettings, Settings, Vcp};
use vcp_link::{LinkKind, LinkSpec};
use vcp_tests::lab::{Lab, Side};
use vcp_tests::tgtd::Lun;

/// How long a VCP may take to come up.
const READY: Duration = Duration::from_secs(20);

/// The engine and the modules that are run.
pub(crate) struct Bed {
    pub(crate) engine: Engine,
    pub(crate) iscsi: Module,
    pub(crate) ramdisk: Module,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let engine = Engine::new(true).expect("the engine starts wherever tests run");
        let load = |name| {
            let module = vcp_builtin::find(name).expect("built in");
            Module::load(&engine, &Cache::of_user(), name, module.bytes).expect("built in")
        };
        let [iscsi, ramdisk] = ["iscsi", "ramdisk"].map(load);
        Self {
            engine,
            iscsi,
            ramdisk,
        }
    }

    /// Starts a VCP and waits until it serves.
    pub(crate) fn start(&self, settings: Settings) -> (Arc<Vcp>, UnboundedReceiver<Event>) {
        let name = settings.name.clone();
        let (vcp, mut events) = Vcp::start(&self.engine, settings).expect("starting a VCP");
        let began = std::time::Instant::now();
        loop {
            match events.try_recv() {
                Ok(Event::Ready(_)) => return (Arc::new(vcp), events),
                Ok(Event::Failed(why)) => panic!("VCP {name}: {why}"),
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
            assert!(began.elapsed() < READY, "VCP {name} does not come up");
        }
    }
}

/// A VCP that is restarted at once, however short it lived.
pub(crate) fn settings(name: &str, module: &Module, pin: &[usize]) -> Settings {
    Settings {
        cpu: vcp_core::CpuSettings {
            pin: pin.to_vec(),
            ..vcp_core::CpuSettings::default()
        },
        restart: RestartSettings {
            min_run: Duration::ZERO,
            ..RestartSettings::default()
        },
        ..Settings::new(name, module.clone())
    }
}

/// An initiator on a TAP of its own; the `index` tells it from others.
pub(crate) fn initiator(bed: &Bed, lab: &Lab, lun: &Lun, index: u8) -> Settings {
    let [own, portal] = [2, 1].map(|end| format!("10.78.{index}.{end}"));
    let mut spec = LinkSpec::new(LinkKind::Tap(format!("stall{index}")));
    spec.host_addresses = vec![(portal.parse().expect("an address"), 24)];
    let name = format!("disk{index}");
    let pairs = [
        ("target", lun.iqn.clone()),
        ("portal", format!("{portal}:3260")),
        ("lun", lun.number.to_string()),
        ("initiator-name", "iqn.2026-11.bench:recovery".to_owned()),
        ("instance", name.clone()),
    ];
    Settings {
        config: pairs.map(|(key, value)| (key.to_owned(), value)).to_vec(),
        network: Some(Network::Frames {
            link: lab
                .inside(Side::Target, || vcp_link::open(&spec))
                .expect("opening a TAP as root"),
            addresses: vec![format!("{own}/24")],
            gateways: Vec::new(),
        }),
        ..settings(&name, &bed.iscsi, &[])
    }
}
