//! How soon a VCP answers a request that its slice is enough for.

use super::sim::{LONG, Load, Sim, budget};
use super::{MS, US};

/// The longest run that can't be interrupted: a quantum and its overrun.
const RUN: u64 = 130 * US;

#[test]
fn a_request_is_done_within_the_period_and_a_run_of_another() {
    let others: [&[(u64, u32)]; 5] = [
        &[(0, 100)],
        &[(75, 0)],
        &[(75, 100)],
        &[(50, 0), (25, 0), (0, 1000)],
        &[(15, 10), (15, 0), (15, 10), (15, 0), (15, 10)],
    ];
    for others in others {
        for (period, every) in [(5 * MS, 5 * MS), (3 * MS, 5 * MS), (20 * MS, 7 * MS)] {
            let mut sim = Sim::new();
            let task = budget(25, 5 * MS, 0);
            let task = sim.add(task, Load::Periodic { every, work: MS });
            for &(percent, slack) in others {
                sim.add(budget(percent, period, slack), Load::Hog);
            }
            sim.run(LONG);
            let slowest = sim.tasks[task].slowest;
            // Each may overrun its slice once before a deadline.
            let overruns = RUN * others.len() as u64;
            assert!(
                slowest <= 5 * MS + overruns,
                "{slowest} beside {others:?} in {period}"
            );
            assert!(sim.tasks[task].requests > 1000);
        }
    }
}

#[test]
fn slack_delays_it_by_no_more_than_one_run() {
    let mut sim = Sim::new();
    let every = 5 * MS;
    let task = sim.add(budget(25, every, 0), Load::Periodic { every, work: MS });
    (0..20).for_each(|_| {
        sim.add(budget(0, 0, 1000), Load::Hog);
    });
    sim.run(LONG);
    assert!(sim.tasks[task].slowest <= MS + RUN);
}

#[test]
fn one_that_is_behind_in_slack_does_not_keep_out_one_that_wakes() {
    let mut sim = Sim::new();
    sim.add(budget(0, 0, 100), Load::Hog);
    let every = 7 * MS;
    let task = sim.add(
        budget(0, 0, 100),
        Load::Periodic {
            every,
            work: 200 * US,
        },
    );
    sim.run(LONG);
    // It takes turns with the other until it is done.
    assert!(sim.tasks[task].slowest <= 200 * US + 3 * RUN);
}
