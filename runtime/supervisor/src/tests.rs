use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

fn policy() -> Policy {
    Policy::default()
}

/// A VCP that has been ready, at time 0.
fn serving(policy: Policy) -> Supervisor {
    let mut supervisor = Supervisor::new(policy);
    assert_eq!(supervisor.due(0), Decision::Start);
    assert_eq!(supervisor.started(0), 1);
    supervisor.ready(0);
    supervisor
}

fn restart_at(supervisor: &Supervisor) -> u64 {
    match supervisor.phase() {
        Phase::Restarting { at } => at,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_that_lived_is_replaced_at_once() {
    let mut s = serving(policy());
    assert_eq!(s.ended(60 * MS, Cause::Fault), Decision::Wait);
    assert_eq!(restart_at(&s), 60 * MS);
    assert_eq!(s.due(60 * MS), Decision::Start);
    assert_eq!(s.started(60 * MS), 2);
}

#[test]
fn one_that_keeps_dying_waits_longer_each_time_up_to_a_limit() {
    let mut s = serving(policy());
    let mut now = 0;
    let mut delays = Vec::new();
    for _ in 0..12 {
        s.ended(now, Cause::Fault);
        delays.push((restart_at(&s) - now) / MS);
        now = restart_at(&s);
        s.started(now);
    }
    assert_eq!(
        delays,
        [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000, 5000]
    );
    // An instance that lived long enough starts it all over.
    s.ready(now);
    s.ended(now + 50 * MS, Cause::Fault);
    assert_eq!(restart_at(&s), now + 50 * MS);
    s.started(now + 50 * MS);
    s.ended(now + 50 * MS, Cause::Fault);
    assert_eq!(restart_at(&s), now + 60 * MS);
}

#[test]
fn after_so_many_in_a_row_it_is_held_until_revived() {
    let mut s = serving(Policy {
        limit: Some(2),
        ..policy()
    });
    for _ in 0..2 {
        assert_eq!(s.ended(0, Cause::Fault), Decision::Wait);
        s.started(0);
    }
    assert_eq!(s.ended(0, Cause::Fault), Decision::Hold);
    assert_eq!(s.phase(), Phase::Held);
    assert!(s.refuses());
    assert_eq!(s.next_deadline(), None);
    s.revive(7);
    assert_eq!(s.due(7), Decision::Start);
    s.started(7);
    assert!(!s.refuses());
    assert_eq!(s.ended(7, Cause::Fault), Decision::Wait);
}

#[test]
fn what_never_served_is_not_tried_again() {
    let mut s = Supervisor::new(policy());
    s.started(0);
    assert_eq!(s.ended(1, Cause::Fault), Decision::Hold);
    let mut s = Supervisor::new(policy());
    s.started(0);
    assert_eq!(s.ended(1, Cause::Injected), Decision::Wait);
}

#[test]
fn one_that_gives_up_or_may_not_restart_is_held() {
    assert_eq!(
        serving(policy()).ended(SECOND, Cause::GaveUp),
        Decision::Hold
    );
    let never = Policy {
        restart: false,
        ..policy()
    };
    assert_eq!(serving(never).ended(SECOND, Cause::Fault), Decision::Hold);
}

#[test]
fn a_module_on_trial_that_dies_brings_back_the_one_before() {
    let mut s = serving(policy());
    assert_eq!(s.started_on_trial(SECOND), 2);
    s.ready(SECOND + MS);
    assert_eq!(s.due(SECOND + 2 * MS), Decision::Wait);
    assert_eq!(s.ended(2 * SECOND, Cause::Fault), Decision::RollBack);
    assert_eq!(s.due(2 * SECOND), Decision::Start);
    // The module before is not on trial.
    s.started(2 * SECOND);
    assert_eq!(s.ended(3 * SECOND, Cause::Fault), Decision::Wait);
}

#[test]
fn a_module_on_trial_that_gives_up_brings_back_the_one_before() {
    let mut s = serving(policy());
    s.started_on_trial(SECOND);
    assert_eq!(s.ended(SECOND, Cause::GaveUp), Decision::RollBack);
}

#[test]
fn a_module_on_trial_has_to_be_ready_in_time_and_to_live() {
    let mut s = serving(policy());
    s.started_on_trial(0);
    assert_eq!(s.next_deadline(), Some(10 * SECOND));
    assert_eq!(s.due(10 * SECOND), Decision::RollBack);
    assert_eq!(s.due(10 * SECOND), Decision::Start);
    let mut s = serving(policy());
    s.started_on_trial(0);
    s.ready(SECOND);
    assert_eq!(s.next_deadline(), Some(6 * SECOND));
    assert_eq!(s.due(6 * SECOND), Decision::Settle);
    assert_eq!(s.due(6 * SECOND), Decision::Wait);
    assert_eq!(s.ended(7 * SECOND, Cause::Fault), Decision::Wait);
}

#[test]
fn requests_wait_for_a_path_as_long_as_they_are_told_to() {
    let timeout = Policy {
        replacement_timeout: Some(2 * SECOND),
        ..policy()
    };
    let mut s = serving(timeout);
    s.suspended(SECOND);
    assert_eq!(s.next_deadline(), Some(3 * SECOND));
    assert!(!s.refuses());
    // A crash meanwhile does not make it longer.
    s.ended(2 * SECOND, Cause::Fault);
    s.started(2 * SECOND);
    s.suspended(2 * SECOND + MS);
    assert_eq!(s.due(3 * SECOND - 1), Decision::Wait);
    assert_eq!(s.due(3 * SECOND), Decision::Expire);
    assert!(s.refuses());
    s.started(3 * SECOND);
    s.suspended(3 * SECOND + MS);
    assert!(s.refuses());
    assert_eq!(s.due(100 * SECOND), Decision::Wait);
    s.ready(101 * SECOND);
    assert!(!s.refuses());
    // The next outage counts from its own beginning.
    s.suspended(200 * SECOND);
    assert_eq!(s.next_deadline(), Some(202 * SECOND));
}

#[test]
fn each_request_may_wait_as_long_as_it_is_told_to() {
    let timeout = Policy {
        replacement_timeout: Some(8 * SECOND),
        ..policy()
    };
    let mut s = Supervisor::new(timeout);
    s.started(0);
    // A VCP that never served may take as long as it likes to start,
    assert_eq!(s.request_deadline(SECOND), None);
    // and for one that serves the watchdog is there.
    s.ready(0);
    assert_eq!(s.request_deadline(SECOND), None);
    s.suspended(SECOND);
    assert_eq!(s.request_deadline(2 * SECOND), Some(10 * SECOND));
    s.ended(3 * SECOND, Cause::Fault);
    assert_eq!(s.request_deadline(3 * SECOND), Some(11 * SECOND));
    s.started(4 * SECOND);
    assert_eq!(s.request_deadline(4 * SECOND), Some(12 * SECOND));
    s.hold();
    assert_eq!(s.request_deadline(5 * SECOND), None);
}

#[test]
fn a_crash_gives_requests_some_time_whatever_the_timeout() {
    for (timeout, waits) in [(Some(0), Some(5)), (Some(9), Some(9)), (None, None)] {
        let mut s = serving(Policy {
            replacement_timeout: timeout.map(|seconds: u64| seconds * SECOND),
            ..policy()
        });
        s.ended(0, Cause::Fault);
        assert_eq!(s.request_deadline(0), waits.map(|seconds| seconds * SECOND));
        s.started(0);
        s.suspended(0);
        let suspended = timeout.map(|seconds| seconds * SECOND);
        assert_eq!(s.request_deadline(0), suspended);
    }
}

#[test]
fn a_device_that_answers_some_of_what_it_is_asked_is_not_away() {
    let mut s = serving(Policy {
        replacement_timeout: Some(2 * SECOND),
        ..policy()
    });
    assert!(s.answers());
    s.suspended(0);
    assert!(!s.answers());
    for now in 1..9 {
        s.answered(now * SECOND);
        assert_eq!(s.due(now * SECOND), Decision::Wait);
        assert_eq!(s.next_deadline(), Some((now + 2) * SECOND));
    }
    assert!(s.answers() && !s.refuses());
    // Once it answers nothing more, the outage expires.
    assert_eq!(s.due(10 * SECOND), Decision::Expire);
    assert!(s.refuses());
    s.ready(11 * SECOND);
    assert!(!s.refuses());
    s.suspended(12 * SECOND);
    assert!(!s.answers());
    // An answer counts only while the VCP is suspended.
    s.ended(12 * SECOND, Cause::Fault);
    s.answered(13 * SECOND);
    assert_eq!(s.due(13 * SECOND), Decision::Start);
    assert!(!s.answers());
}

#[test]
fn a_device_that_comes_and_goes_is_not_refused_for_good() {
    let mut s = serving(Policy {
        replacement_timeout: Some(2 * SECOND),
        ..policy()
    });
    for now in 0..20 {
        s.suspended(now * SECOND);
        assert_eq!(s.due(now * SECOND + SECOND / 2), Decision::Wait);
        s.ready(now * SECOND + SECOND / 2);
        assert_eq!(s.next_deadline(), None);
        assert!(!s.refuses());
    }
}

#[test]
fn what_dies_of_a_suspect_is_replaced_at_once_and_the_suspect_waits() {
    let mut s = serving(Policy {
        limit: Some(1),
        ..policy()
    });
    let mut now = 0;
    let mut delays = Vec::new();
    for _ in 0..11 {
        assert_eq!(s.ended(now, Cause::Suspect), Decision::Wait);
        assert_eq!(s.due(now), Decision::Start);
        s.started(now);
        s.ready(now);
        let at = s.next_deadline().unwrap();
        assert_eq!(s.due(at - 1), Decision::Wait);
        assert!(!s.tries_suspects());
        assert_eq!(s.due(at), Decision::Try);
        assert_eq!(s.due(at), Decision::Wait);
        assert!(s.tries_suspects());
        delays.push((at - now) / MS);
        now = at;
    }
    assert_eq!(
        delays,
        [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000]
    );
    // After a long time without a death, it starts all over.
    now += 11 * SECOND;
    s.ended(now, Cause::Suspect);
    s.started(now);
    assert_eq!(s.next_deadline(), Some(now + 10 * MS));
    // A VCP that is not to be restarted is not.
    let mut s = serving(Policy {
        restart: false,
        ..policy()
    });
    assert_eq!(s.ended(0, Cause::Suspect), Decision::Hold);
}

#[test]
fn what_dies_of_a_request_that_fails_then_keeps_nobody_waiting() {
    let mut s = serving(policy());
    for now in 0..20 {
        assert_eq!(s.ended(now, Cause::Culprit), Decision::Wait);
        assert!(s.tries_suspects());
        assert_eq!(s.due(now), Decision::Start);
        s.started(now);
        s.ready(now);
    }
    let mut s = serving(policy());
    s.started_on_trial(SECOND);
    assert_eq!(s.ended(SECOND, Cause::Culprit), Decision::RollBack);
}

#[test]
fn no_time_at_all_or_for_ever() {
    let mut s = serving(Policy {
        replacement_timeout: Some(0),
        ..policy()
    });
    s.ended(SECOND, Cause::Fault);
    // A crash alone is not an outage of the path...
    assert_eq!(s.due(SECOND), Decision::Start);
    s.started(SECOND);
    s.suspended(SECOND + 1);
    assert_eq!(s.due(SECOND + 1), Decision::Expire);
    let mut s = serving(Policy {
        replacement_timeout: None,
        ..policy()
    });
    s.suspended(0);
    assert_eq!(s.next_deadline(), None);
}

#[test]
fn requests_do_not_wait_for_ever_for_what_only_crashes() {
    let mut s = serving(Policy {
        replacement_timeout: Some(SECOND),
        min_run: 0,
        ..policy()
    });
    s.ended(0, Cause::Fault);
    s.started(0);
    s.ended(4 * SECOND, Cause::Fault);
    assert_eq!(s.due(4 * SECOND), Decision::Start);
    s.started(4 * SECOND);
    assert_eq!(s.due(5 * SECOND), Decision::Expire);
}

#[test]
fn without_its_link_it_waits_as_for_any_path() {
    let mut s = serving(Policy {
        replacement_timeout: Some(2 * SECOND),
        restart: false,
        ..policy()
    });
    assert_eq!(s.cut_off(SECOND), Decision::Wait);
    assert_eq!(s.phase(), Phase::Suspended);
    assert_eq!(s.next_deadline(), Some(3 * SECOND));
    assert_eq!(s.due(3 * SECOND), Decision::Expire);
    assert!(s.refuses());
    assert_eq!(s.due(4 * SECOND), Decision::Wait);
    // The link is back.
    assert_eq!(s.started(5 * SECOND), 2);
    s.ready(6 * SECOND);
    assert!(!s.refuses());
}

#[test]
fn without_its_link_a_module_on_trial_makes_way_and_a_held_vcp_stays_held() {
    let mut s = serving(policy());
    s.started_on_trial(0);
    assert_eq!(s.cut_off(SECOND), Decision::RollBack);
    assert_eq!(s.phase(), Phase::Suspended);
    // No time of trial runs out later.
    assert_eq!(s.due(60 * SECOND), Decision::Wait);
    let mut s = serving(policy());
    s.hold();
    assert_eq!(s.cut_off(SECOND), Decision::Wait);
    assert_eq!((s.phase(), s.next_deadline()), (Phase::Held, None));
}

proptest::proptest! {
    /// Whatever happens, generations only grow, a held VCP stays held until it is asked for,
    /// `due` comes to rest, and a VCP that is neither held nor there has a time at which it
    /// will be.
    #[test]
    fn it_never_loses_a_vcp(steps in proptest::collection::vec((0u8..9, 0u64..20 * SECOND), 1..200)) {
        let mut s = Supervisor::new(Policy { limit: Some(5), ..policy() });
        let mut now = 0;
        for (what, after) in steps {
            now += after;
            let before = s.generation();
            let running = !matches!(s.phase(), Phase::Restarting { .. } | Phase::Held);
            match what {
                0 if running => s.ready(now),
                1 if running => s.suspended(now),
                2 if running => { s.ended(now, Cause::Fault); }
                3 if running => { s.ended(now, Cause::Injected); }
                4 if running => { s.ended(now, Cause::GaveUp); }
                5 => { s.started_on_trial(now); }
                6 => s.revive(now),
                7 if running => { s.ended(now, Cause::Suspect); }
                8 if running => s.answered(now),
                _ => {}
            }
            let mut rounds = 0;
            loop {
                match s.due(now) {
                    Decision::Wait => break,
                    Decision::Start => { s.started(now); }
                    Decision::Expire if !matches!(s.phase(), Phase::Restarting { .. }) => { s.started(now); }
                    _ => {}
                }
                rounds += 1;
                assert!(rounds < 8, "{s:?}");
            }
            assert!(s.generation() >= before);
            if let Phase::Restarting { at } = s.phase() {
                assert!(s.next_deadline().is_some_and(|due| due <= at));
            }
            assert!(s.next_deadline().is_none_or(|due| due > now), "{s:?} at {now}");
        }
    }
}
