//! What is neither command nor data: pings, asynchronous messages, rejects, aborts,
//! busy targets, attention.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, SenseKey, Status as ScsiStatus};
use vcp_iscsi_proto::{BHS_LEN, Lun, RESERVED_TAG};

fn nops(pair: &Pair) -> Vec<NopOut> {
    let nops = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::NopOut(nop) => Some(*nop),
        _ => None,
    });
    nops.collect()
}

fn send_async(pair: &mut Pair, event: AsyncEvent) {
    let sn = pair.peer.status();
    pair.peer.send(
        AsyncMessage {
            event,
            data_len: 0,
            lun: Lun::default(),
            sn,
        },
        &[],
    );
}

#[test]
fn answers_pings() {
    let mut pair = Pair::plain().ready();
    let sn = pair.peer.numbers();
    let lun = Lun::new(1).unwrap();
    pair.peer.send(
        NopIn {
            data_len: 0,
            lun,
            itt: RESERVED_TAG,
            ttt: 0x77,
            sn,
        },
        &[],
    );
    pair.run();
    let [nop] = nops(&pair)[..] else {
        panic!("one answer")
    };
    assert_eq!((nop.itt, nop.ttt, nop.lun), (RESERVED_TAG, 0x77, lun));
    assert!(nop.immediate);
    assert_eq!(nop.data_len, 0);
}

#[test]
fn news_of_the_window_needs_no_answer() {
    let mut pair = Pair::plain().ready();
    let sn = pair.peer.numbers();
    let lun = Lun::default();
    pair.peer.send(
        NopIn {
            data_len: 0,
            lun,
            itt: RESERVED_TAG,
            ttt: RESERVED_TAG,
            sn,
        },
        &[],
    );
    pair.run();
    assert_eq!(nops(&pair), []);
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

#[test]
fn pings_pile_up_only_so_far() {
    let mut pair = Pair::plain().ready();
    pair.to_target = 1;
    for ttt in 0..100 {
        let sn = pair.peer.numbers();
        let lun = Lun::default();
        pair.peer.send(
            NopIn {
                data_len: 0,
                lun,
                itt: RESERVED_TAG,
                ttt,
                sn,
            },
            &[],
        );
    }
    pair.run();
    assert_eq!(pair.suspended().len(), 1);
}

#[test]
fn silent_target_is_pinged() {
    let mut pair = Pair::plain().ready();
    pair.run_for(60 * SECOND);
    let nops = nops(&pair);
    assert!(
        (10..=12).contains(&nops.len()),
        "{} pings in a minute",
        nops.len()
    );
    assert!(
        nops.iter()
            .all(|nop| nop.immediate && nop.ttt == RESERVED_TAG)
    );
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

#[test]
fn talkative_target_is_not_pinged() {
    let mut pair = Pair::plain().ready();
    for _ in 0..60 {
        let tag = pair.read(0, 512, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        pair.run_for(SECOND);
    }
    assert_eq!(nops(&pair), []);
}

#[test]
fn target_that_does_not_answer_a_ping_is_left() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        peer.logins == 1 && matches!(pdu, InitiatorPdu::NopOut(_))
    }));
    pair.run_for(9 * SECOND);
    assert_eq!(pair.suspended().len(), 0);
    pair.run_for(2 * SECOND);
    assert!(pair.suspended()[0].contains("no answer to a ping"));
    pair.run_for(SECOND);
    assert_eq!(pair.readies(), 2);
}

#[test]
fn logout_when_asked() {
    let mut pair = Pair::plain().ready();
    send_async(&mut pair, AsyncEvent::LogoutRequest { within: 5 });
    pair.run();
    assert!(
        pair.peer
            .seen
            .iter()
            .any(|p| matches!(p, InitiatorPdu::LogoutRequest(_)))
    );
    assert_eq!(pair.suspended().len(), 1);
    let tag = pair.read(0, 512, 0);
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.readies(), 2);
}

#[test]
fn logout_waits_for_commands_under_way_but_not_for_new_ones() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        peer.logins == 1 && matches!(pdu, InitiatorPdu::ScsiCommand(_))
    }));
    let held = pair.read(0, 512, 0);
    pair.run();
    send_async(&mut pair, AsyncEvent::LogoutRequest { within: 2 });
    let new = pair.read(512, 512, 0);
    pair.run();
    let logout = |pair: &Pair| {
        pair.peer
            .seen
            .iter()
            .any(|p| matches!(p, InitiatorPdu::LogoutRequest(_)))
    };
    assert!(!logout(&pair));
    // Never later than asked.
    pair.run_for(1500 * MS);
    assert!(logout(&pair));
    pair.run_for(SECOND);
    assert_eq!(
        (pair.completed[&held], pair.completed[&new]),
        (Status::Ok, Status::Ok)
    );
}

#[test]
fn dropped_connections_and_sessions_are_left_alone_for_a_while() {
    for event in [
        AsyncEvent::DropConnection {
            cid: 0,
            time2wait: 4,
            time2retain: 0,
        },
        AsyncEvent::DropSession {
            time2wait: 4,
            time2retain: 0,
        },
    ] {
        let mut pair = Pair::plain().ready();
        send_async(&mut pair, event);
        pair.run_for(3900 * MS);
        assert_eq!((pair.connects.len(), pair.suspended().len()), (1, 1));
        pair.run_for(200 * MS);
        assert_eq!(pair.readies(), 2);
    }
}

#[test]
fn renegotiates_when_asked() {
    let mut pair = Pair::plain().ready();
    let mut asked = 0;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, data| {
        let InitiatorPdu::TextRequest(text) = pdu else {
            return false;
        };
        asked += 1;
        let sn = peer.status();
        let first = asked == 1;
        if first {
            assert_eq!(data, b"MaxRecvDataSegmentLength=262144\0");
        } else {
            assert_eq!(data, b"X-com.example=NotUnderstood\0");
            assert_eq!(text.ttt, 55);
        }
        peer.send(
            TextResponse {
                is_final: !first,
                is_continued: false,
                data_len: 0,
                lun: Lun::default(),
                itt: text.itt,
                ttt: if first { 55 } else { RESERVED_TAG },
                sn,
            },
            if first {
                b"MaxRecvDataSegmentLength=1024\0X-com.example=1\0"
            } else {
                b""
            },
        );
        peer.settings.max_recv = 1024;
        true
    }));
    send_async(&mut pair, AsyncEvent::Negotiate { within: 5 });
    pair.run();
    assert_eq!(pair.suspended(), Vec::<String>::new());
    // The scripted target checks the length of Data-Outs from here on.
    let tag = pair.write(0, 65536, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn text_that_is_continued_in_the_full_feature_phase() {
    let mut pair = Pair::plain().ready();
    let mut asked = 0;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, data| {
        let InitiatorPdu::TextRequest(text) = pdu else {
            return false;
        };
        asked += 1;
        let sn = peer.status();
        let (is_continued, is_final, text_out): (_, _, &[u8]) = match asked {
            1 => (true, false, b"MaxRecvDataSeg"),
            2 => {
                assert!(data.is_empty() && !text.is_final);
                (false, true, b"mentLength=2048\0")
            }
            _ => panic!("one too many"),
        };
        let ttt = if is_final { RESERVED_TAG } else { 9 };
        let lun = Lun::default();
        peer.send(
            TextResponse {
                is_final,
                is_continued,
                data_len: 0,
                lun,
                itt: text.itt,
                ttt,
                sn,
            },
            text_out,
        );
        peer.settings.max_recv = 2048;
        true
    }));
    send_async(&mut pair, AsyncEvent::Negotiate { within: 5 });
    pair.run();
    let tag = pair.write(0, 65536, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn tasks_terminated_without_fast_abort_is_a_violation() {
    let mut pair = Pair::plain().ready();
    send_async(&mut pair, AsyncEvent::TasksTerminated);
    pair.run();
    assert!(pair.suspended()[0].contains("not negotiated"));
}

#[test]
fn other_events_are_noted() {
    let mut pair = Pair::plain().ready();
    let event = AsyncEvent::Other {
        event: 255,
        vendor_code: 1,
        parameters: [0; 3],
    };
    send_async(&mut pair, event);
    pair.run();
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

/// Rejects the first command of a session.
fn reject_first(pair: &mut Pair, reason: RejectReason, taken: bool) {
    let mut done = false;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if core::mem::replace(&mut done, true) {
            return false;
        }
        if taken {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        }
        let mut header = [0; BHS_LEN];
        command.emit(&mut header);
        let sn = peer.status();
        peer.send(
            Reject {
                reason,
                data_len: 0,
                sn,
                data_sn: 0,
            },
            &header,
        );
        true
    }));
}

#[test]
fn rejected_command_leaves_no_gap() {
    let mut pair = Pair::plain().ready();
    reject_first(&mut pair, RejectReason::InvalidPduField, false);
    let rejected = pair.read(0, 512, 0);
    let next = pair.read(512, 512, 0);
    pair.run();
    // The one behind it could not be carried out before the gap was closed.
    assert_eq!(pair.completed[&rejected], Status::IoError);
    assert_eq!(pair.completed[&next], Status::Ok);
    let plugs: Vec<_> = nops(&pair)
        .into_iter()
        .filter(|nop| !nop.immediate)
        .collect();
    assert_eq!(plugs.len(), 1);
}

#[test]
fn rejected_command_that_was_counted_leaves_nothing_to_close() {
    let mut pair = Pair::plain().ready();
    reject_first(&mut pair, RejectReason::InvalidPduField, true);
    let rejected = pair.read(0, 512, 0);
    let next = pair.read(512, 512, 0);
    pair.run();
    assert_eq!(pair.completed[&rejected], Status::IoError);
    assert_eq!(pair.completed[&next], Status::Ok);
    assert_eq!(nops(&pair), []);
}

#[test]
fn command_rejected_for_its_digest_is_sent_again() {
    let mut pair = Pair::plain().ready();
    reject_first(&mut pair, RejectReason::DataDigestError, false);
    pair.fill(0, 4096, 3);
    let tag = pair.write(0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.peer.disk.written.len(), 8);
}

#[test]
fn command_rejected_for_want_of_room_is_sent_again_later() {
    for reason in [RejectReason::LongOperation, RejectReason::TaskInProgress] {
        let mut pair = Pair::plain().ready();
        reject_first(&mut pair, reason, false);
        let tag = pair.read(0, 512, 0);
        pair.run();
        assert!(!pair.completed.contains_key(&tag));
        pair.run_for(SECOND);
        assert_eq!(pair.completed[&tag], Status::Ok);
    }
}

#[test]
fn other_rejects() {
    let reject = |pair: &mut Pair, opcode: u8| {
        let mut header = [0; BHS_LEN];
        header[0] = opcode;
        let sn = pair.peer.status();
        let reason = RejectReason::ProtocolError;
        pair.peer.send(
            Reject {
                reason,
                data_len: 0,
                sn,
                data_sn: 0,
            },
            &header,
        );
        pair.run();
    };
    // A Data-Out: the command's own status follows. A ping: it was heard.
    for opcode in [0x05, 0x40] {
        let mut pair = Pair::plain().ready();
        reject(&mut pair, opcode);
        assert_eq!(pair.suspended(), Vec::<String>::new());
    }
    // An abort or logout that can't be: the connection is of no use.
    for opcode in [0x42, 0x46, 0x3f] {
        let mut pair = Pair::plain().ready();
        reject(&mut pair, opcode);
        assert_eq!(pair.suspended().len(), 1);
    }
    // Without the header that was rejected.
    let mut pair = Pair::plain().ready();
    let sn = pair.peer.status();
    let reason = RejectReason::ProtocolError;
    pair.peer.send(
        Reject {
            reason,
            data_len: 0,
            sn,
            data_sn: 0,
        },
        &[0; 47],
    );
    pair.run();
    assert_eq!(pair.suspended().len(), 1);
}

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
        // 10 + 20 + 40 + 80 + 160 ms.
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

#[test]
fn target_that_stays_busy_is_given_up() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.statuses = vec![ScsiStatus::Busy; 1000];
    let tag = pair.read(0, 512, 0);
    pair.run_for(59 * SECOND);
    assert!(!pair.completed.contains_key(&tag));
    pair.run_for(5 * SECOND);
    assert_eq!(pair.completed[&tag], Status::IoError);
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
    // Nothing that concerns us.
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
fn unanswered_command_is_aborted_and_sent_again() {
    let mut pair = Pair::plain().ready();
    let mut dropped = false;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(_) = pdu else {
            return false;
        };
        let first = !core::mem::replace(&mut dropped, true);
        if first {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        }
        first
    }));
    let tag = pair.write(0, 65536, 0);
    pair.run();
    assert!(!pair.completed.contains_key(&tag));
    // The target still answers pings.
    pair.run_for(31 * SECOND);
    let aborts: Vec<_> = pair
        .peer
        .seen
        .iter()
        .filter_map(|pdu| match pdu {
            InitiatorPdu::TaskRequest(request) => Some(*request),
            _ => None,
        })
        .collect();
    assert_eq!(aborts.len(), 1);
    let command = pair.peer.seen.iter().find_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) if command.write => Some(*command),
        _ => None,
    });
    let command = command.unwrap();
    assert_eq!(aborts[0].ref_itt, command.itt);
    assert_eq!(aborts[0].ref_cmd_sn, command.sn.cmd_sn);
    assert_eq!(aborts[0].lun, command.lun);
    assert!(aborts[0].immediate);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

#[test]
fn r2ts_are_answered_while_aborting() {
    let settings = Settings {
        immediate_data: false,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    let mut abort = None;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| match pdu {
        InitiatorPdu::ScsiCommand(_) if peer.logins == 1 && abort.is_none() => {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
            true
        }
        InitiatorPdu::TaskRequest(request) => {
            abort = Some(request.itt);
            let sn = peer.numbers();
            let (lun, itt) = (request.lun, request.ref_itt);
            let r2t = R2t {
                data_len: 0,
                lun,
                itt,
                ttt: 9,
                sn,
                r2t_sn: 0,
                offset: 0,
                desired_len: 512,
            };
            peer.send(r2t, &[]);
            true
        }
        InitiatorPdu::DataOut(data) if data.ttt == 9 => {
            assert!(data.is_final && data.data_len == 512);
            let sn = peer.status();
            let itt = abort.expect("an abort");
            let code = TaskCode::Complete;
            peer.send(
                TaskResponse {
                    code,
                    data_len: 0,
                    itt,
                    sn,
                },
                &[],
            );
            true
        }
        _ => false,
    }));
    let tag = pair.write(0, 65536, 0);
    pair.run_for(31 * SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

#[test]
fn abort_that_fails_or_is_not_answered_ends_the_connection() {
    for code in [None, Some(TaskCode::NotSupported), Some(TaskCode::Rejected)] {
        let mut pair = Pair::plain().ready();
        pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
            if peer.logins > 1 {
                return false;
            }
            match pdu {
                InitiatorPdu::ScsiCommand(_) => true,
                InitiatorPdu::TaskRequest(request) => {
                    if let Some(code) = code {
                        let sn = peer.status();
                        peer.send(
                            TaskResponse {
                                code,
                                data_len: 0,
                                itt: request.itt,
                                sn,
                            },
                            &[],
                        );
                    }
                    true
                }
                _ => false,
            }
        }));
        let tag = pair.read(0, 512, 0);
        pair.run_for(40 * SECOND);
        assert_eq!(pair.suspended().len(), 1, "{code:?}");
        assert_eq!(pair.completed[&tag], Status::Ok);
    }
}

#[test]
fn command_answered_while_being_aborted_is_done() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| match pdu {
        InitiatorPdu::ScsiCommand(_) => {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
            true
        }
        InitiatorPdu::TaskRequest(request) => {
            // The status was on its way already.
            peer.respond(request.ref_itt, ScsiStatus::Good, None, 0, true);
            let sn = peer.status();
            let code = TaskCode::NoTask;
            peer.send(
                TaskResponse {
                    code,
                    data_len: 0,
                    itt: request.itt,
                    sn,
                },
                &[],
            );
            true
        }
        _ => false,
    }));
    let tag = pair.submit(Operation::Flush, 0, 0, 0);
    pair.run_for(31 * SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.suspended(), Vec::<String>::new());
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
    assert_eq!(pair.finish(tag), Status::IoError);
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

/// Of an UNMAP or WRITE SAME the data is parameters, which some targets do not
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
    assert_eq!(pair.finish(tag), Status::IoError);
}
