//! Versions that hand over badly, and versions that take over badly: the device
//! serves on, with the new one if it is any good.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use vcp_core::{Event, Fault, Injection, Module, Network, Peers, ReloadError, Reloaded};
use vcp_queue::{Operation, Status};

use crate::cases;
use crate::frames::PROCESSOR;
use crate::scenario::{DEVICE, FUEL, Scenario, settings};
use crate::support::{PATIENCE, request};

const SHORT: Duration = Duration::from_millis(300);

fn reload(scenario: &Scenario, module: &Module) -> Result<Reloaded, ReloadError> {
    let mut outcome = scenario.vcp.reload(module.clone());
    let began = Instant::now();
    loop {
        if let Ok(outcome) = outcome.try_recv() {
            return outcome;
        }
        assert!(began.elapsed() < PATIENCE, "no outcome in time");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A VCP whose `generations` have the fault.
fn device(fault: &str, generations: &str) -> Scenario {
    fueled(fault, generations, Some(FUEL))
}

/// The same with so much fuel for a call; `None`: as much as its time allows.
fn fueled(fault: &str, generations: &str, fuel: Option<u64>) -> Scenario {
    let config = [("fault", fault), ("generations", generations)];
    let mut settings = settings(&DEVICE, &config);
    settings.watchdog.fuel = fuel;
    settings.watchdog.progress = Some(SHORT);
    settings.reload.ready = SHORT;
    settings.reload.drain = Duration::from_millis(50);
    let mut scenario = Scenario::start(settings);
    scenario.expect_ready();
    scenario.check_io();
    scenario
}

fn expect_reloaded(scenario: &mut Scenario) -> Reloaded {
    scenario.expect_ready();
    match scenario.event() {
        Event::Reloaded(reloaded) => reloaded,
        event => panic!("{event:?}"),
    }
}

/// No state goes from one version to the other; the new one starts anew.
fn anew(generations: &'static str) -> impl Fn(&str) {
    move |fault| {
        let mut scenario = device(fault, generations);
        let reloaded = reload(&scenario, &DEVICE).unwrap();
        assert!(!reloaded.handed_over);
        assert_eq!(expect_reloaded(&mut scenario), reloaded);
        assert_eq!(scenario.vcp.stats().faults, 0);
        scenario.finish_served();
    }
}

/// A state that is the only copy is not given up for being too long, however often that is
/// tried.
fn called_off(fault: &str) {
    let scenario = fueled(fault, "1..1", None);
    for _ in 0..2 {
        let outcome = reload(&scenario, &DEVICE);
        let Err(ReloadError::NotTakenOver(why)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            why,
            "its state has 20971520 bytes; no more than 16777216 can be handed over"
        );
        scenario
            .driver
            .ask(3, Operation::Read, 4096, 4096, Vec::new());
        assert_eq!(scenario.driver.answer().2, vec![7; 4096]);
    }
    assert_eq!(scenario.vcp.status().generation, 1);
    assert_eq!(scenario.vcp.stats().faults, 0);
    scenario.finish_served();
}

/// The contents go from one to the other, and nobody is asked twice.
fn handed_over(fault: &str) {
    let mut scenario = device(fault, "1..9");
    for _ in 0..3 {
        let reloaded = reload(&scenario, &DEVICE).unwrap();
        assert!(reloaded.handed_over);
        expect_reloaded(&mut scenario);
        scenario
            .driver
            .ask(3, Operation::Read, 4096, 4096, Vec::new());
        assert_eq!(scenario.driver.answer().2, vec![7; 4096]);
    }
    scenario.finish_served();
}

/// The new one is not ready in time, or gives up: the old one is back.
fn rolled_back(fault: &str) {
    let mut scenario = device(fault, "2..2");
    scenario.strike();
    let outcome = reload(&scenario, &DEVICE);
    let Err(ReloadError::RolledBack(_)) = outcome else {
        panic!("{outcome:?}");
    };
    loop {
        match scenario.event() {
            Event::Suspended(_) | Event::Fault { .. } => {}
            Event::RolledBack(_) => break,
            event => panic!("{event:?}"),
        }
    }
    scenario.expect_ready();
    scenario.expect_answers();
    assert_eq!(scenario.vcp.status().generation, 3);
    scenario.finish_served();
}

/// The new one is ready, and then answers nothing: the old one is back.
fn found_out_on_trial(fault: &str) {
    let mut scenario = device(fault, "2..2");
    reload(&scenario, &DEVICE).unwrap();
    expect_reloaded(&mut scenario);
    scenario.strike();
    assert_eq!(scenario.expect_fault(2).kind(), "stalled");
    assert!(matches!(scenario.event(), Event::RolledBack(_)));
    scenario.expect_ready();
    scenario.expect_answers();
    scenario.finish_served();
}

/// The size that a module on trial says the device has does not bind those after it.
#[test]
fn a_size_told_on_trial_does_not_outlive_it() {
    let mut scenario = device("grown", "2..2");
    reload(&scenario, &DEVICE).unwrap();
    expect_reloaded(&mut scenario);
    scenario.strike();
    let Event::Ready(grown) = scenario.event() else {
        panic!("it did not grow");
    };
    scenario.expect_answers();
    scenario.vcp.inject(Injection::Kill);
    assert_eq!(scenario.expect_fault(2), Fault::Injected);
    assert!(matches!(scenario.event(), Event::RolledBack(_)));
    let Event::Ready(geometry) = scenario.event() else {
        panic!("it did not come back");
    };
    assert!(geometry.size < grown.size);
    // A client that believed it gets an error, and the VCP does not get the request.
    let beyond = request(1, Operation::Read, geometry.size, 512, Vec::new());
    scenario.driver.ask_all([beyond]);
    assert_eq!(scenario.driver.answer().1, Status::Invalid);
    scenario.finish_served();
}

cases! { vcp_test_guests::faults::handover::FAULTS,
    snapshot_error => anew("1..1");
    snapshot_error_huge => anew("1..1");
    snapshot_trap => anew("1..1");
    snapshot_loop => anew("1..1");
    snapshot_allocate => anew("1..1");
    snapshot_huge => anew("1..1");
    snapshot_only_copy_huge => called_off;
    snapshot_outside => anew("1..1");
    snapshot_empty => anew("1..1");
    snapshot_garbage => anew("1..1");
    snapshot_short => anew("1..1");
    snapshot_twice => handed_over;
    restore_error => anew("2..2");
    restore_error_huge => anew("2..2");
    restore_trap => anew("2..2");
    restore_loop => anew("2..2");
    restore_allocate => anew("2..2");
    restore_never_ready => rolled_back;
    restore_suspended => rolled_back;
    restore_failed => rolled_back;
    restore_shrunk => rolled_back;
    restore_other_block => rolled_back;
    restore_silent => found_out_on_trial;
}

/// The streams of the host's TCP stay open from one version to the next, and its
/// id is taken for the next as it was for the one before.
mod streams {
    use super::*;

    fn processor(fault: &str) -> (Scenario, TcpListener) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = listener.local_addr().unwrap().to_string();
        let config = [
            ("fault", fault),
            ("generations", "1..9"),
            ("peer", peer.as_str()),
        ];
        let mut settings = settings(&PROCESSOR, &config);
        settings.network = Some(Network::Streams {
            peers: Peers::only(Ipv4Addr::LOCALHOST.into()),
        });
        let mut scenario = Scenario::start(settings);
        scenario.expect_ready();
        (scenario, listener)
    }

    fn kept(fault: &str) {
        let (mut scenario, listener) = processor(fault);
        scenario.strike();
        scenario.expect_answers();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut bytes = [0; 16];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(scenario.event(), Event::Found("sent 16".to_owned()));
        assert!(reload(&scenario, &PROCESSOR).unwrap().handed_over);
        // It is the same connection, with the credit of what the new version sent on it.
        stream.read_exact(&mut bytes).unwrap();
        let mut found = false;
        for _ in 0..3 {
            found |= scenario.event() == Event::Found("sent 16".to_owned());
        }
        assert!(found);
        scenario.end();
    }

    fn reused(fault: &str) {
        let (mut scenario, _listener) = processor(fault);
        scenario.strike();
        scenario.expect_answers();
        let _ = reload(&scenario, &PROCESSOR);
        let kind = loop {
            match scenario.event() {
                Event::Fault { fault, .. } => break fault.kind(),
                Event::Stopped => panic!("no fault"),
                _ => {}
            }
        };
        assert_eq!(kind, "protocol");
        assert!(matches!(scenario.event(), Event::RolledBack(_)));
        scenario.expect_ready();
        scenario.end();
    }

    cases! { vcp_test_guests::faults::processor::HANDOVER,
        stream_kept => kept;
        stream_reused => reused;
    }
}
