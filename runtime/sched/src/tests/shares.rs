//! How much each VCP gets.

use super::sim::{LONG, Load, Sim, budget};
use super::{MS, SECOND, US};

#[track_caller]
fn assert_part(sim: &Sim, task: usize, expected: f64, within: f64) {
    let part = sim.part(task);
    assert!(
        (part - expected).abs() <= within,
        "task{task} had {part:.5} instead of {expected:.5}"
    );
}

#[test]
fn a_hog_without_slack_gets_its_share_and_no_more() {
    for percent in [1, 10, 50] {
        for period in [100 * US, MS, 10 * MS, SECOND] {
            let mut sim = Sim::new();
            let hog = sim.add(budget(percent, period, 0), Load::Hog);
            sim.run(LONG);
            assert_part(&sim, hog, percent as f64 / 100.0, 0.001);
        }
    }
}

#[test]
fn three_hogs_get_what_they_were_promised_of_a_full_processor() {
    for slack in [0, 100] {
        let mut sim = Sim::new();
        let hogs = [40, 40, 20].map(|percent| {
            let hog = sim.add(budget(percent, 10 * MS, slack), Load::Hog);
            (hog, percent)
        });
        sim.run(LONG);
        for (hog, percent) in hogs {
            assert_part(&sim, hog, percent as f64 / 100.0, 0.005);
        }
        assert_eq!(sim.idle, 0);
    }
}

#[test]
fn so_they_do_with_periods_that_differ() {
    let mut sim = Sim::new();
    let sets = [(40, 5 * MS), (40, 100 * MS), (20, MS)];
    let hogs =
        sets.map(|(percent, period)| (sim.add(budget(percent, period, 0), Load::Hog), percent));
    sim.run(LONG);
    for (hog, percent) in hogs {
        assert_part(&sim, hog, percent as f64 / 100.0, 0.005);
    }
}

#[test]
fn what_an_idle_one_leaves_goes_to_the_others_by_weight() {
    let mut sim = Sim::new();
    let first = sim.add(budget(40, 10 * MS, 100), Load::Hog);
    let second = sim.add(budget(20, 10 * MS, 300), Load::Hog);
    sim.add(budget(40, 10 * MS, 100), Load::Idle);
    sim.run(LONG);
    assert_part(&sim, first, 0.40 + 0.40 / 4.0, 0.02);
    assert_part(&sim, second, 0.20 + 0.40 * 3.0 / 4.0, 0.02);
    assert_eq!(sim.idle, 0);
}

#[test]
fn best_effort_shares_slack_with_those_whose_slice_is_used_up() {
    let mut sim = Sim::new();
    let reserved = sim.add(budget(30, 10 * MS, 50), Load::Hog);
    let capped = sim.add(budget(10, 10 * MS, 0), Load::Hog);
    let light = sim.add(budget(0, 0, 50), Load::Hog);
    let heavy = sim.add(budget(0, 0, 200), Load::Hog);
    sim.run(LONG);
    assert_part(&sim, reserved, 0.30 + 0.10, 0.005);
    assert_part(&sim, capped, 0.10, 0.001);
    assert_part(&sim, light, 0.10, 0.005);
    assert_part(&sim, heavy, 0.40, 0.005);
}

#[test]
fn sleeping_earns_no_slack() {
    let mut sim = Sim::new();
    let early = sim.add(budget(0, 0, 100), Load::Hog);
    sim.run(5 * SECOND);
    let late = sim.add(budget(0, 0, 100), Load::Hog);
    let before = sim.tasks[early].ran;
    sim.run(SECOND);
    let (early, late) = (sim.tasks[early].ran - before, sim.tasks[late].ran);
    assert!(early.abs_diff(late) < MS, "{early} and {late}");
}

#[test]
fn periods_shorter_than_a_run_cost_no_share() {
    let mut sim = Sim::new();
    let large = sim.add(budget(90, 100 * US, 0), Load::Hog);
    let small = [0; 10].map(|_| sim.add(budget(1, 100 * US, 0), Load::Hog));
    sim.run(LONG);
    assert_part(&sim, large, 0.9, 0.002);
    for small in small {
        assert_part(&sim, small, 0.01, 0.001);
    }
}

#[test]
fn of_very_many_none_starves() {
    let mut sim = Sim::new();
    for task in 0..256 {
        // Each third sleeps now and then, for no longer than a round takes.
        let bursts = Load::Bursts {
            work: 5 * MS,
            rest: 20 * MS,
        };
        let load = if task % 3 == 0 { bursts } else { Load::Hog };
        sim.add(budget(0, 0, 100), load);
    }
    sim.run(LONG);
    let hogs = || {
        (0..256)
            .filter(|task| task % 3 != 0)
            .map(|task| sim.tasks[task].ran)
    };
    let mean = hogs().sum::<u64>() / hogs().count() as u64;
    assert!(hogs().min().expect("some") >= mean * 9 / 10);
    let mean = sim.now / 256;
    let least = sim.tasks.iter().map(|task| task.ran).min();
    assert!(least.expect("some") >= mean / 2);
}

#[test]
fn of_256_hogs_each_gets_as_much() {
    let mut sim = Sim::new();
    (0..256).for_each(|_| {
        sim.add(budget(0, 0, 100), Load::Hog);
    });
    sim.run(LONG);
    let mean = sim.now / 256;
    let least = sim.tasks.iter().map(|task| task.ran).min();
    assert!(least.expect("some") >= mean * 9 / 10);
}

#[test]
fn a_budget_is_changed_while_it_runs() {
    let mut sim = Sim::new();
    let hog = sim.add(budget(10, 10 * MS, 0), Load::Hog);
    let mut had = 0;
    let stages = [
        (50, 10 * MS, 0),
        (50, MS, 0),
        (90, SECOND, 0),
        (5, 10 * MS, 0),
        (30, 100 * MS, 0),
        (0, 0, 1),
        (20, 10 * MS, 0),
    ];
    let mut expected = 10;
    for (percent, period, slack) in stages.into_iter().chain([(1, MS, 0)]) {
        sim.run(5 * SECOND);
        let part = (sim.tasks[hog].ran - had) as f64 / 5e9;
        // A change may come while a VCP is ahead of its share, by a slice of a second's
        // period at most; it is kept from having so much afterwards.
        let within = if expected == 90 || expected == 5 {
            0.02
        } else {
            0.001
        };
        assert!(
            (part - f64::from(expected) / 100.0).abs() < within,
            "{part} of {expected}"
        );
        had = sim.tasks[hog].ran;
        sim.change(hog, budget(percent, period, slack));
        expected = if slack > 0 { 100 } else { percent as i32 };
    }
}

#[test]
fn changes_to_and_fro_gain_nothing() {
    let mut sim = Sim::new();
    let hog = sim.add(budget(20, 10 * MS, 0), Load::Hog);
    let other = sim.add(budget(70, 10 * MS, 0), Load::Hog);
    for turn in 0..10_000 {
        sim.run(MS);
        let period = if turn % 2 == 0 { 5 * MS } else { 10 * MS };
        sim.change(hog, budget(20, period, 0));
    }
    assert!(sim.part(hog) <= 0.2005);
    assert_part(&sim, other, 0.7, 0.001);
}
