//! The full feature phase against the connection itself: data both ways, the
//! command window, task management, and what the target says unasked.

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_proto::pdu::{
    AsyncEvent, DataOut, LogoutCode, NopOut, R2t, RejectReason, Residual, TaskCode, TaskFunction,
};
use vcp_iscsi_proto::{Lun, RESERVED_TAG, Serial, TargetPdu};
use vcp_target::lun::{Faults, LogicalUnit, Sense};
use vcp_target::script::{Fault, Misbehaviour};
use vcp_target::{End, Target};

use crate::client::{Change, Client, Direct, keys, pattern, target_of, unit, value};

const GOOD: u8 = 0;
const CHECK: u8 = 2;

/// What bursts and segments are cut into by.
const SMALL: [(&str, &str); 4] = [
    ("MaxRecvDataSegmentLength", "1024"),
    ("MaxBurstLength", "4096"),
    ("FirstBurstLength", "2048"),
    ("InitialR2T", "No"),
];

fn small() -> (Arc<LogicalUnit>, Arc<Target>, Client<Direct>) {
    let unit = unit(1 << 20);
    let target = target_of(&unit, |c| c.policy.max_outstanding_r2t = 2);
    let pairs = [&SMALL[..], &[("MaxOutstandingR2T", "2")]].concat();
    let client = Client::ready(&target, &pairs);
    (unit, target, client)
}

fn contents(unit: &LogicalUnit, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    unit.disk().read_at(offset, &mut bytes).unwrap();
    bytes
}

fn r2t(client: &mut Client<Direct>) -> R2t {
    match client.next() {
        Some((TargetPdu::R2t(r2t), _)) => r2t,
        other => panic!("{other:?}"),
    }
}

/// Status, sense key and codes, and residual of the next response.
fn response(client: &mut Client<Direct>) -> (u8, Option<(u8, u8, u8)>, Residual) {
    match client.next() {
        Some((TargetPdu::ScsiResponse(pdu), data)) => {
            let sense = (data.len() >= 16).then(|| (data[4], data[14], data[15]));
            (pdu.status.into(), sense, pdu.residual)
        }
        other => panic!("{other:?}"),
    }
}

fn sense(sense: Sense) -> Option<(u8, u8, u8)> {
    Some((sense.key, sense.code, sense.qualifier))
}

#[test]
fn reads_are_cut_into_segments_and_bursts() {
    let (unit, target, mut client) = small();
    let data = pattern(10 * 512);
    unit.disk().write_at(512, &data).unwrap();
    let command = client.read(1, 10);
    client.send(command, b"");
    let mut seen = Vec::new();
    while let Some((TargetPdu::DataIn(pdu), bytes)) = client.next() {
        assert_eq!(bytes, data[pdu.offset as usize..][..bytes.len()]);
        seen.push((pdu.data_sn, pdu.offset, pdu.is_final, pdu.status.is_some()));
    }
    let wanted = [
        (0, 0, false, false),
        (1, 1024, false, false),
        (2, 2048, false, false),
        (3, 3072, true, false),
        (4, 4096, true, true),
    ];
    assert_eq!(seen, wanted);
    assert!(target.violations().is_empty());
}

#[test]
fn status_may_come_by_itself() {
    let unit = unit(1 << 20);
    let target = target_of(&unit, |c| c.policy.collapse_status = false);
    let mut client = Client::ready(&target, &[]);
    let command = client.read(0, 1);
    client.send(command, b"");
    let Some((TargetPdu::DataIn(pdu), _)) = client.next() else {
        panic!()
    };
    assert!(pdu.is_final && pdu.status.is_none());
    assert_eq!(response(&mut client), (GOOD, None, Residual::None));
}

#[test]
fn residuals_tell_both_ways() {
    let (_, _, mut client) = small();
    for (expected, residual) in [
        (1024, Residual::Underflow(512)),
        (100, Residual::Overflow(412)),
    ] {
        let mut command = client.read(0, 1);
        command.expected_len = expected;
        client.send(command, b"");
        let Some((TargetPdu::DataIn(pdu), data)) = client.next() else {
            panic!()
        };
        assert_eq!(
            (pdu.residual, data.len()),
            (residual, 512.min(expected as usize))
        );
    }
    let mut command = client.write(0, 1);
    command.expected_len = 2048;
    command.data_len = 2048;
    client.send(command, &[7; 2048]);
    assert_eq!(
        response(&mut client),
        (GOOD, None, Residual::Underflow(1536))
    );
}

#[test]
fn writes_take_immediate_unsolicited_and_solicited_data() {
    let (unit, target, mut client) = small();
    let data = pattern(24 * 512);
    let mut command = client.write(4, 24);
    command.data_len = 1000;
    command.is_final = false;
    client.send(command, &data[..1000]);
    assert_eq!(client.next(), None);
    let rest = client.data_out(&command, RESERVED_TAG, 1000, 1048);
    client.send(rest, &data[1000..2048]);
    let (first, second) = (r2t(&mut client), r2t(&mut client));
    assert_eq!(
        (first.r2t_sn, first.offset, first.desired_len),
        (0, 2048, 4096)
    );
    assert_eq!(
        (second.r2t_sn, second.offset, second.desired_len),
        (1, 6144, 4096)
    );
    assert_eq!(client.next(), None, "two R2Ts may be outstanding");
    // The second is answered first, and in two PDUs.
    for (data_sn, offset) in [(0, 6144), (1, 8192)] {
        let pdu = client.data_out(&command, second.ttt, offset, 2048);
        let pdu = DataOut {
            data_sn,
            is_final: data_sn == 1,
            ..pdu
        };
        client.send(pdu, &data[offset as usize..][..2048]);
    }
    let third = r2t(&mut client);
    assert_eq!(
        (third.r2t_sn, third.offset, third.desired_len),
        (2, 10240, 2048)
    );
    for r2t in [third, first] {
        let pdu = client.data_out(&command, r2t.ttt, r2t.offset, r2t.desired_len);
        client.send(
            pdu,
            &data[r2t.offset as usize..][..r2t.desired_len as usize],
        );
    }
    assert_eq!(response(&mut client), (GOOD, None, Residual::None));
    assert_eq!(contents(&unit, 2048, data.len()), data);
    assert!(target.violations().is_empty(), "{:?}", target.violations());
}

#[test]
fn refused_writes_wait_for_the_data_under_way() {
    let (_, target, mut client) = small();
    let mut command = client.write(1 << 20, 4);
    command.is_final = false;
    client.send(command, b"");
    assert_eq!(client.next(), None);
    let pdu = client.data_out(&command, RESERVED_TAG, 0, 2048);
    client.send(pdu, &[1; 2048]);
    let (status, found, residual) = response(&mut client);
    assert_eq!((status, found), (CHECK, sense(Sense::LBA_OUT_OF_RANGE)));
    assert_eq!(residual, Residual::Underflow(2048));
    assert!(target.violations().is_empty());
}

#[test]
fn data_that_was_not_agreed_on_is_a_violation() {
    let unit = unit(1 << 20);
    let target = target_of(&unit, |_| ());
    let mut client = Client::ready(
        &target,
        &[("ImmediateData", "No"), ("FirstBurstLength", "1024")],
    );
    let mut command = client.write(0, 1);
    command.data_len = 512;
    client.send(command, &[1; 512]);
    assert_eq!(
        response(&mut client).1,
        sense(Sense::UNEXPECTED_UNSOLICITED_DATA)
    );
    let mut command = client.write(0, 4);
    command.is_final = false;
    client.send(command, b"");
    let pdu = client.data_out(&command, RESERVED_TAG, 0, 1024);
    client.send(pdu, &[1; 1024]);
    assert_eq!(
        response(&mut client).1,
        sense(Sense::UNEXPECTED_UNSOLICITED_DATA)
    );
    let texts: Vec<_> = target.violations().into_iter().map(|v| v.text).collect();
    assert!(texts[0].contains("ImmediateData=No") && texts[1].contains("InitialR2T=Yes"));
    assert_eq!(contents(&unit, 0, 512), [0; 512]);
}

#[test]
fn wrong_data_outs_end_the_connection() {
    let cases: [(&str, Change<DataOut>); 6] = [
        ("asks for nothing", |d| d.ttt ^= 0x100),
        ("LUN", |d| d.lun = Lun(1 << 48)),
        ("beyond", |d| d.offset = 4096),
        ("by its offset", |d| (d.offset, d.data_len) = (512, 512)),
        ("too early", |d| d.data_len = 512),
        ("F bit", |d| d.is_final = false),
    ];
    for (rule, change) in cases {
        let (_, target, mut client) = small();
        let command = client.write(0, 2);
        client.send(command, b"");
        let r2t = r2t(&mut client);
        let mut pdu = client.data_out(&command, r2t.ttt, 0, 1024);
        change(&mut pdu);
        client.send(pdu, &vec![1; pdu.data_len as usize]);
        assert!(matches!(client.end(), Some(End::Violation(_))), "{rule}");
        assert!(
            target.violations()[0].text.contains(rule),
            "{:?}",
            target.violations()
        );
    }
}

#[test]
fn a_data_sn_out_of_order_fails_the_command() {
    let (_, target, mut client) = small();
    let command = client.write(0, 2);
    client.send(command, b"");
    let r2t = r2t(&mut client);
    let pdu = DataOut {
        data_sn: 1,
        ..client.data_out(&command, r2t.ttt, 0, 1024)
    };
    client.send(pdu, &[1; 1024]);
    assert_eq!(response(&mut client).1, sense(Sense::CRC_ERROR));
    assert_eq!(target.violations().len(), 1);
}

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

    // The other way to plug it: the same command again.
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
fn damaged_data_is_not_written() {
    let unit = unit(1 << 20);
    let target = target_of(&unit, |_| ());
    let mut client = Client::direct(&target);
    client.login(&[("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")]);
    client.digests = true;
    let command = client.write(0, 1);
    client.send(command, b"");
    let r2t = r2t(&mut client);
    let pdu = client.data_out(&command, r2t.ttt, 0, 512);
    let mut bytes = client.encode(&pdu.into(), &[1; 512]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    crate::client::Transport::send(&mut client.transport, &bytes);
    let Some((TargetPdu::Reject(pdu), _)) = client.next() else {
        panic!()
    };
    assert_eq!(pdu.reason, RejectReason::DataDigestError);
    assert_eq!(response(&mut client).1, sense(Sense::CRC_ERROR));
    assert_eq!(contents(&unit, 0, 512), [0; 512]);
    let nop = NopOut {
        immediate: true,
        data_len: 0,
        lun: Lun(0),
        itt: 77,
        ttt: RESERVED_TAG,
        sn: client.sn(),
    };
    let mut bytes = client.encode(&nop.into(), b"");
    bytes[48] ^= 1;
    crate::client::Transport::send(&mut client.transport, &bytes);
    assert!(matches!(client.end(), Some(End::Violation(_))));
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
fn delayed_writes_are_answered_in_time() {
    let (unit, _, mut client) = small();
    unit.set_faults(Faults {
        write_delay: Duration::from_millis(300),
        ..Faults::default()
    });
    let mut command = client.write(0, 1);
    command.data_len = 512;
    client.send(command, &[5; 512]);
    assert_eq!(client.next(), None);
    assert_eq!(
        client.transport.connection.deadline(),
        Some(Duration::from_millis(300))
    );
    client.transport.advance(Duration::from_millis(300));
    assert_eq!(response(&mut client).0, GOOD);
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

#[test]
fn large_reads_do_not_pile_up() {
    let unit = unit(1 << 30);
    let target = target_of(&unit, |_| ());
    let mut client = Client::ready(&target, &[("MaxRecvDataSegmentLength", "262144")]);
    for _ in 0..16 {
        let command = client.read(0, 8192);
        client.send(command, b"");
    }
    assert!(client.transport.connection.output().len() < 3 << 20);
    let mut total = 0;
    while let Some((TargetPdu::DataIn(pdu), _)) = client.next() {
        total += u64::from(pdu.data_len);
    }
    assert_eq!(total, 16 * 8192 * 512);
}
