//! A VCP with one fault, from before it to after it.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{Cache, Engine, Event, Fault, Module, Settings, Vcp};
use vcp_queue::{ClientRequest, EXTENT, Operation, Status};

use crate::support::{Driver, next, request, settings_for};

/// Fuel of one call: some tens of milliseconds.
pub(crate) const FUEL: u64 = 500_000_000;

/// One engine for all tests, as a host has one for all VCPs.
pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(true).unwrap());

pub(crate) static DEVICE: LazyLock<Module> =
    LazyLock::new(|| load("device", vcp_test_guests::MISBEHAVE_DEVICE));

pub(crate) fn load(name: &str, bytes: &[u8]) -> Module {
    Module::load(&ENGINE, &Cache::of_user(), name, bytes).unwrap()
}

/// A running VCP and its client.
pub(crate) struct Scenario {
    pub(crate) vcp: Vcp,
    pub(crate) events: UnboundedReceiver<Event>,
    pub(crate) driver: Driver,
}

pub(crate) fn settings(module: &Module, config: &[(&str, &str)]) -> Settings {
    let mut settings = settings_for(module.clone(), config);
    settings.watchdog.fuel = Some(FUEL);
    settings.restart.backoff_min = Duration::from_millis(1);
    settings
}

impl Scenario {
    pub(crate) fn start(settings: Settings) -> Self {
        let (vcp, events) = Vcp::start(&ENGINE, settings).unwrap();
        let driver = Driver::attach(&vcp);
        Self {
            vcp,
            events,
            driver,
        }
    }

    pub(crate) fn device(fault: &str, generations: &str) -> Self {
        let config = [("fault", fault), ("generations", generations)];
        Self::start(settings(&DEVICE, &config))
    }

    pub(crate) fn event(&mut self) -> Event {
        next(&mut self.events)
    }

    pub(crate) fn expect_ready(&mut self) {
        let event = self.event();
        assert!(matches!(event, Event::Ready(_)), "{event:?}");
    }

    pub(crate) fn expect_fault(&mut self, expected: u32) -> Fault {
        match self.event() {
            Event::Fault {
                fault, generation, ..
            } => {
                assert_eq!(generation, expected);
                // Whatever the guest said, it is short and has no control characters.
                let text = fault.to_string();
                assert!(text.len() < 16 << 10, "{} bytes", text.len());
                assert!(!text.contains(char::is_control), "{text:?}");
                fault
            }
            event => panic!("{event:?}"),
        }
    }

    pub(crate) fn expect_failed(&mut self) -> String {
        match self.event() {
            Event::Failed(why) => why,
            event => panic!("{event:?}"),
        }
    }

    /// Checks that what is written can be read.
    pub(crate) fn check_io(&self) {
        self.driver.write(1, 4096, vec![7; 8192]);
        assert_eq!(self.driver.answer(), (1, Status::Ok, Vec::new()));
        self.driver.ask(2, Operation::Read, 4096, 8192, Vec::new());
        assert_eq!(self.driver.answer(), (2, Status::Ok, vec![7; 8192]));
    }

    /// Sends one batch with a flush in it, which sets the fault off.
    pub(crate) fn strike(&self) {
        self.driver.ask_all(batch());
    }

    /// Expects that each request of the batch is answered once, and as it should be.
    pub(crate) fn expect_answers(&self) {
        let mut cookies = Vec::new();
        for _ in 0..batch().len() {
            let (cookie, status, data) = self.driver.answer();
            assert_eq!(status, Status::Ok, "of {cookie}");
            let length = match cookie {
                11 | 13 => 4096,
                // It is one extent, from a device that can tell.
                15 if !data.is_empty() => EXTENT,
                _ => 0,
            };
            assert_eq!(data.len(), length, "of {cookie}");
            cookies.push(cookie);
        }
        cookies.sort_unstable();
        assert_eq!(cookies, [10, 11, 12, 13, 14, 15]);
        assert!(self.driver.answers.try_recv().is_err());
    }

    /// Expects that all of the batch is refused.
    pub(crate) fn expect_refusals(&self, count: usize, with: Status) {
        for _ in 0..count {
            let (cookie, status, data) = self.driver.answer();
            assert_eq!((status, data), (with, Vec::new()), "of {cookie}");
        }
    }

    /// Expects the VCP to end within `bound`, with no events but `last` before.
    pub(crate) fn expect_end(mut self, last: &[Event], bound: Duration) {
        let began = Instant::now();
        self.vcp.stop();
        for event in last {
            assert_eq!(self.event(), *event);
        }
        assert_eq!(self.event(), Event::Stopped);
        assert!(began.elapsed() < bound, "{:?}", began.elapsed());
        drop(self.vcp);
        assert!(began.elapsed() < bound, "{:?}", began.elapsed());
    }

    /// Expects that a well-behaved VCP ends at once.
    pub(crate) fn end(self) {
        self.expect_end(&[], Duration::from_secs(3));
    }

    /// Checks that the VCP still serves, and ends it.
    pub(crate) fn finish_served(self) {
        self.check_io();
        self.end();
    }
}

fn batch() -> Vec<ClientRequest> {
    vec![
        request(10, Operation::Write, 16384, 4096, vec![1; 4096]),
        request(11, Operation::Read, 0, 4096, Vec::new()),
        request(12, Operation::Flush, 0, 0, Vec::new()),
        request(13, Operation::Read, 8192, 4096, Vec::new()),
        request(14, Operation::Write, 65536, 4096, vec![2; 4096]),
        request(15, Operation::Extents, 0, 4096, Vec::new()),
    ]
}
