//! A command has succeeded only when its last byte was moved, whatever the target
//! reports; until then it is retried, here and once on another session.

use vcp_iscsi_initiator::{Action, Status};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status as ScsiStatus};
use vcp_iscsi_proto::{BHS_LEN, Lun};

use crate::pair::*;

const LENGTH: u32 = 8192;
const READ: u8 = 0x28;
const WRITE: u8 = 0x2a;

/// A pair in which no write data is sent without an R2T.
fn on_request() -> Pair {
    let settings = Settings {
        immediate_data: false,
        initial_r2t: true,
        ..Settings::default()
    };
    Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready()
}

fn check_condition(key: SenseKey) -> (ScsiStatus, Option<Sense>) {
    let sense = Sense::new(key, Asc::NONE);
    (ScsiStatus::CheckCondition, Some(sense))
}

/// The statuses and sense data that report success.
fn successes() -> Vec<(ScsiStatus, Option<Sense>)> {
    vec![
        (ScsiStatus::Good, None),
        (ScsiStatus::ConditionMet, None),
        check_condition(SenseKey::NoSense),
        check_condition(SenseKey::RecoveredError),
        check_condition(SenseKey::Completed),
    ]
}

/// Answers all commands with this operation code by `answer`, which gets the number of
/// such commands so far.
fn answer(
    pair: &mut Pair,
    opcode: u8,
    mut answer: impl FnMut(&mut Peer, &ScsiCommand, u32) -> bool + 'static,
) {
    let mut times = 0;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if command.cdb[0] != opcode {
            return false;
        }
        times += 1;
        let answered = answer(peer, command, times);
        if answered {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        }
        answered
    }));
}

fn respond(peer: &mut Peer, itt: u32, (status, sense): (ScsiStatus, Option<Sense>)) {
    let sense = sense.map(|sense| sense.emit_fixed());
    peer.respond(itt, status, sense.as_ref().map(|s| &s[..]), 0, true);
}

/// Sends the first `length` bytes of the data that a read requests.
fn send_first(peer: &mut Peer, command: &ScsiCommand, length: usize) {
    peer.send_first(command.itt, &vec![0xd1; length]);
}

fn asked(pair: &Pair, opcode: u8) -> usize {
    let is_it =
        |pdu: &&InitiatorPdu| matches!(pdu, InitiatorPdu::ScsiCommand(c) if c.cdb[0] == opcode);
    pair.peer.seen.iter().filter(is_it).count()
}

#[test]
fn write_whose_data_was_never_asked_for_is_not_done() {
    for said in successes() {
        let mut pair = on_request();
        answer(&mut pair, WRITE, move |peer, command, _| {
            respond(peer, command.itt, said);
            true
        });
        pair.fill(0, LENGTH, 1);
        let tag = pair.write(0, LENGTH, 0);
        pair.run_for(20 * SECOND);
        assert_eq!(pair.completed[&tag], Status::IoError, "{said:?}");
        assert_eq!(pair.peer.disk.written.len(), 0);
        // It is tried several times here, then once on another session.
        assert_eq!((asked(&pair, WRITE), pair.connects.len()), (6, 2));
        let told = |action: &Action| {
            matches!(action, Action::Log { message, .. }
            if message.contains("with 0 of 8192 bytes moved") && message.contains("WRITE(10) 2Ah of 8192 bytes at 0"))
        };
        assert!(pair.actions.iter().any(told), "{:#?}", pair.actions);
    }
}

#[test]
fn read_that_lacks_bytes_is_not_done() {
    for (sent, said) in [0, 512, LENGTH - 512]
        .into_iter()
        .flat_map(|sent| successes().into_iter().map(move |said| (sent, said)))
    {
        let mut pair = Pair::plain().ready();
        answer(&mut pair, READ, move |peer, command, _| {
            if sent > 0 {
                send_first(peer, command, sent as usize);
            }
            respond(peer, command.itt, said);
            true
        });
        let tag = pair.read(0, LENGTH, 0);
        pair.run_for(20 * SECOND);
        assert_eq!(pair.completed[&tag], Status::IoError, "{sent} {said:?}");
        assert_eq!((asked(&pair, READ), pair.connects.len()), (6, 2));
    }
}

/// The control experiment: with all bytes moved, every form of success is one.
#[test]
fn recovered_errors_with_all_bytes_there_are_successes() {
    for said in successes() {
        let mut pair = Pair::plain().ready();
        answer(&mut pair, READ, move |peer, command, _| {
            send_first(peer, command, LENGTH as usize);
            respond(peer, command.itt, said);
            true
        });
        let tag = pair.read(0, LENGTH, 0);
        assert_eq!(pair.finish(tag), Status::Ok, "{said:?}");
        assert!(pair.bytes(0, LENGTH).iter().all(|&byte| byte == 0xd1));
        assert_eq!((asked(&pair, READ), pair.connects.len()), (1, 1));
    }
    // Failures stay failures, even with all bytes moved.
    let mut pair = Pair::plain().ready();
    answer(&mut pair, READ, move |peer, command, _| {
        send_first(peer, command, LENGTH as usize);
        respond(peer, command.itt, check_condition(SenseKey::MediumError));
        true
    });
    let tag = pair.read(0, LENGTH, 0);
    assert_eq!(pair.finish(tag), Status::IoError);
}

#[test]
fn what_was_short_once_is_done_the_next_time() {
    let mut pair = on_request();
    answer(&mut pair, WRITE, |peer, command, times| {
        if times == 1 {
            respond(peer, command.itt, check_condition(SenseKey::RecoveredError));
        }
        times == 1
    });
    pair.fill(0, LENGTH, 1);
    let tag = pair.write(0, LENGTH, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.peer.disk.read(0, LENGTH / 512) == pair.bytes(0, LENGTH));
    assert_eq!(pair.connects.len(), 1);
}

/// A target's possible answers to a command that it does not carry out.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    Reject(RejectReason),
    Failure,
    Aborted(Asc),
}

fn refuse(peer: &mut Peer, command: &ScsiCommand, refusal: Refusal) {
    match refusal {
        Refusal::Reject(reason) => {
            let mut header = [0; BHS_LEN];
            command.emit(&mut header);
            peer.reject(reason, &header);
        }
        Refusal::Failure => {
            let sn = peer.status();
            peer.send(
                ScsiResponse {
                    response: ResponseCode::TargetFailure,
                    status: ScsiStatus::Good,
                    data_len: 0,
                    itt: command.itt,
                    snack_tag: 0,
                    sn,
                    exp_data_sn: 0,
                    bidi_residual: Residual::None,
                    residual: Residual::None,
                },
                &[],
            );
        }
        Refusal::Aborted(asc) => peer.check_condition(command, SenseKey::AbortedCommand, asc),
    }
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::Reject(RejectReason::ProtocolError),
        Refusal::Reject(RejectReason::CommandNotSupported),
        Refusal::Reject(RejectReason::InvalidPduField),
        Refusal::Failure,
        Refusal::Aborted(Asc(0x0c, 0x0c)),
        Refusal::Aborted(Asc(0x47, 0x7f)),
        Refusal::Aborted(Asc(0x80, 0x01)),
    ]
}

/// Refuses this many times; otherwise the target is honest.
fn refused(refusal: Refusal, times: u32) -> (Pair, Status) {
    let mut pair = Pair::plain().ready();
    answer(&mut pair, READ, move |peer, command, time| {
        if time <= times {
            refuse(peer, command, refusal);
        }
        time <= times
    });
    let tag = pair.read(0, LENGTH, 0);
    pair.run_for(20 * SECOND);
    let status = pair.completed[&tag];
    (pair, status)
}

#[test]
fn refused_commands_are_tried_here_then_on_another_session_then_no_more() {
    for refusal in refusals() {
        for (times, connects, status) in [
            (1, 1, Status::Ok),
            (4, 1, Status::Ok),
            (5, 2, Status::Ok),
            (6, 2, Status::IoError),
        ] {
            let (pair, ended) = refused(refusal, times);
            let outcome = (ended, pair.connects.len());
            assert_eq!(outcome, (status, connects), "{refusal:?}, {times} times");
            if status == Status::IoError {
                let told = |action: &Action| {
                    matches!(action, Action::Log { message, .. } if message.contains("READ(10)")
                        && message.contains("here or on another session"))
                };
                assert!(pair.actions.iter().any(told), "{:#?}", pair.actions);
            }
        }
    }
}

/// Other clients see one pause because of a request that is always refused, not one for
/// each.
#[test]
fn sessions_are_not_given_up_for_one_refused_command_after_another() {
    let mut pair = Pair::plain().ready();
    answer(&mut pair, READ, |peer, command, _| {
        refuse(
            peer,
            command,
            Refusal::Reject(RejectReason::CommandNotSupported),
        );
        true
    });
    for n in 0..10 {
        let refused = pair.read(n * 8192, LENGTH, 0);
        let other = pair.write(1 << 20, LENGTH, 0);
        pair.run_for(2 * SECOND);
        assert_eq!(pair.completed[&refused], Status::IoError);
        assert_eq!(pair.completed[&other], Status::Ok);
    }
    assert_eq!(pair.connects.len(), 2);
}

#[test]
fn commands_under_way_wait_for_the_next_session_when_the_target_wants_to_be_left() {
    let mut pair = Pair::plain().ready();
    answer(&mut pair, READ, move |peer, command, times| {
        if times == 1 {
            let sn = peer.status();
            let event = AsyncEvent::LogoutRequest { within: 5 };
            peer.send(
                AsyncMessage {
                    event,
                    data_len: 0,
                    lun: Lun::default(),
                    sn,
                },
                &[],
            );
            peer.check_condition(command, SenseKey::IllegalRequest, Asc::LUN_NOT_SUPPORTED);
        }
        times == 1
    });
    let tag = pair.read(0, LENGTH, 0);
    pair.run_for(2 * SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.connects.len(), 2);

    // The control experiment: from a target that stays, it is an answer.
    let mut pair = Pair::plain().ready();
    answer(&mut pair, READ, |peer, command, _| {
        peer.check_condition(command, SenseKey::IllegalRequest, Asc::LUN_NOT_SUPPORTED);
        true
    });
    let tag = pair.read(0, LENGTH, 0);
    assert_eq!(pair.finish(tag), Status::IoError);
}
