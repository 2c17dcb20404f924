//! Random sets of tasks.

use proptest::prelude::*;

use super::sim::{Load, Sim, Task};
use super::{MS, SECOND, US};
use crate::{Budget, Id, Pick, Scheduler};

#[derive(Clone, Debug)]
struct Plan {
    /// Its part of what is shared out.
    part: u64,
    period: u64,
    slack: u32,
    load: Load,
}

fn load() -> impl Strategy<Value = Load> {
    prop_oneof![
        3 => Just(Load::Hog),
        1 => Just(Load::Idle),
        2 => (1..20 * MS, 1..20 * MS).prop_map(|(work, rest)| Load::Bursts { work, rest }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let slack = prop_oneof![Just(0u32), 1..1000u32];
    (0..10u64, 1..50u64, slack, load()).prop_map(|(part, period, slack, load)| Plan {
        part,
        period: period * MS,
        slack: if part == 0 { slack.max(1) } else { slack },
        load,
    })
}

/// Shares out `percent` of a processor.
fn sim(plans: &[Plan], percent: u64) -> Sim {
    let parts = plans.iter().map(|plan| plan.part).sum::<u64>().max(1);
    let mut sim = Sim::new();
    for plan in plans {
        let slice = plan.period / 100 * percent * plan.part / parts;
        let Plan {
            period,
            slack,
            load,
            ..
        } = *plan;
        sim.add(
            Budget {
                period,
                slice,
                slack,
            },
            load,
        );
    }
    sim
}

/// The least that a task ran in any stretch of `window` while it was awake all the
/// time.
fn least_in(task: &Task, window: u64, now: u64) -> u64 {
    let log = &task.log;
    // It is least in a window that begins where a run ends, or at the start.
    let starts = std::iter::once(0).chain(log.iter().map(|(end, _)| *end));
    let mut least = u64::MAX;
    let mut first = 0;
    let mut last = 0;
    let mut inside = 0;
    for start in starts.take_while(|start| start + window <= now) {
        while last < log.len() && log[last].0 <= start + window {
            inside += log[last].1;
            last += 1;
        }
        while first < last && log[first].0 <= start {
            inside -= log[first].1;
            first += 1;
        }
        // The run that the window ends in.
        let cut = log
            .get(last)
            .map_or(0, |(end, ran)| (start + window).saturating_sub(end - ran));
        least = least.min(inside + cut);
    }
    least
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    // The simulation asserts that nothing is idle that could run, that no share is
    // exceeded, and that the accounts add up.
    #[test]
    fn whatever_they_do_all_is_accounted_for(
        plans in prop::collection::vec(plan(), 1..8),
        percent in 1..=100u64,
        obeys in any::<bool>(),
    ) {
        let mut sim = sim(&plans, percent);
        sim.obeys = obeys;
        sim.run(SECOND);
    }

    #[test]
    fn who_stays_awake_has_his_slice_in_any_two_periods(
        plans in prop::collection::vec(plan(), 1..7),
        percent in 50..=100u64,
        obeys in any::<bool>(),
    ) {
        let mut sim = sim(&plans, percent);
        (sim.quantum, sim.overrun, sim.obeys) = (20 * US, 5 * US, obeys);
        sim.run(SECOND);
        // It may pay in the window for an overrun before it, and the others' overruns
        // may come before its last run.
        let runs = 25 * US * (plans.len() as u64 + 1);
        for (at, plan) in plans.iter().enumerate().filter(|(_, plan)| matches!(plan.load, Load::Hog)) {
            let least = least_in(&sim.tasks[at], 2 * plan.period, sim.now);
            let slice = sim.tasks[at].budget.slice;
            prop_assert!(least + runs >= slice, "task{at} had {least} of {slice} once");
        }
    }

    #[test]
    fn no_sequence_of_calls_breaks_it(
        calls in prop::collection::vec((0..8u8, 0..4u64, any::<u64>(), any::<u64>(), any::<u8>()), 1..200),
    ) {
        let mut scheduler = Scheduler::new();
        let mut now = 0u64;
        let mut charged = [0u64; 4];
        for (call, id, x, y, shift) in calls {
            let small = |x: u64| x >> (shift % 64);
            now = now.saturating_add(small(x) >> 1);
            let budget = Budget { period: small(y), slice: small(x), slack: (x % 3) as u32 };
            let id = Id(id);
            match call {
                0 => {
                    if scheduler.admit(id, "x", budget, now).is_ok() {
                        charged[id.0 as usize] = 0;
                    }
                }
                1 => _ = scheduler.change(id, budget, now),
                2 => scheduler.wake(id, now),
                3 => scheduler.block(id, now),
                4 => {
                    scheduler.remove(id);
                    charged[id.0 as usize] = 0;
                }
                5 => now = now.wrapping_sub(small(y)),
                _ => match scheduler.pick(now) {
                    Pick::Run { id, most, .. } => {
                        prop_assert!(most > 0);
                        let ran = small(y);
                        let sum = &mut charged[id.0 as usize];
                        *sum = sum.saturating_add(ran);
                        scheduler.charge(id, ran, now.saturating_add(ran));
                        let account = scheduler.account(id);
                        prop_assert_eq!(account.reserved.saturating_add(account.slack), *sum);
                    }
                    Pick::Idle { until } => prop_assert!(until.is_none_or(|until| until > now)),
                },
            }
        }
    }
}
