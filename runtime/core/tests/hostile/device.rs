//! Faults of a device: at its start, in its answers, in its notices.

use std::time::Duration;

use vcp_core::{Event, Fault, Injection, Next, State};
use vcp_queue::{BadExtents, Operation, Status, Violation};

use crate::cases;
use crate::scenario::{FUEL, Scenario};
use crate::support::request;

type Check = fn(&Fault) -> bool;

/// The VCP can't even start. In the first generation it is given up. In a later one it is
/// tried again if it died of something, and given up too if it said itself that it can't.
fn start(expected: Check) -> impl Fn(&str) {
    move |fault| {
        let mut first = Scenario::device(fault, "1..1");
        let found = first.expect_fault(1);
        assert!(expected(&found), "{found:?}");
        assert_eq!(first.expect_failed(), found.to_string());
        first.strike();
        first.expect_refusals(6, Status::IoError);
        first.end();

        let mut second = Scenario::device(fault, "2..2");
        second.expect_ready();
        second.check_io();
        second.vcp.inject(Injection::Kill);
        assert_eq!(second.expect_fault(1), Fault::Injected);
        second.strike();
        let found = second.expect_fault(2);
        assert!(expected(&found), "{found:?}");
        if matches!(found, Fault::Init(_)) {
            assert_eq!(second.expect_failed(), found.to_string());
            second.expect_refusals(6, Status::IoError);
            let state = second.vcp.status().state;
            assert_eq!(state, State::Held(found.to_string()));
            second.vcp.restart();
            second.expect_ready();
        } else {
            second.expect_ready();
            second.expect_answers();
        }
        second.finish_served();
    }
}

/// The VCP serves, is struck by a fault, and serves again.
fn strike(expected: Check) -> impl Fn(&str) {
    move |fault| {
        let mut scenario = Scenario::device(fault, "1..1");
        scenario.expect_ready();
        scenario.check_io();
        scenario.strike();
        let found = loop {
            match scenario.event() {
                Event::Found(_) => {}
                Event::Fault {
                    fault,
                    generation: 1,
                    ..
                } => break fault,
                event => panic!("{event:?}"),
            }
        };
        assert!(expected(&found), "{found:?}");
        scenario.expect_ready();
        scenario.expect_answers();
        assert_eq!(scenario.vcp.stats().faults, 1);
        scenario.finish_served();
    }
}

/// A guest without `std` says why by its log, and that is in its crash report, too.
fn dies_saying_why(fault: &str) {
    let mut scenario = Scenario::device(fault, "1..1");
    scenario.expect_ready();
    scenario.strike();
    assert!(unreachable(&scenario.expect_fault(1)));
    let reports = scenario.vcp.reports();
    let said = &reports.last().expect("a report").said;
    assert!(said[0].starts_with("panicked at "), "{said:?}");
    assert_eq!(said[1], "as you wish", "{said:?}");
    scenario.expect_ready();
    scenario.expect_answers();
    scenario.finish_served();
}

/// The VCP does something odd or wasteful, but no fault.
fn tolerated(expected: fn(&Event) -> bool) -> impl Fn(&str) {
    move |fault| {
        let mut scenario = Scenario::device(fault, "1..1");
        scenario.expect_ready();
        scenario.strike();
        scenario.expect_answers();
        let event = scenario.event();
        assert!(expected(&event), "{event:?}");
        scenario.finish_served();
    }
}

/// As `tolerated`, but without an event.
fn unheard(fault: &str) {
    let mut scenario = Scenario::device(fault, "1..1");
    scenario.expect_ready();
    for _ in 0..20 {
        scenario.strike();
        scenario.expect_answers();
        scenario.check_io();
    }
    scenario.end();
}

/// The VCP is given up for good.
fn given_up(why: &'static str) -> impl Fn(&str) {
    move |fault| {
        let mut scenario = Scenario::device(fault, "1..1");
        scenario.expect_ready();
        scenario.strike();
        let said = scenario.expect_failed();
        assert!(said.starts_with(why), "{said}");
        scenario.expect_answers();
        scenario.strike();
        scenario.expect_refusals(6, Status::IoError);
        assert_eq!(scenario.vcp.stats().generation, 1);
        scenario.end();
    }
}

/// A new generation has a smaller disk, or one with other blocks.
fn changed(fault: &str) {
    let mut scenario = Scenario::device(fault, "2..2");
    scenario.expect_ready();
    scenario.check_io();
    scenario.vcp.inject(Injection::Kill);
    assert_eq!(scenario.expect_fault(1), Fault::Injected);
    scenario.strike();
    let why = scenario.expect_failed();
    assert!(why.starts_with(CHANGED), "{why}");
    scenario.expect_refusals(6, Status::IoError);
    scenario.end();
}

const CHANGED: &str = "the device changed while in use: it had ";

/// The VCP is told to stop with requests outstanding that it does not answer, or with none.
fn stop(answered: bool, last: fn(&str) -> Vec<Event>, seconds: u64) -> impl Fn(&str) {
    move |fault| {
        let mut scenario = Scenario::device(fault, "1..9");
        scenario.expect_ready();
        scenario.check_io();
        scenario.strike();
        if answered {
            scenario.expect_answers();
            scenario.expect_end(&last(fault), Duration::from_secs(seconds));
            return;
        }
        // Requests that have not been taken in by then are not answered.
        while scenario.vcp.stats().requests < 8 {
            std::thread::yield_now();
        }
        scenario.vcp.stop();
        scenario.expect_refusals(6, Status::ShuttingDown);
        scenario.expect_end(&last(fault), Duration::from_secs(seconds));
    }
}

fn nothing(_: &str) -> Vec<Event> {
    Vec::new()
}

fn protocol(fault: &Fault, text: &str) -> bool {
    matches!(fault, Fault::Protocol(why) if why.contains(text))
}

fn trap(fault: &Fault, text: &str) -> bool {
    matches!(fault, Fault::Trap(message) if message.contains(text))
}

fn geometry(fault: &Fault) -> bool {
    protocol(fault, "impossible geometry")
}

fn no_such_tag(fault: &Fault) -> bool {
    matches!(fault, Fault::Completion(Violation::UnknownTag(_)))
}

fn length(fault: &Fault, wrong: usize) -> bool {
    let Fault::Completion(Violation::WrongLength { expected, got, .. }) = fault else {
        return false;
    };
    (*expected, *got) == (4096, wrong)
}

fn extents(fault: &Fault, wrong: BadExtents) -> bool {
    let Fault::Completion(Violation::Extents { error, .. }) = fault else {
        return false;
    };
    *error == wrong
}

fn span(fault: &Fault, entry: &str) -> bool {
    matches!(fault, Fault::Span { what, .. } if *what == entry)
}

fn fuel(fault: &Fault) -> bool {
    *fault == Fault::Fuel { limit: FUEL }
}

fn unreachable(fault: &Fault) -> bool {
    trap(fault, "unreachable")
}

fn every_status_is_passed_on(fault: &str) {
    let mut scenario = Scenario::device(fault, "1..1");
    scenario.expect_ready();
    let writes = (0..8).map(|n| request(n, Operation::Write, n * 512, 512, vec![1; 512]));
    let flush = request(8, Operation::Flush, 0, 0, Vec::new());
    scenario.driver.ask_all(writes.chain([flush]));
    let mut found: Vec<_> = (0..9).map(|_| scenario.driver.answer()).collect();
    found.sort_by_key(|(cookie, ..)| *cookie);
    let found: Vec<_> = found.into_iter().map(|(_, status, _)| status).collect();
    let expected = [
        Status::Ok,
        Status::IoError,
        Status::Invalid,
        Status::NoSpace,
        Status::NotPermitted,
        Status::NotSupported,
        Status::ShuttingDown,
        Status::NoMemory,
        Status::Ok,
    ];
    assert_eq!(found, expected);
    scenario.end();
}

fn long_identity_is_cut(fault: &str) {
    let mut scenario = Scenario::device(fault, "1..1");
    let Event::Ready(geometry) = scenario.event() else {
        panic!("not ready")
    };
    assert_eq!(geometry.identity, "\u{fffd}".repeat(4096));
    scenario.finish_served();
}

cases! { vcp_test_guests::faults::device::FAULTS,
    init_error => start(|f| *f == Fault::Init("config.fault: as you\u{fffd}[31m\u{fffd}wish".to_owned()));
    init_error_huge => start(|f| *f == Fault::Init("x".repeat(4096)));
    init_trap => start(unreachable);
    init_loop => start(fuel);
    init_recursion => start(|f| *f == Fault::Stack { shadow: false });
    areas_none => start(|f| protocol(f, "data area of 0 bytes"));
    areas_small => start(|f| protocol(f, "data area of 65535 bytes"));
    areas_outside => start(|f| span(f, "data area"));
    areas_near_end => start(|f| span(f, "data area"));
    areas_overlap => start(|f| protocol(f, "overlap"));
    receive_outside => start(|f| span(f, "receive area"));
    block_0 => start(geometry);
    block_3 => start(geometry);
    block_large => start(geometry);
    block_huge => start(geometry);
    size_unaligned => start(geometry);
    size_huge => start(geometry);
    preferred_0 => start(geometry);
    preferred_unaligned => start(geometry);
    transfer_0 => start(geometry);
    transfer_unaligned => start(geometry);
    transfer_small => start(geometry);
    discard_small => start(geometry);
    zeroes_small => start(geometry);
    identity_huge => long_identity_is_cut;
    shrunk => changed;
    other_block => changed;
    unknown_tag => strike(no_such_tag);
    tag_0 => strike(|f| *f == Fault::Completion(Violation::UnknownTag(0)));
    tag_twice => strike(no_such_tag);
    tag_again => strike(no_such_tag);
    short_read => strike(|f| length(f, 4095));
    long_read => strike(|f| length(f, 4608));
    read_outside => strike(|f| span(f, "completion"));
    read_near_end => strike(|f| span(f, "completion"));
    extents_none => strike(|f| extents(f, BadExtents::Count(0)));
    extents_half => strike(|f| extents(f, BadExtents::Count(4)));
    extents_empty => strike(|f| extents(f, BadExtents::Length { length: 0, block: 512 }));
    extents_unaligned => strike(|f| {
        extents(f, BadExtents::Length { length: 100, block: 512 })
    });
    extents_beyond => strike(|f| extents(f, BadExtents::Beyond(4096)));
    extents_overflow => strike(|f| extents(f, BadExtents::Beyond(4096)));
    extents_many => strike(|f| extents(f, BadExtents::Count(513 * 8)));
    extents_flags => strike(|f| extents(f, BadExtents::Flags(4)));
    extents_outside => strike(|f| span(f, "completion"));
    error_outside => strike(|f| span(f, "completion"));
    completions_many => strike(no_such_tag);
    completions_too_many => strike(|f| trap(f, "too much data"));
    notices_many => strike(|f| *f == Fault::Protocol("100000 notices in one batch".to_owned()));
    notices_amplified => strike(|f| trap(f, "too much data"));
    notices_steady => strike(|f| protocol(f, "more notices"));
    notice_control => tolerated(|e| *e == Event::Suspended("\u{fffd}[2Ja\u{fffd}b".to_owned()));
    notice_long => tolerated(|e| *e == Event::Suspended("x".repeat(1024)));
    failed_then_more => given_up("over");
    stopped => strike(|f| protocol(f, "stopped without being told to"));
    grown => tolerated(|e| matches!(e, Event::Ready(g) if g.size == (1 << 20) + 512));
    shrink_later => given_up(CHANGED);
    block_later => given_up(CHANGED);
    impossible_later => strike(geometry);
    log_many => unheard;
    log_huge => unheard;
    log_endless => strike(fuel);
    log_control => unheard;
    panic => dies_saying_why;
    endless => strike(fuel);
    shadow_stack => strike(|f| *f == Fault::Stack { shadow: true });
    call_stack => strike(|f| *f == Fault::Stack { shadow: false });
    allocate => strike(|f| matches!(f, Fault::Memory { limit, wanted } if wanted > limit));
    busy => unheard;
    silent => stop(false, nothing, 5);
    every_status => every_status_is_passed_on;
    stop_ignored => stop(true, nothing, 5);
    stop_trap => stop_faulty;
    stop_failed => stop(true, |_| vec![Event::Failed("won't stop".to_owned())], 3);
    stop_loop => stop(true, |_| vec![Event::Fault { fault: Fault::Fuel { limit: FUEL }, generation: 1, next: Next::Stop }], 5);
    stop_late_answer => stop(false, nothing, 5);
}

fn stop_faulty(fault: &str) {
    let mut scenario = Scenario::device(fault, "1..9");
    scenario.expect_ready();
    scenario.vcp.stop();
    assert!(unreachable(&scenario.expect_fault(1)));
    scenario.expect_end(&[], Duration::from_secs(3));
}
