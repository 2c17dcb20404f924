//! Ill use of WASI by a VCP that was granted nothing.

use std::sync::LazyLock;
use std::time::Duration;

use vcp_core::{Event, Fault, Module};

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

cases! { vcp_test_guests::faults::wasi::FAULTS,
    sleep => given_up_waiting;
    sockets => gets("0 false false");
    stdout => gets("true false");
    environment => gets("0 0");
}
