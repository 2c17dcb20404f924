//! Instances that start and don't serve, or stop serving without dying.

use std::time::Duration;

use vcp_core::{Event, Fault, Injection, State};
use vcp_queue::Status;

use crate::cases;
use crate::clocks;
use crate::scenario::{DEVICE, Scenario, settings};

const SHORT: Duration = Duration::from_millis(300);

/// A VCP with a fault, whose host has little patience.
fn impatient(config: &[(&str, &str)]) -> Scenario {
    let mut settings = settings(&DEVICE, config);
    settings.watchdog.progress = Some(SHORT);
    settings.restart.replacement_timeout = Some(SHORT);
    Scenario::start(settings)
}

/// A VCP that served once and was killed: the fault is in the second generation.
fn second(fault: &str) -> Scenario {
    let mut scenario = impatient(&[("fault", fault), ("generations", "2..2")]);
    scenario.expect_ready();
    scenario.vcp.inject(Injection::Kill);
    assert_eq!(scenario.expect_fault(1), Fault::Injected);
    scenario.strike();
    scenario
}

/// The instance says nothing at all, and is replaced.
fn silent(fault: &str) {
    let mut scenario = second(fault);
    assert_eq!(scenario.expect_fault(2), Fault::NotReady { limit: SHORT });
    scenario.expect_ready();
    scenario.expect_answers();
    scenario.finish_served();
}

fn suspended(scenario: &mut Scenario) {
    let event = scenario.event();
    assert!(matches!(event, Event::Suspended(_)), "{event:?}");
}

/// Expects that the device is away, and that so many requests failed.
fn expired(scenario: &mut Scenario, failed: usize, why: &str) {
    let (refusing, why) = (true, why.to_owned());
    let expected = Event::Expired {
        failed,
        refusing,
        why,
    };
    assert_eq!(scenario.event(), expected);
}

/// The instance waits for longer than its clients are to: they get an error, and another
/// instance gets what they ask next.
fn waits(fault: &str) {
    let mut scenario = second(fault);
    suspended(&mut scenario);
    expired(&mut scenario, 6, "not yet");
    scenario.expect_refusals(6, Status::IoError);
    scenario.expect_ready();
    scenario.finish_served();
}

/// The instance gives up; the VCP is held, and can be revived.
fn gives_up(fault: &str) {
    let mut scenario = second(fault);
    scenario.expect_failed();
    scenario.expect_refusals(6, Status::IoError);
    assert!(matches!(scenario.vcp.status().state, State::Held(_)));
    scenario.vcp.restart();
    scenario.expect_ready();
    scenario.finish_served();
}

/// In the middle of its work the instance has to wait: once not for long, once for ever.
fn waits_under_load(fault: &str) {
    let config = [("fault", fault), ("generations", "1..1"), ("resume", "100")];
    let mut scenario = impatient(&config);
    scenario.expect_ready();
    scenario.strike();
    suspended(&mut scenario);
    scenario.expect_ready();
    scenario.expect_answers();
    assert_eq!(scenario.vcp.stats().generation, 1);
    scenario.finish_served();

    let mut scenario = impatient(&config[..2]);
    scenario.expect_ready();
    scenario.strike();
    suspended(&mut scenario);
    expired(&mut scenario, 6, "as you wish");
    scenario.expect_refusals(6, Status::IoError);
    scenario.expect_ready();
    assert_eq!(scenario.vcp.stats().generation, 2);
    scenario.finish_served();
}

/// The instance wants more memory than there is, and can do without.
fn unheard(fault: &str) {
    let mut scenario = impatient(&[("fault", fault), ("generations", "1..1")]);
    scenario.expect_ready();
    scenario.strike();
    scenario.expect_answers();
    scenario.finish_served();
}

cases! { vcp_test_guests::faults::recovery::FAULTS,
    never_ready => silent;
    suspended_first => waits;
    failed_first => gives_up;
    suspend => waits_under_load;
    put_off => clocks::put_off;
    deaf => clocks::deaf;
    grow => unheard;
}
