//! A link whose interface vanishes and returns, as a link in memory that fails when it
//! is told to.

mod support;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{
    Cache, Engine, Event, InjectError, Injection, Module, Network, ReloadError, RestartError,
    Settings, State, Vcp,
};
use vcp_queue::{Link, LinkProperties, Offload, Operation, Received, Status};

use support::{Driver, PATIENCE, next, settings_for};

/// A cable that is pulled out and put in again.
#[derive(Default)]
struct Cable {
    /// Whether it is out, so that there is no such interface.
    out: AtomicBool,
    /// The MTU that it is opened with.
    mtu: AtomicU32,
    opened: AtomicU32,
    /// Attempts at opening it again.
    attempts: AtomicU32,
    /// Rung when it is pulled out.
    bells: Mutex<Vec<Arc<OwnedFd>>>,
}

impl Cable {
    fn new() -> Arc<Self> {
        let cable = Self::default();
        cable.mtu.store(1500, Ordering::Relaxed);
        Arc::new(cable)
    }

    fn open(self: &Arc<Self>) -> Result<Box<dyn Link>, String> {
        if self.out.load(Ordering::SeqCst) {
            return Err("packet eth0: there is no such interface".to_owned());
        }
        let number = self.opened.fetch_add(1, Ordering::SeqCst);
        let bell = Arc::new(eventfd(0, EventfdFlags::NONBLOCK).unwrap());
        self.bells.lock().unwrap().push(Arc::clone(&bell));
        Ok(Box::new(End {
            properties: LinkProperties {
                mac: [2, 0, 0, 0, 0, number as u8],
                mtu: self.mtu.load(Ordering::SeqCst),
                checksum_offload: false,
                segmentation_offload: false,
            },
            cable: Arc::clone(self),
            number: number + 1,
            bell,
        }))
    }

    fn pull(&self) {
        self.out.store(true, Ordering::SeqCst);
        for bell in self.bells.lock().unwrap().iter() {
            rustix::io::write(bell, &1u64.to_ne_bytes()).unwrap();
        }
    }

    fn put_back(&self) {
        self.out.store(false, Ordering::SeqCst);
    }

    fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::SeqCst)
    }
}

struct End {
    cable: Arc<Cable>,
    properties: LinkProperties,
    number: u32,
    bell: Arc<OwnedFd>,
}

impl Link for End {
    fn properties(&self) -> &LinkProperties {
        &self.properties
    }
    fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
    fn receive(&mut self, _: &mut [u8]) -> io::Result<Option<Received>> {
        let old = self.number < self.cable.opened.load(Ordering::SeqCst);
        if old || self.cable.out.load(Ordering::SeqCst) {
            return Err(io::Error::other("no such device"));
        }
        Ok(None)
    }
    fn send(&mut self, _: &[u8], _: Offload) -> io::Result<bool> {
        Ok(true)
    }
}

/// What the tests have: a VCP behind the cable, and one that can be swapped.
struct Bed {
    cable: Arc<Cable>,
    vcp: Vcp,
    events: UnboundedReceiver<Event>,
    driver: Driver,
}

fn engine() -> &'static Engine {
    static ENGINE: std::sync::LazyLock<Engine> =
        std::sync::LazyLock::new(|| Engine::new(true).unwrap());
    &ENGINE
}

fn module() -> Module {
    let bytes = vcp_test_guests::MISBEHAVE_PROCESSOR;
    Module::load(engine(), &Cache::of_user(), "processor", bytes).unwrap()
}

impl Bed {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with(true, change)
    }

    fn with(reopens: bool, change: impl FnOnce(&mut Settings)) -> Self {
        let cable = Cable::new();
        let mut settings = settings_for(module(), &[]);
        let again = Arc::clone(&cable);
        let reopen: vcp_core::Reopen = Arc::new(move || {
            again.attempts.fetch_add(1, Ordering::SeqCst);
            again.open()
        });
        settings.network = Some(Network::Frames {
            link: cable.open().unwrap(),
            addresses: vec!["192.0.2.1/24".to_owned()],
            gateways: Vec::new(),
            reopen: reopens.then_some(reopen),
        });
        change(&mut settings);
        let (vcp, mut events) = Vcp::start(engine(), settings).unwrap();
        assert!(matches!(next(&mut events), Event::Ready(_)));
        let driver = Driver::attach(&vcp);
        let bed = Self {
            cable,
            vcp,
            events,
            driver,
        };
        bed.write(1);
        bed
    }

    fn write(&self, cookie: u64) {
        self.ask(cookie);
        assert_eq!(self.driver.answer(), (cookie, Status::Ok, Vec::new()));
    }

    fn ask(&self, cookie: u64) {
        self.driver.write(cookie, 4096, vec![7; 4096]);
    }

    fn next(&mut self) -> Event {
        next(&mut self.events)
    }

    fn expect_suspended(&mut self, why: &str) {
        assert_eq!(self.next(), Event::Suspended(why.to_owned()));
    }

    /// Pulls the cable, and expects two events: that the link is gone, and why it is not
    /// back.
    fn pull(&mut self) {
        self.cable.pull();
        self.expect_suspended("the link is gone: no such device");
        self.expect_suspended(ABSENT);
    }

    fn expect_ready(&mut self) {
        let event = self.next();
        assert!(matches!(event, Event::Ready(_)), "{event:?}");
    }

    fn restart(&self) -> Result<u32, RestartError> {
        self.vcp.restart().blocking_recv().unwrap()
    }

    fn reload(&self) -> Result<u32, ReloadError> {
        let outcome = self.vcp.reload(module()).blocking_recv().unwrap();
        outcome.map(|reloaded| reloaded.generation)
    }
}

const ABSENT: &str = "the link is gone: packet eth0: there is no such interface";

fn no_interface<E>(make: impl Fn(String) -> E) -> E {
    make("packet eth0: there is no such interface".to_owned())
}

#[test]
fn requests_wait_until_the_link_is_back() {
    let mut bed = Bed::new(|_| {});
    bed.pull();
    assert_eq!(bed.vcp.status().state, State::Suspended(ABSENT.to_owned()));
    for cookie in 10..14 {
        bed.ask(cookie);
    }
    std::thread::sleep(Duration::from_millis(400));
    assert!(bed.driver.answers.try_recv().is_err(), "it was answered");
    assert!(!bed.vcp.status().refusing);
    bed.cable.put_back();
    bed.expect_ready();
    for _ in 10..14 {
        assert_eq!(bed.driver.answer().1, Status::Ok);
    }
    let stats = bed.vcp.stats();
    assert_eq!((stats.generation, stats.faults), (2, 0));
    bed.write(2);
    bed.vcp.stop();
    assert_eq!(bed.next(), Event::Stopped);
}

/// The MTU and the Ethernet address are those of the link as it is now.
#[test]
fn the_next_instance_is_told_what_the_link_is_now() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut bed = Bed::new(|settings| {
        let told = Arc::clone(&told);
        settings.module = support::zeroes::module(move |network| {
            let vcp_core::native::Network::Frames(link) = network else {
                panic!("frames are what it has");
            };
            told.lock().unwrap().push((link.mac[5], link.mtu));
        });
    });
    bed.pull();
    bed.cable.mtu.store(9000, Ordering::SeqCst);
    bed.cable.put_back();
    bed.expect_ready();
    bed.write(2);
    assert_eq!(*told.lock().unwrap(), [(0, 1500), (1, 9000)]);
}

/// Otherwise one instance after the other would die in its start.
#[test]
fn a_link_that_nobody_can_use_is_waited_for() {
    let least = "an MTU of 400 is less than 500, the least that a VCP can use";
    let least_ipv6 = "an MTU of 1279 is less than 1280, the least that a VCP can use with an \
                      IPv6 address";
    for (address, mtu, why, mended) in [
        ("192.0.2.1/24", 400, least, 500),
        ("2001:db8::1/64", 1279, least_ipv6, 1280),
    ] {
        let mut bed = Bed::new(|settings| {
            if let Some(Network::Frames { addresses, .. }) = &mut settings.network {
                *addresses = vec![address.to_owned()];
            }
        });
        bed.pull();
        bed.cable.mtu.store(mtu, Ordering::SeqCst);
        bed.cable.put_back();
        bed.expect_suspended(&format!("the link is gone: {why}"));
        let refused = RestartError::Link(why.to_owned());
        assert_eq!(bed.restart(), Err(refused));
        bed.ask(10);
        bed.cable.mtu.store(mended, Ordering::SeqCst);
        bed.expect_ready();
        assert_eq!(bed.driver.answer(), (10, Status::Ok, Vec::new()));
        let stats = bed.vcp.stats();
        assert_eq!((stats.generation, stats.faults), (2, 0));
    }
}

#[test]
fn attempts_come_less_often_and_never_end() {
    let mut bed = Bed::new(|_| {});
    bed.pull();
    std::thread::sleep(Duration::from_millis(1600));
    // The attempts come at 100, 300, 700 and 1500 ms.
    let attempts = bed.cable.attempts();
    assert!((2..=4).contains(&attempts), "{attempts}");
    // A link that is back and gone again is no reason to try more often.
    for _ in 0..3 {
        bed.cable.put_back();
        bed.expect_ready();
        bed.pull();
    }
    let before = bed.cable.attempts();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(bed.cable.attempts() - before <= 2);
    bed.cable.put_back();
    bed.expect_ready();
    bed.write(2);
}

#[test]
fn after_the_replacement_timeout_requests_fail_until_it_is_back() {
    let mut bed = Bed::new(|settings| {
        settings.restart.replacement_timeout = Some(Duration::from_millis(300));
    });
    bed.cable.pull();
    bed.expect_suspended("the link is gone: no such device");
    let began = Instant::now();
    bed.ask(10);
    assert_eq!(bed.driver.answer(), (10, Status::IoError, Vec::new()));
    assert!(began.elapsed() >= Duration::from_millis(250));
    bed.ask(11);
    assert_eq!(bed.driver.answer(), (11, Status::IoError, Vec::new()));
    assert!(bed.vcp.status().refusing);
    bed.cable.put_back();
    let began = Instant::now();
    while !matches!(bed.next(), Event::Ready(_)) {
        assert!(began.elapsed() < PATIENCE);
    }
    bed.write(12);
}

#[test]
fn an_operator_has_it_tried_at_once_and_is_told() {
    let mut bed = Bed::new(|_| {});
    bed.pull();
    // The next attempt of its own is a second away by then.
    std::thread::sleep(Duration::from_millis(1600));
    let began = Instant::now();
    assert_eq!(bed.restart(), Err(no_interface(RestartError::Link)));
    assert_eq!(bed.reload(), Err(no_interface(ReloadError::Link)));
    assert_eq!(
        bed.vcp.inject(Injection::Kill).blocking_recv().unwrap(),
        Err(InjectError::NoInstance)
    );
    assert!(began.elapsed() < Duration::from_millis(500));
    bed.cable.put_back();
    assert_eq!(bed.restart(), Ok(2));
    bed.expect_ready();
    bed.write(2);
    // A restart works while it serves, too.
    assert_eq!(bed.restart(), Ok(3));
    bed.expect_ready();
    bed.write(3);
}

#[test]
fn a_reload_brings_the_link_back_too() {
    let mut bed = Bed::new(|_| {});
    bed.pull();
    bed.ask(10);
    bed.cable.put_back();
    let generation = bed.reload().unwrap();
    assert!(generation >= 3, "{generation}");
    assert_eq!(bed.driver.answer(), (10, Status::Ok, Vec::new()));
    bed.write(2);
}

/// A module on trial has not proved itself: the one before it comes back.
#[test]
fn a_module_on_trial_makes_way_when_the_link_goes() {
    let mut bed = Bed::new(|settings| {
        settings.reload.probation = Duration::from_secs(60);
    });
    assert_eq!(bed.reload(), Ok(2));
    bed.expect_ready();
    assert!(matches!(bed.next(), Event::Reloaded(_)));
    bed.cable.pull();
    let why = "the link is gone: no such device";
    assert_eq!(bed.next(), Event::RolledBack(why.to_owned()));
    bed.expect_suspended(why);
    bed.cable.put_back();
    let began = Instant::now();
    while !matches!(bed.next(), Event::Ready(_)) {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(bed.vcp.status().previous, None);
    bed.write(2);
}

/// There is nothing that could be tried, so the VCP is held.
#[test]
fn a_link_that_cant_be_opened_again_is_the_end() {
    let mut bed = Bed::with(false, |_| {});
    bed.cable.pull();
    let why = "the link is gone: no such device".to_owned();
    assert_eq!(bed.next(), Event::Failed(why.clone()));
    assert_eq!(bed.vcp.status().state, State::Held(why));
    bed.ask(10);
    assert_eq!(bed.driver.answer(), (10, Status::IoError, Vec::new()));
    bed.cable.put_back();
    let refused = RestartError::Link("it can't be opened again".to_owned());
    assert_eq!(bed.restart(), Err(refused));
}

/// A host that perseveres asks again each time it hears that it failed.
#[test]
fn one_that_is_held_is_revived_once_the_link_can_be_opened() {
    let mut bed = Bed::new(|settings| settings.restart.always = false);
    let outcome = bed.vcp.inject(Injection::Kill).blocking_recv().unwrap();
    assert_eq!(outcome, Ok(1));
    assert!(matches!(bed.next(), Event::Fault { .. }));
    assert!(matches!(bed.next(), Event::Failed(_)));
    bed.cable.pull();
    // It stays held, and no attempt is made.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bed.cable.attempts(), 0);
    assert_eq!(bed.restart(), Err(no_interface(RestartError::Link)));
    assert_eq!(bed.next(), Event::Failed(ABSENT.to_owned()));
    bed.cable.put_back();
    assert_eq!(bed.restart(), Ok(2));
    bed.expect_ready();
    bed.write(2);
}

#[test]
fn it_ends_in_time_without_its_link() {
    let mut bed = Bed::new(|_| {});
    bed.pull();
    bed.ask(10);
    let began = Instant::now();
    while bed.vcp.stats().unanswered == 0 {
        assert!(began.elapsed() < PATIENCE, "it was not taken in");
        std::thread::sleep(Duration::from_millis(1));
    }
    let began = Instant::now();
    bed.vcp.stop();
    assert_eq!(bed.driver.answer(), (10, Status::ShuttingDown, Vec::new()));
    while bed.next() != Event::Stopped {}
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// Opening may be slow; other VCPs on the thread go on.
#[test]
fn a_slow_attempt_holds_nobody_up() {
    let mut bed = Bed::new(|settings| {
        settings.cpu.pin = vec![0];
        if let Some(Network::Frames { reopen, .. }) = &mut settings.network {
            *reopen = Some(Arc::new(|| {
                std::thread::sleep(Duration::from_secs(2));
                Err("slow".to_owned())
            }));
        }
    });
    let mut settings = settings_for(module(), &[]);
    settings.name = "other".to_owned();
    settings.cpu.pin = vec![0];
    settings.network = Some(Network::Streams {
        peers: vcp_core::Peers::default(),
    });
    let (other, mut events) = Vcp::start(engine(), settings).unwrap();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    let driver = Driver::attach(&other);
    bed.cable.pull();
    bed.expect_suspended("the link is gone: no such device");
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    for cookie in 0..20 {
        driver.ask(cookie, Operation::Read, 0, 4096, Vec::new());
        assert_eq!(driver.answer().1, Status::Ok);
    }
    assert!(began.elapsed() < Duration::from_millis(500));
}

/// A VCP behind a cable that is not there yet, and its events.
fn awaiting(cable: &Arc<Cable>) -> (Vcp, UnboundedReceiver<Event>) {
    cable.out.store(true, Ordering::SeqCst);
    let mut settings = settings_for(module(), &[]);
    let again = Arc::clone(cable);
    settings.network = Some(Network::Awaited {
        why: "packet eth0: there is no such interface".to_owned(),
        addresses: vec!["192.0.2.1/24".to_owned()],
        gateways: Vec::new(),
        reopen: Arc::new(move || {
            again.attempts.fetch_add(1, Ordering::SeqCst);
            again.open()
        }),
    });
    Vcp::start(engine(), settings).unwrap()
}

const NOT_YET: &str = "there is no link yet: packet eth0: there is no such interface";

#[test]
fn a_link_that_is_not_there_at_the_start_is_waited_for() {
    let cable = Cable::new();
    let (vcp, mut events) = awaiting(&cable);
    assert_eq!(next(&mut events), Event::Suspended(NOT_YET.to_owned()));
    let driver = Driver::attach(&vcp);
    driver.write(1, 4096, vec![7; 4096]);
    let began = Instant::now();
    while cable.attempts() < 2 {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(vcp.status().state, State::Suspended(NOT_YET.to_owned()));
    assert!(events.try_recv().is_err(), "it is told once");
    let refused = vcp.restart().blocking_recv().unwrap();
    assert_eq!(refused, Err(no_interface(RestartError::Link)));
    cable.put_back();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    assert_eq!(driver.answer(), (1, Status::Ok, Vec::new()));
    let stats = vcp.stats();
    assert_eq!((stats.generation, stats.faults), (1, 0));
    // From here on it is like any other VCP.
    cable.pull();
    let gone = Event::Suspended("the link is gone: no such device".to_owned());
    assert_eq!(next(&mut events), gone);
    vcp.stop();
    while next(&mut events) != Event::Stopped {}
}

#[test]
fn one_that_waits_for_its_first_link_stops_at_once() {
    let (vcp, mut events) = awaiting(&Cable::new());
    assert_eq!(next(&mut events), Event::Suspended(NOT_YET.to_owned()));
    let began = Instant::now();
    vcp.stop();
    while next(&mut events) != Event::Stopped {}
    assert!(began.elapsed() < Duration::from_secs(1));
}
