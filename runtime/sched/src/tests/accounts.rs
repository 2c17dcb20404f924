//! Where the time went.

use super::MS;
use super::rules::{A, B, with};
use super::sim::budget;
use crate::{Account, Pick, QUANTUM};

#[test]
fn an_account_says_what_was_waited_for() {
    let mut s = with(&[(A, budget(20, 10 * MS, 0)), (B, budget(0, 0, 1))]);
    s.pick(0);
    s.charge(A, 2 * MS, 2 * MS);
    let run = Pick::Run {
        id: B,
        most: QUANTUM,
        slack: true,
    };
    assert_eq!(s.pick(2 * MS), run);
    // 6 ms on the clock, but it ran for 5: the kernel ran something else.
    s.charge(B, 5 * MS, 8 * MS);
    let b = Account {
        slack: 5 * MS,
        waiting: 3 * MS,
        ..Account::default()
    };
    assert_eq!(s.account(B), b);
    let a = Account {
        reserved: 2 * MS,
        throttled: 6 * MS,
        ..Account::default()
    };
    assert_eq!(s.account(A), a);
    s.pick(11 * MS);
    let waited = Account {
        throttled: 8 * MS,
        waiting: MS,
        ..a
    };
    assert_eq!(s.account(A), waited);
    // It slept within its turn: that is no waiting.
    s.block(A, 20 * MS);
    s.wake(A, 20 * MS);
    s.charge(A, MS, 20 * MS);
    assert_eq!(
        s.account(A),
        Account {
            reserved: 3 * MS,
            ..waited
        }
    );
}

#[test]
fn a_turn_that_is_not_charged_yet_is_no_waiting() {
    let mut s = with(&[(A, budget(20, 10 * MS, 0)), (B, budget(0, 0, 1))]);
    s.pick(0);
    s.block(B, MS);
    assert_eq!(s.account(A), Account::default());
    // B had to wait, though it never ran.
    s.wake(B, 2 * MS);
    assert_eq!(s.account(B).waiting, MS);
    // A VCP that did not run after all has waited.
    s.pick(3 * MS);
    s.charge(A, MS, 4 * MS);
    let account = Account {
        reserved: MS,
        waiting: 3 * MS,
        ..Account::default()
    };
    assert_eq!(s.account(A), account);
}

#[test]
fn what_was_waited_for_does_not_change_with_the_budget() {
    for after in [budget(100, 10 * MS, 0), budget(0, 0, 1)] {
        let mut s = with(&[(A, budget(20, 10 * MS, 0))]);
        s.pick(0);
        s.charge(A, 2 * MS, 2 * MS);
        s.change(A, after, 5 * MS).expect("it fits");
        s.pick(6 * MS);
        let account = s.account(A);
        assert_eq!((account.throttled, account.waiting), (3 * MS, MS));
    }
}
