//! Ill use of WASI by a VCP that was granted nothing.

use std::sync::LazyLock;
use std::time::Duration;

use vcp_core::{DirectoryGrant, Event, Fault, Module};

use crate::cases;
use crate::scenario::{Scenario, load, settings};

static WASI: LazyLock<Module> = LazyLock::new(|| load("wasi", vcp_test_guests::MISBEHAVE_WASI));

/// Runs `test` where a host runs its VCPs: beside a runtime with timers.
fn with_timers(test: impl FnOnce() + Send + 'static) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let handle = runtime.handle().clone();
    let test = std::thread::spawn(move || {
        let _entered = handle.enter();
        test();
    });
    while !test.is_finished() {
        runtime.block_on(tokio::time::sleep(Duration::from_millis(10)));
    }
    test.join().unwrap();
}

/// It sleeps for 34 years, and the host does not wait for it.
fn given_up_waiting(fault: &str) {
    let settings = settings(&WASI, &[("fault", fault)]);
    with_timers(move || {
        let mut scenario = Scenario::start(settings);
        scenario.expect_ready();
        scenario.strike();
        let limit = Duration::from_millis(200);
        assert_eq!(scenario.expect_fault(1), Fault::Watchdog { limit });
        scenario.expect_ready();
        scenario.expect_answers();
        scenario.end();
    });
}

/// It tries, gets nothing, and says so.
fn gets(nothing: &'static str) -> impl Fn(&str) {
    move |fault| {
        let settings = settings(&WASI, &[("fault", fault)]);
        with_timers(move || {
            let mut scenario = Scenario::start(settings);
            scenario.expect_ready();
            scenario.strike();
            scenario.expect_answers();
            assert_eq!(scenario.event(), Event::Found(nothing.to_owned()));
            scenario.end();
        });
    }
}

/// Its output is for its log, and it lives on; `speech.rs` reads that log.
fn goes_on(fault: &str) {
    let settings = settings(&WASI, &[("fault", fault)]);
    with_timers(move || {
        let mut scenario = Scenario::start(settings);
        scenario.expect_ready();
        scenario.strike();
        scenario.expect_answers();
        scenario.end();
    });
}

/// The message of its panic is in its crash report.
fn dies_saying_why(fault: &str) {
    let settings = settings(&WASI, &[("fault", fault)]);
    with_timers(move || {
        let mut scenario = Scenario::start(settings);
        scenario.expect_ready();
        scenario.strike();
        assert_eq!(scenario.expect_fault(1).kind(), "trap");
        let reports = scenario.vcp.reports();
        let said = &reports.last().unwrap().said;
        assert_eq!(said[0], "just before", "{said:?}");
        let panicked = said.iter().position(|line| line.contains("panicked at"));
        let why = said.get(panicked.unwrap() + 1).unwrap();
        assert_eq!(why, "no such thing as panic-std", "{said:?}");
        scenario.expect_ready();
        scenario.end();
    });
}

/// Runs a check with a file of 4096 bytes under `/data`, which is unchanged at the end.
fn with_a_file(fault: &str, check: impl FnOnce(&mut Scenario) + Send + 'static) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f");
    std::fs::write(&path, [7; 4096]).unwrap();
    let mut settings = settings(&WASI, &[("fault", fault)]);
    let grant = DirectoryGrant::open(directory.path(), "/data", false).unwrap();
    settings.grants = vec![grant];
    with_timers(move || {
        let mut scenario = Scenario::start(settings);
        scenario.expect_ready();
        scenario.strike();
        check(&mut scenario);
        scenario.end();
    });
    assert!(std::fs::read(&path).unwrap() == [7; 4096]);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

/// It names bytes that it does not have: that is its fault, and not the host's.
fn outside(named: &'static str) -> impl Fn(&str) {
    move |fault| {
        with_a_file(fault, move |scenario| {
            let found = scenario.expect_fault(1);
            let expected = Fault::Span {
                what: named,
                address: u32::MAX - 4,
                length: 100,
            };
            assert_eq!(found, expected);
            scenario.expect_ready();
            scenario.expect_answers();
        });
    }
}

/// It is told what is wrong.
fn hears(expected: &'static str) -> impl Fn(&str) {
    move |fault| {
        with_a_file(fault, move |scenario| {
            scenario.expect_answers();
            assert_eq!(scenario.event(), Event::Found(expected.to_owned()));
        });
    }
}

/// It may wait for the storage, but not for ever.
fn ends_although_it_only_waits(fault: &str) {
    with_a_file(fault, move |scenario| {
        let began = std::time::Instant::now();
        let limit = Duration::from_millis(200);
        assert_eq!(scenario.expect_fault(1), Fault::Watchdog { limit });
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "as slow as it is"
        );
        scenario.expect_ready();
        scenario.expect_answers();
    });
}

const READING_ONLY: &str = "not-permitted not-permitted not-permitted not-permitted, \
     is to be made, but not to be written";

cases! { vcp_test_guests::faults::wasi::FAULTS,
    file_read_outside => outside("room");
    file_write_outside => outside("data");
    file_extents_outside => outside("room");
    file_odd => hears("14 of 14, io-error");
    file_many => hears("true is one more than may be open at a time");
    file_sync_endless => ends_although_it_only_waits;
    file_not_to_be_written => hears(READING_ONLY);
    sleep => given_up_waiting;
    sockets => gets("0 false false");
    stdout => gets("true false");
    environment => gets("0 0");
    speech => goes_on;
    panic_std => dies_saying_why;
}
