//! What is measured: VCPs in this process.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{BEST_EFFORT, Budget, Cache, CpuSettings, Engine, Event, Module, Settings, Vcp};

use crate::client::{Once, flush};

/// How long a VCP may take to come up; 256 of them share a CPU while they do.
const READY: Duration = Duration::from_secs(60);
/// Nanoseconds of a period that nothing else is said of.
pub(crate) const PERIOD: u64 = 10_000_000;
/// Nothing to speak of: a nanosecond an hour.
const PARKED: Budget = Budget {
    period: 3_600_000_000_000,
    slice: 1,
    slack: 0,
};

/// An engine and what runs on it. Its channel processors are its own: VCPs of two
/// beds share a CPU as any threads do, and not by budget.
pub(crate) struct Bed {
    pub(crate) engine: Engine,
    pub(crate) iscsi: Module,
    pub(crate) ramdisk: Module,
    misbehave: Module,
}

impl Bed {
    pub(crate) fn new(metered: bool) -> Self {
        let engine = Engine::new(metered).expect("the engine starts wherever tests run");
        let load = |name, bytes| {
            Module::load(&engine, &Cache::of_user(), name, bytes).expect("built with this program")
        };
        let [iscsi, ramdisk] = ["iscsi", "ramdisk"].map(|name| {
            let module = vcp_builtin::find(name).expect("built in");
            load(name, module.bytes)
        });
        Self {
            iscsi,
            ramdisk,
            misbehave: load("misbehave", vcp_test_guests::MISBEHAVE_DEVICE),
            engine,
        }
    }

    /// Starts a VCP and waits until it serves.
    pub(crate) fn start(&self, settings: Settings) -> Running {
        let running = self.begin(settings);
        running.wait()
    }

    /// Starts a VCP.
    pub(crate) fn begin(&self, settings: Settings) -> Starting {
        let name = settings.name.clone();
        let (vcp, events) = Vcp::start(&self.engine, settings).expect("starting a VCP");
        Starting(Running { name, vcp, events })
    }

    /// A RAM disk of so many bytes, pinned to these CPUs.
    pub(crate) fn ramdisk(&self, name: &str, size: u64, pin: &[usize], budget: Budget) -> Settings {
        Settings {
            config: vec![("size".to_owned(), size.to_string())],
            cpu: cpu(pin, budget),
            ..Settings::new(name, self.ramdisk.clone())
        }
    }

    /// Starts a VCP that will not return from a call before it has run for so long.
    pub(crate) fn hog(&self, pin: usize, runs_for: Duration) -> Hog {
        let mut settings = Settings {
            config: vec![("fault".to_owned(), "endless".to_owned())],
            cpu: cpu(&[pin], BEST_EFFORT),
            ..Settings::new("loop", self.misbehave.clone())
        };
        settings.watchdog.fuel = u64::MAX;
        settings.watchdog.call = runs_for;
        settings.watchdog.progress = None;
        settings.restart.always = false;
        let running = self.start(settings);
        // A flush sets it off.
        running.vcp.attach(Box::new(Once::new(flush())));
        let began = Instant::now();
        while running.used() < Duration::from_millis(20).as_nanos() as u64 {
            assert!(began.elapsed() < READY, "the endless loop does not begin");
            std::thread::sleep(Duration::from_millis(1));
        }
        Hog(running)
    }
}

fn cpu(pin: &[usize], budget: Budget) -> CpuSettings {
    CpuSettings {
        pin: pin.to_vec(),
        budget,
        ..CpuSettings::default()
    }
}

/// So many percent of each period, and slack by this weight.
pub(crate) fn share(percent: u64, period: u64, slack: u32) -> Budget {
    Budget {
        period,
        slice: period * percent / 100,
        slack,
    }
}

/// One that may not serve yet.
pub(crate) struct Starting(Running);

impl Starting {
    pub(crate) fn wait(self) -> Running {
        let mut running = self.0;
        let began = Instant::now();
        loop {
            match running.events.try_recv() {
                Ok(Event::Ready(_)) => return running,
                Ok(Event::Failed(why)) => panic!("VCP {}: {why}", running.name),
                Ok(_) => {}
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
            assert!(
                began.elapsed() < READY,
                "VCP {} does not come up",
                running.name
            );
        }
    }
}

/// A VCP that serves.
pub(crate) struct Running {
    name: String,
    pub(crate) vcp: Vcp,
    events: UnboundedReceiver<Event>,
}

impl Running {
    /// CPU time that it says it had, in nanoseconds.
    pub(crate) fn used(&self) -> u64 {
        let stats = self.vcp.stats();
        stats.reserved_ns + stats.slack_ns
    }

    /// It goes on with another budget.
    pub(crate) fn set(&self, budget: Budget) {
        let name = &self.name;
        let set = self.vcp.set_budget(budget);
        set.unwrap_or_else(|refused| panic!("VCP {name}: {refused}"));
    }
}

/// A VCP in an endless loop.
pub(crate) struct Hog(Running);

impl Hog {
    pub(crate) fn vcp(&self) -> &Running {
        &self.0
    }

    /// It goes on with this budget.
    pub(crate) fn set(&self, budget: Budget) {
        assert_eq!(self.0.vcp.stats().faults, 0, "it has run for too long");
        self.0.set(budget);
    }

    /// It stands still until it is given a budget again.
    pub(crate) fn park(&self) {
        self.set(PARKED);
    }
}

impl Drop for Hog {
    /// Nothing but its watchdog ends it: it may run for what that leaves it.
    fn drop(&mut self) {
        self.0.vcp.stop();
        // One that has ended already has no use for it.
        let _ = self.0.vcp.set_budget(BEST_EFFORT);
    }
}
