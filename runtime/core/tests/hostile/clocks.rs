//! Requests that are never answered by a device that goes on with others: each has a time of
//! its own, and no other client hears of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vcp_core::{Event, State, Vcp};
use vcp_queue::{Operation, Status};

use crate::scenario::{DEVICE, Scenario, settings};
use crate::support::{Driver, request};

const TIMEOUT: Duration = Duration::from_millis(800);
/// The least time that requests have when their VCP died.
const GRACE: Duration = Duration::from_secs(5);
/// The delay that a busy machine may add.
const LATE: Duration = Duration::from_millis(1500);

/// Hung VCPs are found out sooner than requests time out. A VCP that says that it waits does
/// not count as hung.
fn start(config: &[(&str, &str)]) -> Scenario {
    let mut settings = settings(&DEVICE, config);
    settings.watchdog.progress = Some(TIMEOUT / 4);
    settings.restart.replacement_timeout = Some(TIMEOUT);
    let mut scenario = Scenario::start(settings);
    scenario.expect_ready();
    scenario
}

/// Another client, which reads and writes all the time while `work` is done and is
/// never to hear of an error. Returns how often it was answered, and the longest
/// that it waited.
fn beside<T>(vcp: &Vcp, work: impl FnOnce() -> T) -> (T, u32, Duration) {
    let driver = Driver::attach(vcp);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        let other = scope.spawn(move || {
            let (mut rounds, mut longest) = (0, Duration::ZERO);
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                driver.ask_all([
                    request(1, Operation::Read, 0, 4096, Vec::new()),
                    request(2, Operation::Write, 32768, 512, vec![9; 512]),
                ]);
                for _ in 0..2 {
                    let (cookie, status, _) = driver.answer();
                    assert_eq!(status, Status::Ok, "of {cookie}, round {rounds}");
                }
                rounds += 1;
                longest = longest.max(began.elapsed());
            }
            (rounds, longest)
        });
        // This is done also if the work fails.
        let done = {
            let _over = Over(over);
            work()
        };
        let (rounds, longest) = other.join().expect("the other client is served");
        (done, rounds, longest)
    })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The batch with a flush in it: all is answered, the flush with an error, and not
/// before its time nor long after. Returns when.
fn only_the_flush_fails(driver: &Driver, limit: Duration) -> Duration {
    let began = Instant::now();
    for _ in 0..5 {
        let (cookie, status, _) = driver.answer();
        assert!(
            cookie != 12 && status == Status::Ok,
            "{status:?} of {cookie}"
        );
    }
    assert_eq!(driver.answer(), (12, Status::IoError, Vec::new()));
    let after = began.elapsed();
    assert!(
        limit <= after + LATE / 10 && after < limit + LATE,
        "{after:?}"
    );
    after
}

/// Waits for the event of that. Returns how many suspensions and faults came before it.
fn expect_expired(scenario: &mut Scenario, expected: &str) -> (usize, usize) {
    let (mut waits, mut faults) = (0, 0);
    loop {
        match scenario.event() {
            Event::Ready(_) => {}
            Event::Suspended(_) => waits += 1,
            Event::Fault { .. } => faults += 1,
            Event::Expired {
                failed,
                refusing,
                why,
            } => {
                assert_eq!((failed, refusing), (1, false));
                assert!(why.contains(expected), "{why}");
                return (waits, faults);
            }
            event => panic!("{event:?}"),
        }
    }
}

/// The VCP puts off some of what it is asked, says so, and does the rest.
pub(crate) fn put_off(fault: &str) {
    // It waits for less than the timeout, and for longer than a hung VCP may take.
    let config = [("fault", fault), ("generations", "1..1"), ("resume", "400")];
    let mut scenario = start(&config);
    let ((), rounds, _) = beside(&scenario.vcp, || {
        scenario.strike();
        std::thread::sleep(Duration::from_millis(200));
        let status = scenario.vcp.status();
        assert_eq!(status.state, State::Suspended("as you wish".to_owned()));
        scenario.expect_answers();
    });
    assert!(rounds > 10, "{rounds} rounds");
    assert!(matches!(scenario.event(), Event::Suspended(_)));
    scenario.expect_ready();
    assert_eq!(
        (scenario.vcp.stats().generation, scenario.vcp.stats().faults),
        (1, 0)
    );
    scenario.finish_served();

    // It waits for ever: the answers to other requests do not count.
    let mut scenario = start(&config[..2]);
    let (_, rounds, longest) = beside(&scenario.vcp, || {
        scenario.strike();
        only_the_flush_fails(&scenario.driver, TIMEOUT)
    });
    assert!(
        rounds > 10 && longest < LATE,
        "{rounds} rounds, {longest:?}"
    );
    assert_eq!(expect_expired(&mut scenario, "as you wish"), (1, 0));
    scenario.expect_ready();
    assert_eq!(
        (scenario.vcp.stats().generation, scenario.vcp.stats().faults),
        (2, 0)
    );
    scenario.finish_served();
}

/// The VCP has sessions, each of which ends without an answer to one of its requests.
pub(crate) fn deaf(fault: &str) {
    let config = [("fault", fault), ("generations", "1..2"), ("resume", "100")];
    let mut scenario = start(&config);
    // It is done twice, as later requests have their own time.
    for generation in 1..3 {
        let (_, rounds, longest) = beside(&scenario.vcp, || {
            scenario.strike();
            only_the_flush_fails(&scenario.driver, TIMEOUT)
        });
        assert!(
            rounds > 10 && longest < LATE,
            "{rounds} rounds, {longest:?}"
        );
        let (waits, faults) = expect_expired(&mut scenario, "no answer to a flush");
        assert!((3..=5).contains(&waits) && faults == 0, "{waits} outages");
        scenario.expect_ready();
        assert_eq!(scenario.vcp.stats().generation, generation + 1);
        assert!(!scenario.vcp.status().refusing);
    }
    scenario.finish_served();
}

/// Without a timeout, it goes on for as long as it takes.
#[test]
fn without_a_timeout_it_waits() {
    let config = [("fault", "deaf"), ("generations", "1..1"), ("resume", "50")];
    let mut settings = settings(&DEVICE, &config);
    settings.restart.replacement_timeout = None;
    let mut scenario = Scenario::start(settings);
    scenario.expect_ready();
    scenario.driver.ask(12, Operation::Flush, 0, 0, Vec::new());
    let answer = scenario.driver.answers.recv_timeout(Duration::from_secs(2));
    assert!(answer.is_err(), "{answer:?}");
    scenario.vcp.restart();
    assert_eq!(scenario.driver.answer(), (12, Status::Ok, Vec::new()));
}

/// A request kills every instance that it is given to, or hangs each: it fails as soon as
/// that is known, and nothing beside it does.
fn poison(fault: &str, within: Duration, kind: &str, faults: u64) {
    let mut scenario = start(&[("fault", fault), ("generations", "1..1000000")]);
    let began = Instant::now();
    let (_, rounds, _) = beside(&scenario.vcp, || {
        scenario.strike();
        // The answers come in any order: each request is tried when its turn comes.
        for _ in 0..6 {
            let (cookie, status, _) = scenario.driver.answer();
            assert_eq!(
                status == Status::IoError,
                cookie == 12,
                "{status:?} of {cookie}"
            );
        }
    });
    assert!(began.elapsed() < within, "{:?}", began.elapsed());
    assert!(rounds > 0);
    loop {
        match scenario.event() {
            Event::Ready(_) | Event::Fault { .. } => {}
            Event::Poison {
                operation: Operation::Flush,
                offset: 0,
                length: 0,
                client,
                fault,
            } => {
                assert_eq!((&*client, fault.kind()), ("test", kind));
                break;
            }
            event => panic!("{event:?}"),
        }
    }
    assert_eq!(scenario.vcp.stats().faults, faults);
    // The next such request costs as much again, and the others still cost nothing.
    scenario.expect_ready();
    scenario.check_io();
    assert_eq!(scenario.vcp.stats().faults, faults);
    scenario.end();
}

#[test]
fn a_request_that_kills_is_found_out() {
    poison("panic", GRACE / 2, "trap", 4);
}

#[test]
fn a_request_that_hangs_is_found_out() {
    poison("silent", GRACE / 2, "stalled", 2);
}

/// As [`start`], but no request fails for what it does to instances.
fn patient(config: &[(&str, &str)]) -> Scenario {
    let mut settings = settings(&DEVICE, config);
    settings.watchdog.progress = Some(TIMEOUT / 4);
    settings.restart.replacement_timeout = Some(TIMEOUT);
    settings.restart.poison_after = None;
    let mut scenario = Scenario::start(settings);
    scenario.expect_ready();
    scenario
}

/// The request is not failed as the culprit, but when its time is up, and those beside it
/// are answered by the instances between.
#[test]
fn a_request_that_kills_fails_alone() {
    let mut scenario = patient(&[("fault", "panic"), ("generations", "1..1000000")]);
    let (_, rounds, longest) = beside(&scenario.vcp, || {
        scenario.strike();
        only_the_flush_fails(&scenario.driver, GRACE)
    });
    assert!(
        rounds > 100 && longest < LATE,
        "{rounds} rounds, {longest:?}"
    );
    let (_, faults) = expect_expired(&mut scenario, "unreachable");
    // The first few come in a row, then further and further apart.
    assert!((5..20).contains(&faults), "{faults} faults");
    let before = scenario.vcp.stats().faults;
    scenario.check_io();
    assert_eq!(scenario.vcp.stats().faults, before);
    assert!(!scenario.vcp.status().refusing);
    scenario.end();
}

/// Each instance hangs at this request.
#[test]
fn a_request_that_hangs_fails_alone() {
    let config = [("fault", "silent"), ("generations", "1..1000000")];
    let mut scenario = patient(&config);
    scenario.strike();
    // The flush is not the first of those that were held when it hung.
    only_the_flush_fails(&scenario.driver, GRACE);
    let (_, faults) = expect_expired(&mut scenario, "no request answered");
    assert!(faults >= 2, "{faults} faults");
}
