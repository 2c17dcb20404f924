//! A unit that is not ready, or can't tell what is indispensable: as long as it answers
//! it is asked again.

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::scsi::{Asc, Command, SenseKey, Status as ScsiStatus};

use crate::pair::disk::Reply;
use crate::pair::*;

const NOT_YET: [Asc; 5] = [
    Asc::BECOMING_READY,
    Asc::ASYMMETRIC_TRANSITION,
    Asc::TARGET_PORT_STANDBY,
    Asc::TARGET_PORT_UNAVAILABLE,
    Asc(0x04, 0x14),
];

/// Makes the disk answer so to everything but INQUIRY and REPORT LUNS.
fn not_ready(pair: &mut Pair, asc: Asc) {
    pair.peer.disk.attention = vec![(SenseKey::NotReady, asc); 1_000_000];
}

#[test]
fn unit_that_becomes_ready_is_waited_for_in_its_session() {
    for asc in NOT_YET {
        let mut pair = Pair::plain().ready();
        let tag = pair.read(0, 4096, 0);
        pair.cut("reset by peer");
        not_ready(&mut pair, asc);
        // This is longer than the login timeout, but the unit answers.
        pair.run_for(100 * SECOND);
        assert_eq!((pair.failed(), pair.peer.logins), (None, 2));
        let [_, why] = &pair.suspended()[..] else {
            panic!("{:?}", pair.suspended())
        };
        assert!(why.contains("logical unit 1 is not ready: "), "{why}");
        assert!(why.contains(asc.name().unwrap_or("04h/14h")), "{why}");
        pair.peer.disk.attention.clear();
        pair.run_for(10 * SECOND);
        assert_eq!(pair.completed[&tag], Status::Ok);
    }
}

#[test]
fn unit_that_does_not_become_ready_at_the_start_is_given_up() {
    for asc in NOT_YET {
        let mut pair = Pair::plain();
        not_ready(&mut pair, asc);
        pair.run_for(9 * SECOND);
        assert_eq!((pair.failed(), pair.readies()), (None, 0));
        pair.run_for(7 * SECOND);
        let line = pair.failed().unwrap();
        assert!(line.contains("logical unit 1 is not ready: "), "{line}");
        assert!(line.contains(asc.name().unwrap_or("04h/14h")), "{line}");
        assert_eq!(pair.peer.logins, 1);
    }
}

#[test]
fn unit_that_becomes_ready_in_time_is_served() {
    let mut pair = Pair::plain();
    not_ready(&mut pair, Asc::BECOMING_READY);
    pair.run_for(9 * SECOND);
    pair.peer.disk.attention.clear();
    pair.run_for(5 * SECOND);
    assert_eq!((pair.readies(), pair.suspended().len()), (1, 0));
}

/// The unit's size is unknown, but it was there.
#[test]
fn capacity_that_can_not_be_read_is_asked_again() {
    let ways: [fn() -> Reply; 4] = [
        || Reply::Sense(SenseKey::HardwareError, Asc::INTERNAL_FAILURE),
        || Reply::Sense(SenseKey::MediumError, Asc(0x31, 0)),
        || Reply::Status(ScsiStatus::ReservationConflict),
        || Reply::Data(vec![0; 3]),
    ];
    for way in ways {
        let mut pair = Pair::plain().ready();
        pair.cut("reset by peer");
        let mut times = 2;
        pair.peer.disk.say = Some(Box::new(move |command| {
            let capacity = matches!(command, Command::ReadCapacity16 { .. }) && times > 0;
            times -= u32::from(capacity);
            capacity.then(way)
        }));
        pair.run_for(SECOND);
        assert_eq!((pair.failed(), pair.readies()), (None, 2));
        assert_eq!(pair.peer.logins, 2);
    }
}

/// A target says this while it starts up; it is tried on another session.
#[test]
fn unit_that_is_not_connected_after_it_served_is_waited_for() {
    let mut pair = Pair::plain().ready();
    let tag = pair.read(0, 4096, 0);
    pair.cut("reset by peer");
    (pair.peer.disk.lun, pair.peer.disk.luns) = (9, vec![0]);
    pair.run_for(30 * SECOND);
    assert_eq!(pair.failed(), None);
    pair.peer.disk.luns = vec![0, 1];
    pair.run_for(30 * SECOND);
    // The unit is listed, but INQUIRY says that it is not connected.
    assert_eq!((pair.failed(), pair.readies()), (None, 1));
    pair.peer.disk.lun = 1;
    pair.run_for(6 * SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
}

/// A unit that does not answer at all is treated differently.
#[test]
fn silence_in_a_survey_ends_the_session() {
    let mut pair = Pair::plain().ready();
    pair.cut("reset by peer");
    not_ready(&mut pair, Asc::BECOMING_READY);
    pair.run_for(30 * SECOND);
    assert_eq!(pair.peer.logins, 2);
    pair.peer.intercept = Some(Box::new(|_, pdu, _| {
        matches!(pdu, vcp_iscsi_proto::pdu::InitiatorPdu::ScsiCommand(_))
    }));
    pair.run_for(25 * SECOND);
    assert!(pair.peer.logins > 2);
}
