//! The faults of one VCP do no harm to another.

use std::time::{Duration, Instant};

use vcp_core::Event;
use vcp_queue::Operation;

use crate::scenario::{DEVICE, Scenario, settings};

/// A well-behaved VCP serves beside three that die over and over, of traps, of
/// loops and of what they say.
#[test]
fn a_well_behaved_vcp_is_unharmed_by_its_neighbours() {
    let mut good = Scenario::start(settings(&DEVICE, &[]));
    good.expect_ready();
    let mut bad = Vec::new();
    for fault in ["panic", "allocate", "log-endless"] {
        let mut scenario = Scenario::device(fault, "1..1000000");
        scenario.expect_ready();
        scenario.driver.ask(1, Operation::Flush, 0, 0, Vec::new());
        bad.push(scenario);
    }
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < Duration::from_secs(2) {
        good.check_io();
        rounds += 1;
    }
    assert!(rounds > 100, "{rounds} rounds");
    assert_eq!(good.vcp.stats().faults, 0);
    good.end();
    for scenario in bad {
        // The flush that kills each instance is offered to the next.
        assert!(scenario.vcp.stats().faults > 1);
        let began = Instant::now();
        drop(scenario.vcp);
        assert!(began.elapsed() < Duration::from_secs(7));
        assert!(
            scenario
                .driver
                .answers
                .try_iter()
                .all(|(cookie, ..)| cookie == 1)
        );
        let mut events = scenario.events;
        let mut last = None;
        while let Ok(event) = events.try_recv() {
            last = Some(event);
        }
        assert_eq!(last, Some(Event::Stopped));
    }
}
