//! Faults of every kind, what is reported of them, and what follows: restarts,
//! spares, holds, reloads, roll-backs.

mod support;

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use vcp_core::{
    Cache, Engine, Event, Injection, Module, Next, ReloadError, Reloaded, Settings, State, Vcp,
    What,
};
use vcp_queue::{Operation, Status};

use support::{Driver, PATIENCE, next, settings_for};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(true).unwrap());

fn ramdisk() -> Module {
    let found = vcp_builtin::find("ramdisk").unwrap();
    Module::load(&ENGINE, &Cache::of_user(), "ramdisk", found.bytes).unwrap()
}

/// A RAM disk that comes back blank, and whose watchdogs bite soon.
fn settings() -> Settings {
    let config = [("size", "1048576"), ("after-fault", "blank")];
    let mut settings = settings_for(ramdisk(), &config);
    settings.watchdog.fuel = Some(5_000_000);
    settings.watchdog.call = Duration::from_millis(500);
    settings.watchdog.progress = Some(Duration::from_millis(100));
    settings.restart.min_run = Duration::ZERO;
    settings
}

fn start(settings: Settings) -> (Vcp, UnboundedReceiver<Event>, Driver) {
    let (vcp, mut events) = Vcp::start(&ENGINE, settings).unwrap();
    let event = next(&mut events);
    assert!(matches!(event, Event::Ready(_)), "{event:?}");
    let driver = Driver::attach(&vcp);
    (vcp, events, driver)
}

fn reload(vcp: &Vcp, module: Module) -> Result<Reloaded, ReloadError> {
    let mut outcome = vcp.reload(module);
    let began = Instant::now();
    loop {
        if let Ok(outcome) = outcome.try_recv() {
            return outcome;
        }
        assert!(began.elapsed() < PATIENCE, "no outcome in time");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn read(driver: &Driver, offset: u64) -> u8 {
    driver.ask(99, Operation::Read, offset, 4096, Vec::new());
    let (cookie, status, data) = driver.answer();
    assert_eq!((cookie, status, data.len()), (99, Status::Ok, 4096));
    assert!(data.iter().all(|byte| *byte == data[0]));
    data[0]
}

fn write(driver: &Driver, offset: u64, byte: u8) {
    driver.write(98, offset, vec![byte; 4096]);
    assert_eq!(driver.answer(), (98, Status::Ok, Vec::new()));
}

#[test]
fn every_injected_fault_is_told_by_its_kind_and_recovered_from() {
    let (vcp, mut events, driver) = start(settings());
    let kinds = [
        (Injection::Trap, "trap"),
        (Injection::Hang, "watchdog"),
        (Injection::Spin, "fuel"),
        (Injection::Oom, "memory"),
        (Injection::Stack, "stack"),
        (Injection::BadDescriptor, "span"),
        (Injection::Stall, "stalled"),
        (Injection::Cut(1000), "fuel"),
        (Injection::Kill, "injected"),
    ];
    for (generation, (what, kind)) in (1..).zip(kinds) {
        vcp.inject(what);
        driver.write(1, 0, vec![generation as u8; 4096]);
        assert_eq!(driver.answer(), (1, Status::Ok, Vec::new()), "{what}");
        let Event::Fault {
            fault,
            generation: of,
            next: then,
        } = next(&mut events)
        else {
            panic!("no fault of {what}");
        };
        assert_eq!((fault.kind(), of), (kind, generation), "{fault}");
        assert_eq!(then, Next::Restart(Duration::ZERO));
        assert!(matches!(next(&mut events), Event::Ready(_)));
        let report = vcp.reports().pop().unwrap();
        assert_eq!(report.fault, fault);
        assert_eq!((report.generation, report.number), (of, u64::from(of)));
        assert!(report.injected && report.ready && report.memory > 1 << 20);
    }
    let status = vcp.status();
    assert_eq!((status.state, status.generation), (State::Ready, 10));
}

#[test]
fn a_crossing_ends_an_instance_and_its_successor() {
    let (vcp, mut events, driver) = start(settings());
    // The crossings are into `init` and out of it, into the first calls and out of them.
    for crossing in 1..=8 {
        vcp.inject(Injection::Crossing(crossing));
        let (mut deaths, mut writes) = (0, 0);
        while deaths < 2 {
            write(&driver, 0, crossing as u8);
            writes += 1;
            while let Ok(event) = events.try_recv() {
                if let Event::Fault { fault, .. } = event {
                    assert_eq!(fault.kind(), "injected", "crossing {crossing}");
                    deaths += 1;
                }
            }
            assert!(writes < 100, "crossing {crossing}: {deaths} deaths");
        }
    }
    assert_eq!(vcp.stats().faults, 16);
}

#[test]
fn the_clock_stops_what_fuel_does_not() {
    let mut settings = settings();
    settings.watchdog.fuel = None;
    let (vcp, mut events, driver) = start(settings);
    let began = Instant::now();
    vcp.inject(Injection::Spin);
    let Event::Fault { fault, .. } = next(&mut events) else {
        panic!("no fault");
    };
    assert_eq!(fault.kind(), "watchdog");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    write(&driver, 0, 1);
}

#[test]
fn a_report_says_where_it_died_and_what_it_held() {
    let mut settings = settings();
    settings.reports.core_dumps = true;
    settings.reports.keep = 2;
    let (vcp, mut events, driver) = start(settings);
    write(&driver, 8192, 7);
    for _ in 0..3 {
        vcp.inject(Injection::Cut(1000));
        driver.write(5, 4096, vec![1; 4096]);
        driver.answer();
        assert!(matches!(next(&mut events), Event::Fault { .. }));
        assert!(matches!(next(&mut events), Event::Ready(_)));
    }
    let reports = vcp.reports();
    let numbers: Vec<_> = reports.iter().map(|report| report.number).collect();
    assert_eq!(numbers, [2, 3]);
    let report = &reports[1];
    assert!(report.backtrace.contains("vcp_"), "{}", report.backtrace);
    assert_eq!((report.held, report.unanswered), (1, 1));
    assert!(report.fuel >= 1000);
    let core = report.core.as_ref().expect("a core dump");
    assert!(core.starts_with(b"\0asm"));
    assert!(core.windows(9).any(|bytes| bytes == b"corestack"));
    let last = report.recent.last().unwrap();
    assert!(matches!(
        last.what,
        What::Request {
            operation: Operation::Write,
            offset: 4096,
            length: 4096,
            ..
        }
    ));
    assert!(report.recent.iter().any(|entry| matches!(
        entry.what,
        What::Completion {
            status: Status::Ok,
            ..
        }
    )));
}

#[test]
fn a_core_dump_is_had_of_what_did_not_trap_too() {
    let mut settings = settings();
    settings.reports.core_dumps = true;
    let (vcp, mut events, _driver) = start(settings);
    vcp.inject(Injection::BadDescriptor);
    assert!(matches!(next(&mut events), Event::Fault { .. }));
    let report = vcp.reports().pop().unwrap();
    assert_eq!(report.fault.kind(), "span");
    assert!(
        report
            .core
            .as_ref()
            .is_some_and(|core| core.starts_with(b"\0asm"))
    );
    assert_eq!(report.backtrace, "");
}

#[test]
fn after_too_many_crashes_it_is_held_and_can_be_revived() {
    let mut settings = settings();
    settings.restart.min_run = Duration::from_secs(3600);
    settings.restart.backoff_min = Duration::from_millis(1);
    settings.restart.limit = Some(2);
    let (vcp, mut events, driver) = start(settings);
    for expected in [false, false, true] {
        vcp.inject(Injection::Trap);
        let Event::Fault { next: then, .. } = next(&mut events) else {
            panic!("no fault");
        };
        assert_eq!(then == Next::Hold, expected, "{then:?}");
        let event = next(&mut events);
        assert_eq!(matches!(event, Event::Failed(_)), expected, "{event:?}");
    }
    assert!(matches!(vcp.status().state, State::Held(_)));
    driver.write(1, 0, vec![1; 4096]);
    assert_eq!(driver.answer().1, Status::IoError);
    vcp.restart();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    write(&driver, 0, 2);
    // It is held once more, and revived by a reload.
    for _ in 0..3 {
        vcp.inject(Injection::Trap);
        next(&mut events);
        next(&mut events);
    }
    assert!(matches!(vcp.status().state, State::Held(_)));
    assert!(!reload(&vcp, ramdisk()).unwrap().handed_over);
    write(&driver, 0, 3);
}

#[test]
fn a_restart_that_is_asked_for_is_no_fault() {
    let mut settings = settings();
    settings.restart.always = false;
    let (vcp, mut events, driver) = start(settings);
    driver.write(1, 0, vec![1; 4096]);
    vcp.restart();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    assert_eq!(driver.answer().1, Status::Ok);
    assert_eq!((vcp.status().generation, vcp.stats().faults), (2, 0));
    assert!(vcp.reports().is_empty());
}

#[test]
fn a_spare_takes_over() {
    let mut settings = settings();
    settings.restart.spare = true;
    let (vcp, mut events, driver) = start(settings);
    for round in 0..20u8 {
        let began = Instant::now();
        while !vcp.status().spare {
            assert!(began.elapsed() < PATIENCE, "no spare");
            std::thread::sleep(Duration::from_millis(1));
        }
        vcp.inject(Injection::Trap);
        write(&driver, 0, round);
        assert!(matches!(next(&mut events), Event::Fault { .. }));
        assert!(matches!(next(&mut events), Event::Ready(_)));
    }
    assert_eq!(vcp.status().generation, 21);
}

#[test]
fn a_reload_keeps_what_the_device_holds() {
    let (vcp, mut events, driver) = start(settings());
    write(&driver, 4096, 42);
    for round in 0..50u32 {
        // Load on the way: every request is answered, by either version.
        for n in 0..8 {
            driver.write(n, 65536 + n * 4096, vec![round as u8; 4096]);
        }
        let reloaded = reload(&vcp, ramdisk()).unwrap();
        assert_eq!(reloaded.generation, round + 2);
        assert!(reloaded.handed_over, "{reloaded:?}");
        for _ in 0..8 {
            assert_eq!(driver.answer().1, Status::Ok);
        }
        assert_eq!(read(&driver, 65536), round as u8);
        assert!(matches!(next(&mut events), Event::Ready(_)));
        assert!(matches!(next(&mut events), Event::Reloaded(_)));
    }
    assert_eq!(read(&driver, 4096), 42);
    assert_eq!(vcp.stats().faults, 0);
}

#[test]
fn a_module_that_dies_on_trial_makes_way_for_the_one_before() {
    let mut settings = settings();
    settings.reload.probation = Duration::from_millis(200);
    let (vcp, mut events, driver) = start(settings);
    reload(&vcp, ramdisk()).unwrap();
    next(&mut events);
    next(&mut events);
    assert_eq!(vcp.status().previous.as_deref(), Some("ramdisk"));
    vcp.inject(Injection::Trap);
    let Event::Fault { next: then, .. } = next(&mut events) else {
        panic!("no fault");
    };
    assert_eq!(then, Next::RollBack);
    assert!(matches!(next(&mut events), Event::RolledBack(_)));
    assert!(matches!(next(&mut events), Event::Ready(_)));
    write(&driver, 0, 1);
    // After its time of trial a module is restarted like any other.
    reload(&vcp, ramdisk()).unwrap();
    next(&mut events);
    next(&mut events);
    let began = Instant::now();
    while vcp.status().previous.is_some() {
        assert!(began.elapsed() < PATIENCE, "never settled");
        std::thread::sleep(Duration::from_millis(5));
    }
    vcp.inject(Injection::Trap);
    let Event::Fault { next: then, .. } = next(&mut events) else {
        panic!("no fault");
    };
    assert_eq!(then, Next::Restart(Duration::ZERO));
}

#[test]
fn a_crash_on_the_way_does_not_lose_the_reload() {
    let (vcp, _events, driver) = start(settings());
    for round in 0..20u8 {
        driver.write(1, 0, vec![round; 4096]);
        let mut outcome = vcp.reload(ramdisk());
        vcp.inject(Injection::Trap);
        assert_eq!(driver.answer().1, Status::Ok);
        let began = Instant::now();
        loop {
            match outcome.try_recv() {
                Ok(Ok(_)) => break,
                // It came when the new one was there already.
                Ok(Err(ReloadError::RolledBack(_))) => break,
                Ok(Err(error)) => panic!("{error}"),
                Err(_) => assert!(began.elapsed() < PATIENCE, "no outcome"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    write(&driver, 0, 1);
}

#[test]
fn one_reload_at_a_time_and_none_while_stopping() {
    let (vcp, _events, driver) = start(settings());
    // The first may be over before the second is heard of.
    let busy = (0..100).any(|_| {
        let first = vcp.reload(ramdisk());
        let second = vcp.reload(ramdisk()).blocking_recv().unwrap();
        assert!(first.blocking_recv().unwrap().is_ok());
        second == Err(ReloadError::Busy)
    });
    assert!(busy);
    write(&driver, 0, 1);
    vcp.stop();
    let outcome = vcp.reload(ramdisk()).blocking_recv();
    assert!(matches!(outcome, Err(_) | Ok(Err(ReloadError::NotNow(_)))));
}
