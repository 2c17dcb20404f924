//! The successor of an initiator that served: a target that is away is waited for
//! from the start, as it is after a loss.

use vcp_iscsi_initiator::{Action, Initiator, Status};
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::{InitiatorPdu, TargetPdu};
use vcp_iscsi_proto::scsi::{Asc, SenseKey};

use crate::pair::*;

fn successor(disk: Disk) -> Pair {
    let config = config(&[]).with_predecessor(true);
    Pair::new(config, Settings::default(), disk)
}

fn disk() -> Disk {
    Disk::new(512, 1 << 20)
}

/// Checks that requests are not served after `away` and the reason is given once, and
/// that they are served when the target is back.
fn waits(mut pair: Pair, away: u64, why: &str, mend: impl FnOnce(&mut Pair)) {
    pair.run_for(away);
    assert_eq!((pair.readies(), pair.failed()), (0, None));
    let [reason] = &pair.suspended()[..] else {
        panic!("told once: {:?}", pair.suspended())
    };
    assert!(reason.contains(why), "{reason}");
    mend(&mut pair);
    pair.run_for(21 * SECOND);
    assert_eq!((pair.readies(), pair.failed()), (1, None));
    let tag = pair.read(0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    // The next outage is reported again.
    pair.cut("reset by peer");
    pair.run();
    assert_eq!(pair.suspended().len(), 2);
}

#[test]
fn first_attempt_comes_at_once() {
    let config = config(&[]).with_predecessor(true);
    let mut initiator = Initiator::new(config, [1; 32], 5 * SECOND);
    let first = initiator.poll_action();
    assert!(matches!(first, Some(Action::Connect { .. })));
    assert_eq!(initiator.poll_action(), None);
}

#[test]
fn target_that_is_away_is_waited_for() {
    let mut refusing = successor(disk());
    refusing.reachable = false;
    waits(refusing, 300 * SECOND, "connection refused", |pair| {
        pair.reachable = true
    });
    let mut dark = successor(disk());
    dark.dark = true;
    waits(dark, 300 * SECOND, "cannot connect: no answer", |pair| {
        pair.dark = false
    });
}

#[test]
fn target_that_does_not_answer_is_waited_for() {
    let mut deaf = successor(disk());
    deaf.peer.intercept = Some(Box::new(|_, _, _| true));
    waits(deaf, 300 * SECOND, "no answer to the login", |pair| {
        pair.peer.intercept = None
    });
    let mut unit = successor(disk());
    let silent = |pdu: &InitiatorPdu| matches!(pdu, InitiatorPdu::ScsiCommand(_));
    unit.peer.intercept = Some(Box::new(move |_, pdu, _| silent(pdu)));
    let why = "no answer from the logical unit";
    waits(unit, 300 * SECOND, why, |pair| pair.peer.intercept = None);
}

#[test]
fn target_that_refuses_is_waited_for() {
    for (status, why) in [
        (LoginStatus::NotFound, "no such target"),
        (LoginStatus::AuthenticationFailure, "authentication failure"),
        (LoginStatus::ServiceUnavailable, "service unavailable"),
        (LoginStatus::OutOfResources, "out of resources"),
    ] {
        let mut pair = successor(disk());
        pair.peer.mangle = Some(Box::new(move |pdu, _| {
            if let TargetPdu::LoginResponse(response) = pdu {
                response.status = status;
            }
            true
        }));
        waits(pair, 120 * SECOND, why, |pair| pair.peer.mangle = None);
    }
}

#[test]
fn unit_that_is_missing_or_not_ready_is_waited_for() {
    let mut missing = disk();
    (missing.luns, missing.lun) = (vec![0], 9);
    waits(
        successor(missing),
        60 * SECOND,
        "logical unit 1 does not exist",
        |pair| {
            (pair.peer.disk.luns, pair.peer.disk.lun) = (vec![0, 1], 1);
        },
    );
    let mut asleep = disk();
    asleep.attention = vec![(SenseKey::NotReady, Asc::MEDIUM_NOT_PRESENT); 10_000];
    waits(
        successor(asleep),
        60 * SECOND,
        "medium not present",
        |pair| {
            pair.peer.disk.attention.clear();
        },
    );
}

#[test]
fn attempts_back_off_up_to_five_seconds() {
    let mut pair = successor(disk());
    pair.reachable = false;
    pair.run();
    let start = pair.now;
    pair.run_for(3200 * MS);
    // The attempts are made at once, and 100, 300, 700, 1500 and 3100 ms later.
    assert_eq!((pair.now - start, pair.connects.len()), (3200 * MS, 6));
    pair.run_for(60 * SECOND);
    assert_eq!(pair.connects.len(), 18);
}

/// Whatever a target reports about a reset, in survey and data commands alike, is no
/// error to the caller.
#[test]
fn attentions_are_no_errors() {
    let attentions = [
        Asc::POWER_ON_OR_RESET,
        Asc(0x29, 0x07),
        Asc::LUNS_CHANGED,
        Asc::CAPACITY_CHANGED,
        Asc::MODE_PARAMETERS_CHANGED,
        Asc::INQUIRY_CHANGED,
        Asc(0x2f, 0x00),
    ];
    for count in 0..=attentions.len() {
        let pending = || {
            attentions[..count]
                .iter()
                .map(|&asc| (SenseKey::UnitAttention, asc))
        };
        let mut unit = disk();
        unit.attention = pending().collect();
        let mut pair = successor(unit);
        pair.run();
        assert_eq!((pair.readies(), pair.suspended().len()), (1, 0));
        pair.peer.disk.attention = pending().collect();
        let tags = [
            pair.read(0, 4096, 0),
            pair.write(4096, 4096, 0),
            pair.read(8192, 512, 0),
        ];
        pair.run();
        assert!(
            tags.iter().all(|tag| pair.completed[tag] == Status::Ok),
            "{count}"
        );
        assert_eq!((pair.failed(), pair.suspended().len()), (None, 0));
    }
}

/// Errors that no connection can mend are still fatal: the disk that was served no longer
/// exists.
#[test]
fn another_unit_is_still_the_end() {
    let mut pair = successor(disk()).ready();
    pair.cut("reset by peer");
    pair.peer.disk.naa = Some([0x50, 9, 9, 9, 9, 9, 9, 9]);
    pair.run_for(SECOND);
    assert!(pair.failed().unwrap().contains("another logical unit"));
}
