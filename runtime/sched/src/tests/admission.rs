//! Which budgets are refused, and how that is said.

use super::sim::budget;
use super::{MS, US};
use crate::{Budget, Id, MAX_PERIOD, Pick, Refused, Scheduler};

fn admit_all(budgets: &[Budget]) -> Result<Scheduler, Refused> {
    let mut scheduler = Scheduler::new();
    for (at, budget) in budgets.iter().enumerate() {
        scheduler.admit(Id(at as u64), &format!("disk{at}"), *budget, 0)?;
    }
    Ok(scheduler)
}

fn parts(slices: &[u64], period: u64) -> Vec<Budget> {
    let budget = |&slice| Budget {
        period,
        slice,
        slack: 0,
    };
    slices.iter().map(budget).collect()
}

#[test]
fn exactly_the_whole_is_admitted_and_a_nanosecond_more_is_not() {
    let wholes: [(&[u64], u64); 5] = [
        (&[4_000_000, 4_000_000, 2_000_000], 10 * MS),
        (&[3_334_000, 3_333_000, 3_333_000], 10 * MS),
        (&[1, 1, 1], 3),
        (&[1, 1, 1, 1, 1, 1, 1], 7),
        (
            &[MAX_PERIOD / 3 + 1, MAX_PERIOD / 3, MAX_PERIOD / 3 - 1],
            MAX_PERIOD,
        ),
    ];
    for (slices, period) in wholes {
        let budgets = parts(slices, period);
        let mut scheduler = admit_all(&budgets).expect("it is a whole");
        let hair = Budget {
            period: MAX_PERIOD,
            slice: 1,
            slack: 0,
        };
        let refused = scheduler
            .admit(Id(99), "hair", hair, 0)
            .expect_err("it is more");
        let message = refused.to_string();
        assert!(message.contains("come to 100.0001 %"), "{message}");
        assert!(message.ends_with("hair 0.0001 %"), "{message}");
    }
    // With periods that differ: 1/2 + 1/3 + 1/6.
    let halves = [(1, 2), (7, 21), (100, 600)];
    let halves = halves.map(|(slice, period)| Budget {
        period,
        slice,
        slack: 0,
    });
    admit_all(&halves).expect("it is a whole");
}

#[test]
fn the_arithmetic_is_in_the_message() {
    let mut scheduler = admit_all(&[budget(40, 10 * MS, 0), budget(50, MS, 0), budget(0, 0, 1)]);
    let scheduler = scheduler.as_mut().expect("it fits");
    let refused = scheduler.admit(Id(7), "new", budget(20, 5 * MS, 0), 0);
    assert_eq!(
        refused.expect_err("too much").to_string(),
        "the shares on this channel processor come to 110 %: disk0 40 %, disk1 50 %, new 20 %"
    );
    let third = Budget {
        period: 3,
        slice: 1,
        slack: 0,
    };
    let refused = scheduler.admit(Id(7), "new", third, 0);
    assert_eq!(
        refused.expect_err("too much").to_string(),
        "the shares on this channel processor come to 123.3334 %: \
         disk0 40 %, disk1 50 %, new 33.3333 %"
    );
    // The VCP that was refused did not stay.
    scheduler
        .admit(Id(7), "new", budget(10, MS, 0), 0)
        .expect("it fits");
}

#[test]
fn budgets_that_make_no_sense_are_refused() {
    let cases = [
        (
            (10 * MS, 0, 0),
            "x would never run: it has neither a share nor slack",
        ),
        (
            (0, 1, 0),
            "x: a period of 0 ns; it is at least 1 ns and at most an hour",
        ),
        (
            (MAX_PERIOD + 1, 1, 1),
            "x: a period of 3600000000001 ns; it is at least 1 ns and at most an hour",
        ),
        (
            (10 * MS, 15 * MS, 1),
            "x 150 %: more than the whole of a channel processor",
        ),
    ];
    for ((period, slice, slack), message) in cases {
        let budget = Budget {
            period,
            slice,
            slack,
        };
        let refused = Scheduler::new().admit(Id(1), "x", budget, 0);
        assert_eq!(refused.expect_err(message).to_string(), message);
    }
    let absent = Scheduler::new().change(Id(5), budget(1, MS, 0), 0);
    assert_eq!(absent, Err(Refused::Absent(5)));
    let mut scheduler = admit_all(&[budget(1, MS, 0)]).expect("it fits");
    let again = scheduler.admit(Id(0), "x", budget(1, MS, 0), 0);
    assert_eq!(again, Err(Refused::Present("x".to_owned())));
}

#[test]
fn a_refused_change_leaves_everything_as_it_was() {
    let budgets = [budget(40, 10 * MS, 0), budget(50, 10 * MS, 0)];
    let mut scheduler = admit_all(&budgets).expect("it fits");
    scheduler.wake(Id(1), 0);
    scheduler.charge(Id(1), MS, MS);
    let before = format!("{:?}", scheduler.pick(MS));
    for wrong in [budget(61, 10 * MS, 0), budget(0, 0, 0), budget(1, 0, 0)] {
        scheduler.change(Id(1), wrong, MS).expect_err("it can't be");
        assert_eq!(format!("{:?}", scheduler.pick(MS)), before);
    }
    // Its present share counts once.
    scheduler
        .change(Id(1), budget(60, 10 * MS, 0), MS)
        .expect("it fits");
    let run = scheduler.pick(MS);
    // 1 ms was taken in one: at 50 % half of that was ahead of its share.
    let most = 6 * MS - 500 * US;
    assert_eq!(
        run,
        Pick::Run {
            id: Id(1),
            most,
            slack: false
        }
    );
}

#[test]
fn what_a_removed_one_had_is_free() {
    let mut scheduler = admit_all(&[budget(100, MS, 0)]).expect("it fits");
    scheduler.wake(Id(0), 0);
    scheduler
        .admit(Id(1), "x", budget(1, MS, 0), 0)
        .expect_err("full");
    scheduler.remove(Id(0));
    scheduler.remove(Id(0));
    scheduler
        .admit(Id(1), "x", budget(100, MS, 0), 0)
        .expect("empty");
    assert_eq!(scheduler.pick(0), Pick::Idle { until: None });
}
