//! Single calls: debts, deadlines, turns, clocks that jump.

use super::sim::budget;
use super::{MS, SECOND, US};
use crate::{Account, Budget, Id, MAX_DEBT, Pick, QUANTUM, Scheduler};

pub(super) const A: Id = Id(3);
pub(super) const B: Id = Id(1);

pub(super) fn with(budgets: &[(Id, Budget)]) -> Scheduler {
    let mut scheduler = Scheduler::new();
    for (id, budget) in budgets {
        scheduler
            .admit(*id, &format!("{id:?}"), *budget, 0)
            .expect("it fits");
        scheduler.wake(*id, 0);
    }
    scheduler
}

fn reserved(id: Id, most: u64) -> Pick {
    Pick::Run {
        id,
        most,
        slack: false,
    }
}

fn slack(id: Id, most: u64) -> Pick {
    Pick::Run {
        id,
        most,
        slack: true,
    }
}

fn idle(until: u64) -> Pick {
    Pick::Idle { until: Some(until) }
}

#[test]
fn an_overrun_is_paid_from_the_next_slice() {
    let mut s = with(&[(A, budget(20, 10 * MS, 0))]);
    assert_eq!(s.pick(0), reserved(A, 2 * MS));
    s.charge(A, 2 * MS + 30 * US, 2 * MS + 30 * US);
    assert_eq!(s.pick(3 * MS), idle(10 * MS));
    assert_eq!(s.pick(10 * MS), reserved(A, 2 * MS - 30 * US));
    // A debt of more than a slice is paid from as many as it takes.
    s.charge(A, 8 * MS, 18 * MS);
    assert_eq!(s.pick(18 * MS), idle(50 * MS));
    assert_eq!(s.pick(50 * MS), reserved(A, 2 * MS - 30 * US));
}

#[test]
fn a_debt_is_bounded() {
    let mut s = with(&[(A, budget(1, 10 * MS, 0)), (B, budget(0, 0, 5))]);
    assert_eq!(s.pick(0), reserved(A, 100 * US));
    s.charge(A, u64::MAX, 0);
    let Pick::Run { id: B, .. } = s.pick(0) else {
        panic!("it has debts")
    };
    s.block(B, 0);
    assert_eq!(s.pick(0), idle(MAX_DEBT * 100 + 10 * MS));
    // Nor does a wrong measurement in slack keep it out for longer.
    s.wake(B, 0);
    s.pick(0);
    s.charge(B, u64::MAX, 0);
    s.admit(Id(9), "c", budget(0, 0, 5), 0).expect("it fits");
    s.wake(Id(9), 0);
    assert_eq!(s.pick(0), slack(Id(9), QUANTUM));
    s.charge(Id(9), MAX_DEBT + 1, MAX_DEBT);
    assert_eq!(s.pick(MAX_DEBT), slack(B, QUANTUM));
}

#[test]
fn debts_stay_while_it_sleeps_and_time_pays_for_them() {
    let mut s = with(&[(A, budget(10, 10 * MS, 0))]);
    s.pick(0);
    s.charge(A, 3 * MS, 3 * MS);
    s.block(A, 3 * MS);
    s.wake(A, 4 * MS);
    assert_eq!(s.pick(4 * MS), idle(30 * MS));
    s.block(A, 5 * MS);
    s.wake(A, 35 * MS);
    assert_eq!(s.pick(35 * MS), reserved(A, MS));
    s.charge(A, MS, 36 * MS);
    // The deadline counts from the wake-up.
    assert_eq!(s.pick(36 * MS), idle(45 * MS));
}

#[test]
fn what_is_left_is_kept_only_if_it_fits_before_the_deadline() {
    let mut s = with(&[(A, budget(50, 10 * MS, 0))]);
    s.pick(0);
    s.charge(A, MS, MS);
    s.block(A, MS);
    // 4 ms are left for 9 ms: that is less than half, so the slice is kept.
    s.wake(A, MS);
    assert_eq!(s.pick(MS), reserved(A, 4 * MS));
    s.charge(A, 2 * MS, 3 * MS);
    s.block(A, 3 * MS);
    // 2 ms left for 4 ms are half: there is a new slice, till 16 ms.
    s.wake(A, 6 * MS);
    assert_eq!(s.pick(6 * MS), reserved(A, 5 * MS));
    s.charge(A, 5 * MS, 11 * MS);
    assert_eq!(s.pick(11 * MS), idle(16 * MS));
}

#[test]
fn the_earliest_deadline_runs_until_an_earlier_one_comes_back() {
    let mut s = with(&[(A, budget(50, 10 * MS, 0)), (B, budget(25, 2 * MS, 0))]);
    assert_eq!(s.pick(0), reserved(B, 500 * US));
    s.charge(B, 500 * US, 500 * US);
    // B is back at 2 ms, with a deadline of 4 ms.
    assert_eq!(s.pick(500 * US), reserved(A, 1500 * US));
    s.charge(A, 1500 * US, 2 * MS);
    assert_eq!(s.pick(2 * MS), reserved(B, 500 * US));
    s.charge(B, 500 * US, 2500 * US);
    s.block(B, 2500 * US);
    assert_eq!(s.pick(2500 * US), reserved(A, 3500 * US));
}

#[test]
fn deadlines_that_are_equal_take_turns() {
    let mut s = with(&[(A, budget(50, 10 * MS, 0)), (B, budget(50, 10 * MS, 0))]);
    let mut now = 0;
    let mut order = Vec::new();
    for _ in 0..6 {
        let Pick::Run { id, .. } = s.pick(now) else {
            panic!("idle")
        };
        now += 100 * US;
        s.charge(id, 100 * US, now);
        order.push(id);
    }
    assert_eq!(order, [B, A, B, A, B, A]);
}

#[test]
fn slack_costs_nothing_of_the_slice_and_ends_with_the_next_one() {
    let mut s = with(&[(A, budget(10, 10 * MS, 1))]);
    s.pick(0);
    s.charge(A, MS, MS);
    assert_eq!(s.pick(MS), slack(A, QUANTUM));
    s.charge(A, 8_900_000, 9_900_000);
    assert_eq!(s.pick(9_900_000), slack(A, 100 * US));
    s.charge(A, 130 * US, 10_030_000);
    assert_eq!(s.pick(10_030_000), reserved(A, MS));
    let account = s.account(A);
    assert_eq!((account.reserved, account.slack), (MS, 9_030_000));
}

#[test]
fn calls_that_change_nothing_change_nothing() {
    let mut s = with(&[(A, budget(10, 10 * MS, 1))]);
    s.pick(0);
    s.charge(A, 500 * US, 500 * US);
    // It is awake already, so a wake-up brings no new slice.
    s.wake(A, 9_999_000);
    assert_eq!(s.pick(9_999_000), reserved(A, 500 * US));
    s.block(A, 10 * MS);
    s.block(A, 11 * MS);
    assert_eq!(s.pick(11 * MS), Pick::Idle { until: None });
    for unknown in [Id(0), Id(77)] {
        s.wake(unknown, 0);
        s.block(unknown, 0);
        s.charge(unknown, 5, 0);
        s.remove(unknown);
        assert_eq!(s.account(unknown), Account::default());
    }
}

#[test]
fn a_clock_that_jumps_breaks_nothing() {
    let mut s = with(&[(A, budget(40, 100 * US, 0)), (B, budget(60, SECOND, 3))]);
    for now in [
        0,
        1 << 40,
        1 << 20,
        1 << 62,
        u64::MAX - 5,
        u64::MAX,
        7,
        u64::MAX,
    ] {
        for _ in 0..10 {
            if let Pick::Run { id, most, .. } = s.pick(now) {
                assert!(most > 0);
                s.charge(id, most, now);
                s.block(id, now);
                s.wake(id, now);
            }
        }
        s.change(A, budget(30, now / 2 % SECOND + 100, 1), now)
            .expect("it fits");
    }
}

#[test]
fn lost_time_is_not_caught_up_at_the_cost_of_one_that_wakes() {
    let mut s = with(&[(A, budget(90, 10 * MS, 0)), (B, budget(10, 10 * MS, 0))]);
    s.block(B, 0);
    s.pick(0);
    s.charge(A, MS, MS);
    // The processor was away for a minute.
    let mut now = 60 * SECOND;
    s.wake(B, now);
    let woke = now;
    loop {
        let Pick::Run { id, .. } = s.pick(now) else {
            panic!("idle")
        };
        if id == B {
            break;
        }
        now += 100 * US;
        s.charge(A, 100 * US, now);
    }
    assert!(now - woke <= 20 * MS, "{}", now - woke);
}

#[test]
fn a_nanosecond_more_than_fits_before_the_deadline_is_too_much() {
    let two_thirds = Budget {
        period: 3,
        slice: 2,
        slack: 0,
    };
    let mut s = with(&[(A, two_thirds)]);
    s.pick(0);
    s.charge(A, 1, 1);
    s.block(A, 1);
    // Its share of the 2 ns left is 4/3 ns. It has 1 ns left, so there is no new slice.
    s.wake(A, 1);
    assert_eq!(s.pick(1), reserved(A, 1));
}

#[test]
fn a_later_deadline_that_comes_back_interrupts_nobody() {
    let mut s = with(&[(B, budget(25, 100 * MS, 0)), (A, budget(50, 10 * MS, 0))]);
    s.block(A, 0);
    s.pick(0);
    s.charge(B, 25 * MS, 25 * MS);
    s.wake(A, 98 * MS);
    assert_eq!(s.pick(98 * MS), reserved(A, 5 * MS));
}

#[test]
fn runs_that_cost_nothing_that_could_be_measured_take_turns() {
    let mut s = with(&[(A, budget(0, 0, 7)), (B, budget(0, 0, 7))]);
    for id in [B, A, B, A] {
        assert_eq!(s.pick(0), slack(id, QUANTUM));
        s.charge(id, 0, 0);
    }
}

#[test]
fn a_change_to_the_same_is_none() {
    let half = budget(50, 10 * MS, 0);
    let mut s = with(&[(A, half)]);
    s.pick(0);
    s.charge(A, MS, MS);
    s.change(A, half, MS).expect("it fits");
    assert_eq!(s.pick(MS), reserved(A, 4 * MS));
    // Nor does slack touch the reservation.
    s.change(A, Budget { slack: 5, ..half }, MS)
        .expect("it fits");
    assert_eq!(s.pick(MS), reserved(A, 4 * MS));
}

#[test]
fn a_turn_ends_with_its_vcp() {
    let mut s = with(&[(A, budget(0, 0, 1))]);
    assert_eq!(s.pick(0), slack(A, QUANTUM));
    s.remove(A);
    s.admit(A, "another", budget(10, 10 * MS, 1), 0)
        .expect("it fits");
    s.charge(A, MS, MS);
    assert_eq!(s.account(A).reserved, MS);
}

/// A ran in slack while B did not; then both take it by turns.
#[test]
fn neither_sleep_nor_a_time_without_slack_earns_any() {
    let (plain, capped) = (budget(0, 0, 7), budget(1, 10 * MS, 0));
    for sleeps in [true, false] {
        let mut s = with(&[(A, plain), (B, plain)]);
        if sleeps {
            s.block(B, 0);
        } else {
            s.change(B, capped, 0).expect("it fits");
            s.pick(0);
            s.charge(B, MS, 0);
        }
        for now in 0..50 {
            assert_eq!(s.pick(now * MS), slack(A, QUANTUM));
            s.charge(A, MS, now * MS);
        }
        if sleeps {
            s.wake(B, 50 * MS);
        } else {
            s.change(B, plain, 50 * MS).expect("it fits");
        }
        for id in [B, A, B, A] {
            assert_eq!(s.pick(50 * MS), slack(id, QUANTUM));
            s.charge(id, MS, 50 * MS);
        }
    }
}
