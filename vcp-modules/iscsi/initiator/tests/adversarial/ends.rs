//! Ends of commands that contradict earlier PDUs.

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status as ScsiStatus};

use crate::pair::*;
use crate::{LENGTH, data_in, ends_and_recovers, in_four, is_tried_again, once, pair, read_with};

#[test]
fn read_that_ends_too_early() {
    // The status comes with the first quarter.
    data_in("not under way", |pdu, _| {
        pdu.is_final = true;
        pdu.status = Some(ScsiStatus::Good);
        true
    });
    // The status comes in a response, and the last quarter is missing.
    let settings = Settings {
        status_in_data: false,
        ..in_four()
    };
    let mut pair = pair(settings);
    let mut answered = false;
    pair.peer.mangle = Some(Box::new(move |pdu, _| {
        if answered {
            return true;
        }
        if let TargetPdu::ScsiResponse(response) = pdu {
            response.exp_data_sn = 0;
            answered = true;
        }
        !matches!(pdu, TargetPdu::DataIn(pdu) if pdu.data_sn == 3)
    }));
    let tag = pair.read(0, LENGTH, 1 << 20);
    is_tried_again(pair, tag, "with 12288 of 16384 bytes moved");
}

#[test]
fn residual_that_does_not_add_up() {
    for residual in [
        Residual::Underflow(512),
        Residual::Underflow(LENGTH + 1),
        Residual::Overflow(512),
    ] {
        let mut pair = pair(in_four());
        pair.peer.mangle = once(move |pdu, _| match pdu {
            TargetPdu::DataIn(pdu) if pdu.status.is_some() => {
                pdu.residual = residual;
                true
            }
            _ => false,
        });
        let tag = pair.read(0, LENGTH, 1 << 20);
        is_tried_again(pair, tag, "of 16384 bytes moved");
    }
}

#[test]
fn response_that_counts_other_data_pdus() {
    let settings = Settings {
        status_in_data: false,
        ..in_four()
    };
    read_with(
        settings,
        "counts 5 data PDUs where there were 4",
        |pdu, _| match pdu {
            TargetPdu::ScsiResponse(pdu) => {
                pdu.exp_data_sn = 5;
                true
            }
            _ => false,
        },
    );
}

#[test]
fn response_to_nobody() {
    let settings = Settings {
        status_in_data: false,
        ..Settings::default()
    };
    read_with(settings, "not under way", |pdu, _| match pdu {
        TargetPdu::ScsiResponse(pdu) => {
            pdu.itt ^= 0x1_0000;
            true
        }
        _ => false,
    });
}

#[test]
fn second_answer_to_a_command() {
    let mut pair = pair(Settings::default());
    let before = pair.read(0, 512, 1 << 20);
    pair.run();
    let itt = pair.peer.seen.iter().rev().find_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(command.itt),
        _ => None,
    });
    assert_eq!(pair.completed[&before], Status::Ok);
    pair.peer
        .respond(itt.unwrap(), ScsiStatus::Good, None, 0, true);
    pair.run();
    assert_eq!(pair.suspended().len(), 1);
}

#[test]
fn status_out_of_order() {
    for delta in [1, u32::MAX] {
        data_in("StatSN", move |pdu, _| {
            let last = pdu.status.is_some();
            if last {
                pdu.sn.stat_sn = pdu.sn.stat_sn.add(delta);
            }
            last
        });
        let settings = Settings {
            status_in_data: false,
            ..Settings::default()
        };
        read_with(settings, "StatSN", move |pdu, _| match pdu {
            TargetPdu::ScsiResponse(pdu) => {
                pdu.sn.stat_sn = pdu.sn.stat_sn.add(delta);
                true
            }
            _ => false,
        });
    }
}

#[test]
fn acknowledgement_of_commands_never_sent() {
    data_in("never sent", |pdu, _| {
        pdu.sn.exp_cmd_sn = pdu.sn.exp_cmd_sn.add(1);
        true
    });
}

#[test]
fn write_that_ends_well_without_its_data() {
    let mut pair = pair(Settings {
        immediate_data: false,
        ..Settings::default()
    });
    let mut done = false;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if !command.write || core::mem::replace(&mut done, true) {
            return false;
        }
        peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        peer.respond(command.itt, ScsiStatus::Good, None, 0, true);
        true
    }));
    pair.fill(1 << 20, LENGTH, 9);
    pair.fill(0, LENGTH, 9);
    let tag = pair.write(0, LENGTH, 0);
    pair.run();
    assert!(pair.peer.disk.read(0, LENGTH / 512) == pair.bytes(0, LENGTH));
    is_tried_again(pair, tag, "with 0 of 16384 bytes moved");
}

#[test]
fn sense_data_that_is_cut_short() {
    let mut pair = pair(Settings::default());
    pair.peer.disk.statuses = vec![ScsiStatus::CheckCondition];
    pair.peer.mangle = once(|pdu, data| match pdu {
        TargetPdu::ScsiResponse(pdu) => {
            data.extend([0, 200, 0x70]);
            pdu.data_len = 3;
            true
        }
        _ => false,
    });
    let tag = pair.read(0, LENGTH, 1 << 20);
    ends_and_recovers(pair, tag, "sense data");
}

/// Memory of a request that has ended is not sent any more, even when the target ends a
/// write whose data is under way.
#[test]
fn data_of_an_ended_write_is_not_sent() {
    let settings = Settings {
        immediate_data: false,
        max_recv: 65536,
        max_burst: 65536,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    pair.to_target = 1000;
    pair.memory.0[..65536].fill(0xaa);
    let tag = pair.write(0, 65536, 0);
    while !pair
        .peer
        .seen
        .iter()
        .any(|p| matches!(p, InitiatorPdu::ScsiCommand(c) if c.write))
    {
        pair.step();
    }
    // Some of the Data-Out has been sent.
    for _ in 0..10 {
        pair.step();
    }
    let itt = pair.peer.seen.iter().rev().find_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(command.itt),
        _ => None,
    });
    let sense = Sense::new(SenseKey::DataProtect, Asc::WRITE_PROTECTED).emit_fixed();
    let status = ScsiStatus::CheckCondition;
    pair.peer
        .respond(itt.unwrap(), status, Some(&sense), 0, true);
    while !pair.completed.contains_key(&tag) {
        pair.step();
    }
    assert_eq!(pair.completed[&tag], Status::NotPermitted);
    // The new contents of the memory must not be sent.
    pair.memory.0[..65536].fill(0x55);
    let mut rest = vec![0; 1 << 20];
    let count = pair.initiator.transmit(pair.now, &mut rest, &pair.memory);
    assert!(count > 0 && rest[..count].iter().all(|&b| b == 0));
}
