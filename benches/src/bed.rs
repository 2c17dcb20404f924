//! VCPs in this process: an engine, the modules that are run on it, and an initiator
//! on a TAP that ends in the namespace of a `tgtd`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{Budget, Cache, CpuSettings, Engine, Event, Module, Network, Settings, Vcp};
use vcp_link::{LinkKind, LinkSpec};
use vcp_tests::lab::{Lab, Side};
use vcp_tests::tgtd::Lun;

/// How long a VCP may take to come up; hundreds of them may share a CPU while they
/// do.
pub const READY: Duration = Duration::from_secs(60);

/// An engine and what runs on it. Its channel processors are its own: VCPs of two
/// beds share a CPU as any threads do, and not by budget.
pub struct Bed {
    engine: Engine,
    /// The initiator.
    pub iscsi: Module,
    /// The RAM disk.
    pub ramdisk: Module,
}

impl Bed {
    /// With fuel counted, or not.
    ///
    /// # Panics
    /// When the engine does not start.
    #[must_use]
    pub fn new(metered: bool) -> Self {
        let engine = Engine::new(metered).expect("the engine starts wherever tests run");
        let [iscsi, ramdisk] = ["iscsi", "ramdisk"].map(|name| {
            let module = vcp_builtin::find(name).expect("built in");
            load(&engine, name, module.bytes)
        });
        Self {
            engine,
            iscsi,
            ramdisk,
        }
    }

    /// A module of the program's own.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn load(&self, name: &str, bytes: &[u8]) -> Module {
        load(&self.engine, name, bytes)
    }

    /// Starts a VCP and waits until it serves.
    ///
    /// # Panics
    /// When it does not in time.
    #[must_use]
    pub fn start(&self, settings: Settings) -> Running {
        self.begin(settings).wait()
    }

    /// Starts a VCP.
    ///
    /// # Panics
    /// When there can be none with these settings.
    #[must_use]
    pub fn begin(&self, settings: Settings) -> Starting {
        let name = settings.name.clone();
        let (vcp, events) = Vcp::start(&self.engine, settings).expect("starting a VCP");
        Starting(Running {
            name,
            vcp: Arc::new(vcp),
            events,
        })
    }

    /// A RAM disk of so many bytes.
    #[must_use]
    pub fn ramdisk(&self, name: &str, size: u64) -> Settings {
        Settings {
            config: vec![("size".to_owned(), size.to_string())],
            ..Settings::new(name, self.ramdisk.clone())
        }
    }

    /// An initiator on a TAP of its own that ends beside the target; the `index` tells
    /// it from others of this `name`, which is of ten letters at most.
    ///
    /// # Panics
    /// When there can be no TAP, for one without root.
    #[must_use]
    pub fn initiator(&self, lab: &Lab, lun: &Lun, name: &str, index: u8) -> Settings {
        let [own, portal] = [2, 1].map(|end| format!("10.78.{index}.{end}"));
        let name = format!("{name}{index}");
        let mut spec = LinkSpec::new(LinkKind::Tap(name.clone()));
        spec.host_addresses = vec![(portal.parse().expect("an address"), 24)];
        let pairs = [
            ("target", lun.iqn.clone()),
            ("portal", format!("{portal}:3260")),
            ("lun", lun.number.to_string()),
            ("initiator-name", "iqn.2026-11.bench:initiator".to_owned()),
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
                reopen: None,
            }),
            ..Settings::new(&name, self.iscsi.clone())
        }
    }
}

fn load(engine: &Engine, name: &str, bytes: &[u8]) -> Module {
    Module::load(engine, &Cache::of_user(), name, bytes).expect("built with this program")
}

/// Pinned to these CPUs, with a budget there.
#[must_use]
pub fn cpu(pin: &[usize], budget: Budget) -> CpuSettings {
    CpuSettings {
        pin: pin.to_vec(),
        budget,
        ..CpuSettings::default()
    }
}

/// One that may not serve yet.
pub struct Starting(Running);

impl Starting {
    /// Until it serves.
    ///
    /// # Panics
    /// When it does not in time.
    #[must_use]
    pub fn wait(self) -> Running {
        let Self(mut running) = self;
        let began = Instant::now();
        loop {
            match running.events.try_recv() {
                Ok(Event::Ready(_)) => return running,
                Ok(Event::Failed(why)) => panic!("VCP {}: {why}", running.name),
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
            let name = &running.name;
            assert!(began.elapsed() < READY, "VCP {name} does not come up");
        }
    }
}

/// A VCP that serves.
pub struct Running {
    name: String,
    /// Itself.
    pub vcp: Arc<Vcp>,
    /// What becomes of it.
    pub events: UnboundedReceiver<Event>,
}

impl Running {
    /// CPU time that it says it had, in nanoseconds.
    #[must_use]
    pub fn used(&self) -> u64 {
        let stats = self.vcp.stats();
        stats.reserved_ns + stats.slack_ns
    }

    /// It goes on with another budget.
    ///
    /// # Panics
    /// When that is refused.
    pub fn set(&self, budget: Budget) {
        let name = &self.name;
        let set = self.vcp.set_budget(budget);
        set.unwrap_or_else(|refused| panic!("VCP {name}: {refused}"));
    }
}
