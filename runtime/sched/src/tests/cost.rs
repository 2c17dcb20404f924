//! The cost of a decision; the figures are printed with `--nocapture`.

use std::hint::black_box;
use std::time::Instant;

use super::US;
use crate::{Budget, Id, Pick, Scheduler};

/// Nanoseconds for a pick, a charge, a block and a wake-up: the best of many rounds,
/// since the machine may have other things to do.
fn decision(count: u64, budget: Budget) -> f64 {
    let mut scheduler = Scheduler::new();
    let mut now = 0;
    for id in (0..count).map(Id) {
        scheduler.admit(id, "x", budget, now).expect("it fits");
        scheduler.wake(id, now);
    }
    let round = |now: &mut u64, scheduler: &mut Scheduler| {
        for _ in 0..1000 {
            match black_box(scheduler.pick(*now)) {
                Pick::Run { id, .. } => {
                    *now += 100 * US;
                    scheduler.charge(id, 100 * US, *now);
                    scheduler.block(id, *now);
                    scheduler.wake(id, *now);
                }
                Pick::Idle { until } => *now = until.expect("all are awake"),
            }
        }
    };
    let rounds = (0..50).map(|_| {
        let start = Instant::now();
        round(&mut now, &mut scheduler);
        start.elapsed().as_secs_f64() * 1e6
    });
    rounds.fold(f64::INFINITY, f64::min)
}

#[test]
fn a_decision_is_cheap_against_the_shortest_run() {
    let (period, slack) = (10_000 * US, 100);
    for count in [1, 3, 16, 256] {
        let best_effort = decision(
            count,
            Budget {
                period,
                slice: 0,
                slack,
            },
        );
        let reserved = decision(
            count,
            Budget {
                period,
                slice: period / count,
                slack,
            },
        );
        println!("{count} VCPs: {best_effort:.0} ns best effort, {reserved:.0} ns reserved");
        // A tenth of a fuel slice even without optimisation, on a busy machine.
        assert!(best_effort.max(reserved) < 10_000.0);
    }
}
