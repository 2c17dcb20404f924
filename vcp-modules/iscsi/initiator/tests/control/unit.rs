//! Answers of a logical unit other than success: that it is busy, that something has
//! changed, that less was moved than requested.

use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, SenseKey, Status as ScsiStatus};
use vcp_iscsi_proto::{Lun, RESERVED_TAG};

use crate::pair::*;

#[test]
fn busy_is_tried_again_with_back_off() {
    for status in [ScsiStatus::Busy, ScsiStatus::TaskSetFull] {
        let mut pair = Pair::plain().ready();
        pair.peer.disk.statuses = vec![status; 5];
        let start = pair.now;
        let tag = pair.read(0, 512, 0);
        pair.run();
        assert!(!pair.completed.contains_key(&tag));
        while !pair.completed.contains_key(&tag) {
            let deadline = pair.initiator.next_deadline().unwrap();
            pair.run_until(deadline);
        }
        // The delays are 10 + 20 + 40 + 80 + 160 ms.
        assert_eq!((pair.now - start) / MS, 310);
        assert_eq!(pair.completed[&tag], Status::Ok);
    }
}

#[test]
fn nothing_new_is_sent_to_a_busy_target() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.statuses = vec![ScsiStatus::TaskSetFull];
    let first = pair.read(0, 512, 0);
    pair.run();
    pair.peer.seen.clear();
    let second = pair.read(512, 512, 0);
    pair.run();
    assert_eq!(pair.peer.seen, []);
    pair.run_for(SECOND);
    assert_eq!(
        (pair.completed[&first], pair.completed[&second]),
        (Status::Ok, Status::Ok)
    );
}

/// A reservation may be gone at the second attempt; one that is not is an error.
#[test]
fn reservation_conflict_is_reissued_once() {
    let conflict = ScsiStatus::ReservationConflict;
    let mut pair = Pair::plain().ready();
    for (conflicts, status) in [(1, Status::Ok), (2, Status::NotPermitted), (1, Status::Ok)] {
        for write in [true, false] {
            pair.peer.seen.clear();
            pair.peer.disk.statuses = vec![conflict; conflicts];
            let tag = match write {
                true => pair.write(0, 65536, 0),
                false => pair.read(0, 65536, 0),
            };
            assert_eq!(pair.finish(tag), status);
            let commands = pair.peer.seen.iter();
            let commands = commands.filter(|pdu| matches!(pdu, InitiatorPdu::ScsiCommand(_)));
            assert_eq!(commands.count(), 2);
        }
    }
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

/// Each part of a request may meet a reservation, whatever other obstacles there were.
#[test]
fn reservation_conflict_of_each_part() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.limits.max_transfer = 16;
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let mut count = 0;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        count += 1;
        if !matches!(count, 1 | 2 | 4) {
            return false;
        }
        peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        if count == 1 {
            peer.check_condition(command, SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET);
        } else {
            let conflict = ScsiStatus::ReservationConflict;
            peer.respond(command.itt, conflict, None, 0, true);
        }
        true
    }));
    let tag = pair.read(0, 16384, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn target_that_stays_busy_is_waited_for() {
    for status in [ScsiStatus::Busy, ScsiStatus::TaskSetFull] {
        let mut pair = Pair::plain().ready();
        pair.peer.disk.statuses = vec![status; 1000];
        let tag = pair.read(0, 512, 0);
        pair.run_for(2 * SECOND);
        // The caller decides how long the request may wait.
        let told = pair.suspended();
        assert!(told.len() == 1 && told[0].contains("READ(10) 28h of 512 bytes at 0"));
        assert!(told[0].contains(&format!("{status} ({:02X}h)", u8::from(status))));
        pair.run_for(298 * SECOND);
        assert!(!pair.completed.contains_key(&tag));
        assert_eq!(pair.suspended().len(), 1, "told once");
        let asked = pair.peer.disk.done.len();
        assert!(asked < 350, "{asked} commands in 300 s");
        pair.peer.disk.statuses.clear();
        pair.run_for(2 * SECOND);
        assert_eq!(pair.completed[&tag], Status::Ok);
        assert_eq!((pair.readies(), pair.connects.len()), (2, 1));
    }
}

#[test]
fn unit_attention_is_retried() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET); 3];
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn endless_unit_attention_is_given_up() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET); 1000];
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::IoError);
}

#[test]
fn changed_capacity_is_read_again() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.blocks *= 2;
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::CAPACITY_CHANGED)];
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.readies(), 2);
    assert_eq!(pair.geometry().size, 1 << 30);
    let tag = pair.read(1 << 29, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn changed_luns_are_looked_at() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.luns = vec![0, 1, 2];
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::LUNS_CHANGED)];
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    // This does not concern us.
    assert_eq!(pair.readies(), 1);

    pair.peer.disk.luns = vec![0, 2];
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::LUNS_CHANGED)];
    let tag = pair.read(0, 512, 0);
    pair.run();
    assert!(pair.suspended()[0].contains("logical unit 1 does not exist; the target has 0, 2"));
    pair.peer.disk.luns = vec![0, 1];
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
}

#[test]
fn unit_that_becomes_another_is_not_written_to() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.naa = Some([0x50, 9, 9, 9, 9, 9, 9, 9]);
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::INQUIRY_CHANGED)];
    pair.read(0, 512, 0);
    pair.run();
    assert!(pair.failed().unwrap().contains("another logical unit"));
}

#[test]
fn attention_by_asynchronous_message() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.write_protected = true;
    let sn = pair.peer.status();
    let message = AsyncMessage {
        event: AsyncEvent::Scsi,
        data_len: 0,
        lun: Lun::default(),
        sn,
    };
    let sense =
        vcp_iscsi_proto::scsi::Sense::new(SenseKey::UnitAttention, Asc::MODE_PARAMETERS_CHANGED)
            .emit_fixed();
    let mut data = vec![0, 18];
    data.extend(sense);
    pair.peer.send(message, &data);
    pair.run();
    assert!(pair.geometry().read_only);
}

#[test]
fn target_failure_is_retried() {
    let mut pair = Pair::plain().ready();
    let mut done = false;
    pair.peer.settings.status_in_data = false;
    pair.peer.mangle = Some(Box::new(move |pdu, _| {
        if let TargetPdu::ScsiResponse(response) = pdu
            && !core::mem::replace(&mut done, true)
        {
            response.response = ResponseCode::TargetFailure;
        }
        true
    }));
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn short_transfers_are_errors() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if command.cdb[0] != 0x28 {
            return false;
        }
        peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        let sn = peer.status();
        peer.send(
            DataIn {
                is_final: true,
                acknowledge: false,
                status: Some(ScsiStatus::Good),
                data_len: 0,
                lun: Lun::default(),
                itt: command.itt,
                ttt: RESERVED_TAG,
                sn,
                data_sn: 0,
                offset: 0,
                residual: Residual::Underflow(512),
            },
            &[1; 512],
        );
        true
    }));
    let tag = pair.read(0, 1024, 0);
    pair.run_for(20 * SECOND);
    assert_eq!(pair.completed[&tag], Status::IoError);
    // It is tried here, then once on another session.
    assert_eq!(pair.connects.len(), 2);
}

/// The data of an UNMAP or WRITE SAME is a parameter list, which some targets do not
/// count.
#[test]
fn parameters_that_are_not_counted_are_no_error() {
    let mut pair = Pair::plain().ready();
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::ScsiResponse(response) = pdu {
            response.residual = Residual::Underflow(24);
        }
        true
    }));
    let tag = pair.submit(Operation::Discard, 0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.write(0, 4096, 0);
    pair.run_for(20 * SECOND);
    assert_eq!(pair.completed[&tag], Status::IoError);
}
