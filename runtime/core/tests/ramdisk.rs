//! A whole VCP in one process: the RAM disk, driven through its queue.

mod support;

use std::time::{Duration, Instant};

use vcp_core::native::{self, Events, Notice, Request, Span};
use vcp_core::{Alone, Cache, Engine, Event, Fault, Injection, Module, RescanError, Settings, Vcp};
use vcp_queue::{Operation, Status};

use support::{Driver, next, settings_for};

fn settings(config: &[(&str, &str)]) -> (Engine, Settings) {
    let engine = Engine::new(true).unwrap();
    let bytes = vcp_builtin::find("ramdisk").unwrap().bytes;
    let module = Module::load(&engine, &Cache::of_user(), "ramdisk", bytes).unwrap();
    (engine, settings_for(module, config))
}

#[test]
fn reads_give_what_writes_put_there() {
    let (engine, settings) = settings(&[("size", "8388608")]);
    let (vcp, mut events) = Vcp::start(&engine, settings).unwrap();
    let Event::Ready(geometry) = next(&mut events) else {
        panic!("not ready")
    };
    assert_eq!((geometry.size, geometry.block_size), (8 << 20, 512));
    let driver = Driver::attach(&vcp);
    // It is longer than the longest entry, and unaligned at both ends.
    let payload: Vec<u8> = (0..3_000_001u32).map(|n| (n % 251) as u8).collect();
    driver.write(1, 77, payload.clone());
    assert_eq!(driver.answer(), (1, Status::Ok, Vec::new()));
    driver.ask(2, Operation::Read, 77, 3_000_001, Vec::new());
    let (cookie, status, data) = driver.answer();
    assert_eq!((cookie, status), (2, Status::Ok));
    assert!(data == payload);
    driver.ask(3, Operation::WriteZeroes, 100, 1000, Vec::new());
    assert_eq!(driver.answer().1, Status::Ok);
    driver.ask(4, Operation::Read, 96, 8, Vec::new());
    assert_eq!(
        driver.answer().2,
        [
            payload[19],
            payload[20],
            payload[21],
            payload[22],
            0,
            0,
            0,
            0
        ]
    );
    let stats = vcp.stats();
    assert_eq!(
        (stats.completed, stats.generation, stats.clients),
        (4, 1, 1)
    );
    assert!(stats.fuel > 0);
    vcp.stop();
    assert_eq!(next(&mut events), Event::Stopped);
}

/// The counters of what it did stay; those of what it has become 0.
#[test]
fn one_that_has_stopped_has_no_clients() {
    let (engine, settings) = settings(&[("size", "1048576")]);
    let (vcp, mut events) = Vcp::start(&engine, settings).unwrap();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    let driver = Driver::attach(&vcp);
    driver.write(1, 0, vec![7; 512]);
    assert_eq!(driver.answer().1, Status::Ok);
    vcp.stop();
    assert_eq!(next(&mut events), Event::Stopped);
    let began = Instant::now();
    while vcp.status().state != vcp_core::State::Stopped {
        assert!(began.elapsed() < support::PATIENCE);
        std::thread::sleep(Duration::from_millis(1));
    }
    let stats = vcp.stats();
    assert_eq!((stats.clients, stats.held, stats.memory), (0, 0, 0));
    assert_eq!(stats.completed, 1);
}

#[test]
fn a_killed_vcp_comes_back_and_answers_everything() {
    let (engine, mut settings) = settings(&[("size", "1048576"), ("after-fault", "blank")]);
    settings.restart.min_run = Duration::ZERO;
    let (vcp, mut events) = Vcp::start(&engine, settings).unwrap();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    let driver = Driver::attach(&vcp);
    for round in 0..50u64 {
        for n in 0..20 {
            driver.write(round * 20 + n, n * 4096, vec![round as u8; 4096]);
        }
        vcp.inject(Injection::Kill);
        for _ in 0..20 {
            assert_eq!(driver.answer().1, Status::Ok);
        }
        // The event may come after the answers.
        let of = loop {
            if let Event::Fault {
                fault, generation, ..
            } = next(&mut events)
            {
                assert_eq!(fault, Fault::Injected);
                break generation;
            }
        };
        assert_eq!(u64::from(of), round + 1);
    }
}

#[test]
fn what_a_module_refuses_is_told_in_its_words() {
    for (config, why) in [
        (vec![], "config.size: missing; give a size such as 16MiB"),
        (
            vec![("size", "1000")],
            "config.size: \"1000\" is not a size that is a multiple of 512",
        ),
        (
            vec![("size", "512"), ("colour", "red")],
            "config.colour: unknown key; a RAM disk has: size, after-fault",
        ),
    ] {
        let (engine, settings) = settings(&config);
        let (_vcp, mut events) = Vcp::start(&engine, settings).unwrap();
        let failed = loop {
            match next(&mut events) {
                Event::Fault { .. } => {}
                event => break event,
            }
        };
        assert_eq!(failed, Event::Failed(why.to_owned()));
    }
}

#[test]
fn memory_and_fuel_have_limits() {
    let (engine, mut tight) = settings(&[("size", "134217728")]);
    tight.memory = Some(64 << 20);
    let (_vcp, mut events) = Vcp::start(&engine, tight).unwrap();
    let failed = loop {
        if let Event::Failed(why) = next(&mut events) {
            break why;
        }
    };
    assert_eq!(
        failed,
        "config.size: a RAM disk of 134217728 bytes needs 140MiB of memory; it may have \
         65536KiB (`memory`)"
    );

    let (engine, mut slow) = settings(&[("size", "1048576")]);
    slow.watchdog.fuel = Some(50);
    let (_vcp, mut events) = Vcp::start(&engine, slow).unwrap();
    let Event::Fault { fault, .. } = next(&mut events) else {
        panic!("no fault")
    };
    assert_eq!(fault, Fault::Fuel { limit: 50 });
}

#[test]
fn one_by_itself_is_called_by_hand() {
    let (engine, settings) = settings(&[("size", "1048576")]);
    let mut vcp = Alone::start(&engine, settings, None).unwrap();
    let data = Span {
        length: 4096,
        ..vcp.areas().data
    };
    let call = |vcp: &mut Alone, tag: u64, operation| {
        let request = Request {
            tag,
            operation,
            modifiers: native::Modifiers::empty(),
            offset: 8192,
            length: data.length,
            data,
        };
        let events = Events {
            now: tag,
            commands: Vec::new(),
            requests: vec![request],
            frames: Vec::new(),
            stream_data: Vec::new(),
            stream_events: Vec::new(),
        };
        vcp.process(&events).unwrap()
    };
    vcp.bytes_mut(data).unwrap().fill(7);
    let effects = call(&mut vcp, 1, native::Operation::Write);
    assert!(matches!(effects.notices[..], [Notice::Ready(_)]));
    assert_eq!(effects.completions[0].tag, 1);
    vcp.bytes_mut(data).unwrap().fill(0);
    let used = vcp.fuel();
    assert!(used > 0);
    let effects = call(&mut vcp, 2, native::Operation::Read);
    let answer = effects.completions[0];
    assert_eq!((answer.tag, answer.status), (2, native::Status::Ok));
    assert_eq!(vcp.bytes(answer.data).unwrap(), [7; 4096]);
    assert!(vcp.fuel() > used);
    let outside = Span {
        address: u32::MAX - 10,
        length: 4096,
    };
    assert!(vcp.bytes(outside).is_err() && vcp.bytes_mut(outside).is_none());
}

#[test]
fn one_by_itself_says_why_it_does_not_start() {
    let (engine, settings) = settings(&[("colour", "red")]);
    let error = Alone::start(&engine, settings, None).err().unwrap();
    assert!(
        matches!(&error, Fault::Init(why) if why.contains("colour")),
        "{error}"
    );
}

#[test]
fn rescan_is_answered_by_who_looks_and_by_no_other() {
    let (engine, settings) = settings(&[("size", "1048576"), ("after-fault", "blank")]);
    let (vcp, mut events) = Vcp::start(&engine, settings).unwrap();
    assert!(matches!(next(&mut events), Event::Ready(_)));
    let rescanned = vcp.rescan().blocking_recv().unwrap().unwrap();
    assert_eq!((rescanned.before, rescanned.size), (1 << 20, 1 << 20));
    assert!(!rescanned.changed);
    assert!(matches!(next(&mut events), Event::Ready(_)));
    // The instance answers nothing; those who wait are told when it is gone.
    vcp.inject(Injection::Stall);
    let mut silent = vcp.rescan();
    std::thread::sleep(Duration::from_millis(50));
    assert!(silent.try_recv().is_err());
    vcp.inject(Injection::Kill);
    assert_eq!(
        silent.blocking_recv().unwrap(),
        Err(RescanError::NotServing)
    );
    // Too many rescans wait for an instance that does not answer.
    while !matches!(next(&mut events), Event::Ready(_)) {}
    vcp.inject(Injection::Stall);
    // The receivers are kept: those that have gone away would make room.
    let mut waiting: Vec<_> = (0..17).map(|_| vcp.rescan()).collect();
    let last = waiting.pop().unwrap();
    assert_eq!(last.blocking_recv().unwrap(), Err(RescanError::Busy));
    vcp.stop();
    while next(&mut events) != Event::Stopped {}
    assert!(vcp.rescan().blocking_recv().is_err());
}
