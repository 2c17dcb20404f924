//! Data both ways, directly on a connection: segments, bursts, R2Ts, residuals.

use std::time::Duration;

use vcp_iscsi_proto::pdu::{DataOut, NopOut, RejectReason, Residual};
use vcp_iscsi_proto::{Lun, RESERVED_TAG, TargetPdu};
use vcp_target::End;
use vcp_target::lun::{Faults, Sense};

use crate::client::{Change, Client, pattern, target_of, unit};
use crate::fixture::{CHECK, GOOD, contents, r2t, response, sense, small};

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
    // The second R2T is answered first, and in two PDUs.
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
