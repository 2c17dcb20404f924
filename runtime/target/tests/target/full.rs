//! The full feature phase, directly on a connection: the command window, task management,
//! and the target's unasked messages.

use std::time::Duration;

use vcp_iscsi_proto::pdu::{AsyncEvent, LogoutCode, NopOut, RejectReason, TaskCode, TaskFunction};
use vcp_iscsi_proto::{Lun, RESERVED_TAG, Serial, TargetPdu};
use vcp_target::End;
use vcp_target::lun::{Faults, Sense};
use vcp_target::script::{Fault, Misbehaviour};

use crate::client::{Client, Direct, keys, target_of, unit, value};
use crate::fixture::{CHECK, GOOD, contents, r2t, response, sense, small};

#[test]
fn the_window_opens_when_commands_end() {
    let unit = unit(1 << 20);
    let target = target_of(&unit, |c| c.policy.command_window = 2);
    let mut client = Client::ready(&target, &[]);
    let first = client.write(0, 1);
    client.send(first, b"");
    let second = client.write(1, 1);
    client.send(second, b"");
    let (one, two) = (r2t(&mut client), r2t(&mut client));
    let window = |sn: vcp_iscsi_proto::pdu::TargetSn| sn.max_cmd_sn.0 + 1 - sn.exp_cmd_sn.0;
    assert_eq!((window(one.sn), window(two.sn)), (1, 0));
    let third = client.read(0, 1);
    client.send(third, b"");
    assert_eq!(client.next(), None, "outside the window, so ignored");
    assert!(target.violations()[0].text.contains("outside the window"));
    let pdu = client.data_out(&first, one.ttt, 0, 512);
    client.send(pdu, &[1; 512]);
    let Some((TargetPdu::ScsiResponse(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(window(pdu.sn), 1);
    client.send(third, b"");
    assert!(matches!(client.next(), Some((TargetPdu::DataIn(_), _))));
}

#[test]
fn sequence_numbers_wrap() {
    let unit = unit(1 << 20);
    let target = target_of(&unit, |c| c.policy.initial_stat_sn = u32::MAX - 3);
    let mut client = Client::direct(&target);
    client.cmd_sn = u32::MAX - 5;
    client.login(&[]);
    for _ in 0..12 {
        assert_eq!(client.read_all(0, 1).1, GOOD);
    }
    assert!(target.violations().is_empty(), "{:?}", target.violations());
}

#[test]
fn a_rejected_command_leaves_a_gap() {
    let (_, target, mut client) = small();
    let reject = Misbehaviour::Reject(RejectReason::ProtocolError);
    target.set_faults(vec![Fault::once(
        vcp_iscsi_proto::Opcode::ScsiCommand,
        1,
        reject,
    )]);
    let first = client.read(0, 1);
    client.send(first, b"");
    assert!(matches!(client.next(), Some((TargetPdu::Reject(_), _))));
    let second = client.read(1, 1);
    client.send(second, b"");
    assert_eq!(client.next(), None, "it waits for the gap to be plugged");
    let abort = client.task_request(TaskFunction::AbortTask, &first);
    client.send(abort, b"");
    let Some((TargetPdu::TaskResponse(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(pdu.code, TaskCode::Complete);
    let Some((TargetPdu::DataIn(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(pdu.itt, second.itt);

    // The gap may be the last command.
    target.set_faults(vec![Fault::once(
        vcp_iscsi_proto::Opcode::ScsiCommand,
        1,
        reject,
    )]);
    let lone = client.read(0, 1);
    client.send(lone, b"");
    client.next();
    let abort = client.task_request(TaskFunction::AbortTask, &lone);
    client.send(abort, b"");
    let Some((TargetPdu::TaskResponse(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(pdu.code, TaskCode::Complete);

    // The gap can also be closed by sending the same command again.
    target.set_faults(vec![Fault::once(
        vcp_iscsi_proto::Opcode::ScsiCommand,
        1,
        reject,
    )]);
    let first = client.read(0, 1);
    client.send(first, b"");
    client.next();
    client.send(first, b"");
    assert!(matches!(client.next(), Some((TargetPdu::DataIn(_), _))));
    assert!(target.violations().is_empty(), "{:?}", target.violations());
}

#[test]
fn aborted_tasks_are_not_answered() {
    let (unit, target, mut client) = small();
    unit.set_faults(Faults {
        read_delay: Duration::from_secs(5),
        ..Faults::default()
    });
    let read = client.read(0, 1);
    client.send(read, b"");
    let write = client.write(0, 4);
    client.send(write, b"");
    let r2t = r2t(&mut client);
    let abort = client.task_request(TaskFunction::AbortTask, &read);
    client.send(abort, b"");
    let code = |client: &mut Client<Direct>| match client.next() {
        Some((TargetPdu::TaskResponse(pdu), _)) => pdu.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(&mut client), TaskCode::Complete);
    let set = client.task_request(TaskFunction::AbortTaskSet, &write);
    client.send(set, b"");
    assert_eq!(code(&mut client), TaskCode::Complete);
    // The answer to an R2T that was under way is no violation.
    let pdu = client.data_out(&write, r2t.ttt, 0, 2048);
    client.send(pdu, &[1; 2048]);
    client.transport.advance(Duration::from_secs(10));
    assert_eq!(client.next(), None);
    let again = client.task_request(TaskFunction::AbortTask, &read);
    client.send(again, b"");
    assert_eq!(code(&mut client), TaskCode::NoTask);
    assert!(target.violations().is_empty(), "{:?}", target.violations());
}

#[test]
fn a_reset_reaches_every_session() {
    let (unit, target, mut client) = small();
    let mut other = Client::direct(&target);
    other.isid = vcp_iscsi_proto::Isid::random(2, 2);
    other.login(&[]);
    let write = other.write(0, 1);
    other.send(write, b"");
    r2t(&mut other);
    let command = client.read(0, 1);
    let reset = client.task_request(TaskFunction::LogicalUnitReset, &command);
    client.send(reset, b"");
    assert!(matches!(
        client.next(),
        Some((TargetPdu::TaskResponse(_), _))
    ));
    for client in [&mut client, &mut other] {
        client.transport.advance(Duration::ZERO);
    }
    assert_eq!(other.read_all(0, 1).1, CHECK);
    assert_eq!(other.read_all(0, 1).1, GOOD);
    client.send(command, b"");
    assert_eq!(response(&mut client).1, sense(Sense::UNIT_RESET));
    assert_eq!(contents(&unit, 0, 512), [0; 512]);
}

#[test]
fn pings_go_both_ways() {
    let unit = unit(1 << 20);
    let target = target_of(&unit, |c| {
        c.timing.ping_interval = Some(Duration::from_secs(10));
        c.timing.ping_timeout = Duration::from_secs(5);
    });
    let mut client = Client::ready(&target, &[]);
    let sn = client.sn();
    let nop = NopOut {
        immediate: true,
        data_len: 4,
        lun: Lun(0),
        itt: 9,
        ttt: RESERVED_TAG,
        sn,
    };
    client.send(nop, b"ping");
    let Some((TargetPdu::NopIn(pdu), data)) = client.next() else {
        panic!()
    };
    assert_eq!((pdu.itt, data.as_slice()), (9, &b"ping"[..]));

    client.transport.advance(Duration::from_secs(11));
    let Some((TargetPdu::NopIn(pdu), _)) = client.next() else {
        panic!()
    };
    assert!(pdu.ttt != RESERVED_TAG && pdu.itt == RESERVED_TAG);
    let answer = NopOut {
        itt: RESERVED_TAG,
        ttt: pdu.ttt,
        data_len: 0,
        sn: client.sn(),
        ..nop
    };
    client.send(answer, b"");
    client.transport.advance(Duration::from_secs(6));
    assert!(client.end().is_none());
    assert!(target.violations().is_empty(), "{:?}", target.violations());

    client.transport.advance(Duration::from_secs(11));
    assert!(matches!(client.next(), Some((TargetPdu::NopIn(_), _))));
    client.transport.advance(Duration::from_secs(6));
    assert!(matches!(client.end(), Some(End::TimedOut(_))));
}

#[test]
fn logouts_are_asked_for_and_answered() {
    let (_, target, mut client) = small();
    target.request_logout(3);
    let Some((TargetPdu::AsyncMessage(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(pdu.event, AsyncEvent::LogoutRequest { within: 3 });
    let request = client.logout_request();
    client.send(request, b"");
    let Some((TargetPdu::LogoutResponse(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(pdu.code, LogoutCode::Closed);
    assert_eq!(client.end(), Some(&End::LoggedOut));
    assert!(client.transport.connection.is_over() && target.sessions().is_empty());

    let mut deaf = Client::ready(&target, &[]);
    target.request_logout(3);
    deaf.next();
    deaf.transport.advance(Duration::from_secs(4));
    assert!(matches!(deaf.end(), Some(End::TimedOut(_))));
}

#[test]
fn sessions_are_dropped_with_or_without_a_word() {
    let (_, target, mut client) = small();
    target.drop_sessions();
    let Some((TargetPdu::AsyncMessage(pdu), _)) = client.next() else {
        panic!()
    };
    assert!(matches!(pdu.event, AsyncEvent::DropSession { .. }));
    assert!(client.transport.connection.is_over());
    let mut client = Client::ready(&target, &[]);
    target.drop_connections();
    assert_eq!(client.next(), None);
    assert_eq!(client.end(), Some(&End::Dropped));
}

#[test]
fn misuse_of_tags_and_numbers_is_on_record() {
    let (_, target, mut client) = small();
    let write = client.write(0, 1);
    client.send(write, b"");
    r2t(&mut client);
    let mut twice = client.write(0, 1);
    twice.itt = write.itt;
    client.send(twice, b"");
    let Some((TargetPdu::Reject(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(pdu.reason, RejectReason::TaskInProgress);
    assert_eq!(
        pdu.sn.exp_cmd_sn, twice.sn.cmd_sn,
        "it has not been received"
    );
    client.cmd_sn -= 1;
    let mut early = client.read(0, 1);
    early.sn.exp_stat_sn = Serial(client.exp_stat_sn + 9);
    client.send(early, b"");
    client.next();
    let mut request = client.task_request(TaskFunction::AbortTask, &write);
    request.sn.cmd_sn = Serial(client.cmd_sn + 5);
    client.send(request, b"");
    let texts: Vec<_> = target.violations().into_iter().map(|v| v.text).collect();
    for (text, rule) in texts
        .iter()
        .zip(["is in use", "ExpStatSN", "immediate TaskRequest"])
    {
        assert!(text.contains(rule), "{text}");
    }
    assert_eq!(texts.len(), 3);
}

#[test]
fn text_declares_a_new_segment_length() {
    let (_, _, mut client) = small();
    let text = keys(&[("MaxRecvDataSegmentLength", "2048"), ("X-what", "1")]);
    let request = client.text_request(&text);
    client.send(request, &text);
    let Some((TargetPdu::TextResponse(_), data)) = client.next() else {
        panic!()
    };
    assert_eq!(
        value(&crate::client::parse(&data), "X-what"),
        Some("NotUnderstood")
    );
    let command = client.read(0, 8);
    client.send(command, b"");
    let Some((TargetPdu::DataIn(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(pdu.data_len, 2048);
}
