//! Targets that answer but defer commands: nothing hangs or ends, and the reason for
//! waiting is reported.

use vcp_iscsi_initiator::{Action, Status};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, SenseKey};

use crate::pair::*;

const LENGTH: u32 = 8192;

/// Makes writes fail with this code as long as `held` is set.
fn hold_writes(pair: &mut Pair, asc: Asc, held: &std::rc::Rc<std::cell::Cell<bool>>) {
    let held = held.clone();
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| match pdu {
        InitiatorPdu::ScsiCommand(command) if command.cdb[0] == 0x2a && held.get() => {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
            peer.check_condition(command, SenseKey::NotReady, asc);
            true
        }
        _ => false,
    }));
}

#[test]
fn writes_that_are_put_off_wait_and_reads_go_on() {
    for ascq in [0x01, 0x0a, 0x0b, 0x0c, 0x14] {
        let held = std::rc::Rc::new(std::cell::Cell::new(true));
        let mut pair = Pair::plain().ready();
        hold_writes(&mut pair, Asc(0x04, ascq), &held);
        let write = pair.write(0, LENGTH, 0);
        for n in 0..90 {
            let read = pair.read(1 << 20, LENGTH, 1 << 20);
            assert_eq!(pair.finish(read), Status::Ok, "{n}");
            pair.run_for(SECOND);
        }
        assert!(!pair.completed.contains_key(&write));
        let told = pair.suspended();
        assert_eq!(told.len(), 1, "{told:?}");
        for what in [
            "WRITE(10) 2Ah of 8192 bytes at 0",
            "NOT READY (2h)",
            "(04h/",
        ] {
            assert!(told[0].contains(what), "{}", told[0]);
        }
        let writes = pair
            .peer
            .seen
            .iter()
            .filter(|pdu| matches!(pdu, InitiatorPdu::ScsiCommand(c) if c.cdb[0] == 0x2a));
        assert!(writes.count() < 110, "delays grow");
        held.set(false);
        pair.run_for(SECOND);
        assert_eq!(pair.completed[&write], Status::Ok);
        assert_eq!((pair.readies(), pair.connects.len()), (2, 1));
    }
}

/// The control experiment: a short wait is not reported.
#[test]
fn short_waits_are_not_told() {
    let held = std::rc::Rc::new(std::cell::Cell::new(true));
    let mut pair = Pair::plain().ready();
    hold_writes(&mut pair, Asc::BECOMING_READY, &held);
    let write = pair.write(0, LENGTH, 0);
    pair.run_for(500 * MS);
    held.set(false);
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&write], Status::Ok);
    assert_eq!(pair.suspended(), Vec::<String>::new());
    assert_eq!(pair.readies(), 1);
}

fn starts(pair: &Pair) -> usize {
    pair.peer.disk.done.iter().filter(|&&op| op == 0x1b).count()
}

#[test]
fn unit_that_wants_to_be_started_is_started_once() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.attention = vec![(SenseKey::NotReady, Asc::INITIALIZING_REQUIRED); 3];
    pair.peer.disk.attention[1] = (SenseKey::NotReady, Asc::BECOMING_READY);
    let tag = pair.read(0, LENGTH, 0);
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(starts(&pair), 1);
    let told = |a: &Action| matches!(a, Action::Log { message, .. } if message.contains("started"));
    assert!(pair.actions.iter().any(told));

    // The unit is not started if the operator forbids it.
    let config = config(&[("start-unit", "no")]);
    let mut pair = Pair::new(config, Settings::default(), Disk::new(512, 1 << 20)).ready();
    pair.peer.disk.attention = vec![(SenseKey::NotReady, Asc::INITIALIZING_REQUIRED); 3];
    let tag = pair.read(0, LENGTH, 0);
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(starts(&pair), 0);
}

#[test]
fn thin_provisioning_threshold_is_told() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::THIN_PROVISIONING_THRESHOLD)];
    let tag = pair.read(0, LENGTH, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let told = |a: &Action| matches!(a, Action::LowSpace(line) if line.contains("thin provisioning soft threshold reached (38h/07h)"));
    assert!(pair.actions.iter().any(told), "{:#?}", pair.actions);
}

/// Failures are reported with words and numbers: the command, the status, the sense.
#[test]
fn failures_are_named() {
    use vcp_iscsi_proto::scsi::Status as ScsiStatus;
    let told = |pair: &Pair, what: &str| {
        let count = pair
            .actions
            .iter()
            .filter(|a| matches!(a, Action::Log { message, .. } if message.contains(what)));
        assert_eq!(count.count(), 1, "{what}: {:#?}", pair.actions);
    };
    let mut pair = Pair::plain().ready();
    pair.peer.disk.statuses = vec![ScsiStatus::ReservationConflict; 2];
    let tag = pair.write(4096, 512, 0);
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&tag], Status::NotPermitted);
    told(
        &pair,
        "WRITE(10) 2Ah of 512 bytes at 4096: RESERVATION CONFLICT (18h)",
    );
    for (asc, ascq, words) in [
        (0x20, 0, "invalid command operation code (20h/00h)"),
        (0x24, 0, "invalid field in CDB (24h/00h)"),
        (0x26, 0, "invalid field in parameter list (26h/00h)"),
    ] {
        let mut pair = Pair::plain().ready();
        pair.peer.disk.attention = vec![(SenseKey::IllegalRequest, Asc(asc, ascq))];
        let tag = pair.submit(vcp_iscsi_initiator::Operation::Discard, 0, 4096, 0);
        pair.run_for(SECOND);
        assert!(pair.completed.contains_key(&tag));
        told(
            &pair,
            &format!(
                "UNMAP 42h of 4096 bytes at 0: CHECK CONDITION (02h): ILLEGAL REQUEST (5h): {words}"
            ),
        );
    }
}

/// A window that stays closed while pings are answered is treated like a busy target.
#[test]
fn closed_window_is_told() {
    let mut pair = Pair::plain().ready();
    let sent = pair.peer.exp_cmd_sn;
    let open = pair.peer.settings.window;
    // The promised window is used up first: a window never shrinks.
    for n in 0..u64::from(open) {
        pair.read(n * 4096, 512, 0);
    }
    pair.peer.max_cmd_sn = Some(sent.add(open - 1));
    pair.run();
    let waits = pair.read(0, 512, 0);
    pair.run_for(40 * SECOND);
    assert!(!pair.completed.contains_key(&waits));
    let told = pair.suspended();
    assert!(
        told.len() == 1 && told[0].contains("window is closed"),
        "{told:?}"
    );
    pair.peer.max_cmd_sn = None;
    pair.run_for(10 * SECOND);
    assert_eq!(pair.completed[&waits], Status::Ok);
    assert_eq!((pair.readies(), pair.connects.len()), (2, 1));
}

/// The error of an earlier write comes in place of an answer: the command is sent again,
/// and the next flush reports the loss of data.
#[test]
fn deferred_errors_are_told_by_a_flush() {
    use vcp_iscsi_proto::scsi::{Sense, Status as ScsiStatus};
    for (key, cache, lost) in [
        (SenseKey::MediumError, true, true),
        (SenseKey::MediumError, false, true),
        (SenseKey::RecoveredError, true, false),
    ] {
        let mut disk = Disk::new(512, 1 << 20);
        disk.write_cache = cache;
        let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
        let mut once = false;
        pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
            let InitiatorPdu::ScsiCommand(command) = pdu else {
                return false;
            };
            if command.cdb[0] != 0x28 || core::mem::replace(&mut once, true) {
                return false;
            }
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
            let mut sense = Sense::new(key, Asc(0x0c, 0));
            sense.deferred = true;
            peer.respond(
                command.itt,
                ScsiStatus::CheckCondition,
                Some(&sense.emit_fixed()),
                0,
                true,
            );
            true
        }));
        let read = pair.read(0, LENGTH, 0);
        pair.run_for(SECOND);
        if !cache {
            // A unit without a cache is sent no flush.
            assert_eq!(pair.completed[&read], Status::IoError);
            continue;
        }
        assert_eq!(pair.completed[&read], Status::Ok);
        for expected in [if lost { Status::IoError } else { Status::Ok }, Status::Ok] {
            let flush = pair.submit(vcp_iscsi_initiator::Operation::Flush, 0, 0, 0);
            assert_eq!(pair.finish(flush), expected, "{key:?}");
        }
    }
}
