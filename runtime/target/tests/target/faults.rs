//! The fault script: each misbehaviour does what its name says, once or always.

use std::sync::Arc;

use vcp_iscsi_proto::pdu::Residual;
use vcp_iscsi_proto::{Opcode, TargetPdu};
use vcp_target::script::{Fault, Misbehaviour};
use vcp_target::{End, Target};

use crate::client::{Client, Direct, pattern, target_of, unit};

fn ready(fault: Fault) -> (Arc<Target>, Client<Direct>) {
    let unit = unit(1 << 20);
    unit.disk().write_at(0, &pattern(8192)).unwrap();
    let target = target_of(&unit, |c| c.faults = vec![fault]);
    let client = Client::ready(&target, &[("MaxRecvDataSegmentLength", "1024")]);
    (target, client)
}

fn on_data_in(nth: u64, act: Misbehaviour) -> (Arc<Target>, Client<Direct>) {
    ready(Fault::once(Opcode::DataIn, nth, act))
}

/// Reads 4 KiB, and returns those of its four Data-Ins that come.
fn read(client: &mut Client<Direct>) -> Vec<(TargetPdu, Vec<u8>)> {
    let command = client.read(0, 8);
    client.send(command, b"");
    std::iter::from_fn(|| client.next()).collect()
}

fn data_in(pdus: &[(TargetPdu, Vec<u8>)], at: usize) -> (vcp_iscsi_proto::pdu::DataIn, usize) {
    match &pdus[at] {
        (TargetPdu::DataIn(pdu), data) => (*pdu, data.len()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fields_of_data_in() {
    let second = |act| data_in(&read(&mut on_data_in(2, act).1), 1);
    let right = second(Misbehaviour::Twice).0;
    assert_eq!(
        second(Misbehaviour::Offset(512)).0.offset,
        right.offset + 512
    );
    assert_eq!(second(Misbehaviour::DataSn(3)).0.data_sn, right.data_sn + 3);
    assert_eq!(second(Misbehaviour::Itt(1)).0.itt, right.itt + 1);
    assert_eq!(second(Misbehaviour::Length(-512)).1, 512);
    assert_eq!(second(Misbehaviour::Length(512)).1, 1536);
    assert_eq!(
        second(Misbehaviour::FlipByte { at: 1, mask: 0x80 })
            .0
            .is_final,
        !right.is_final
    );
    let (_, mut client) = on_data_in(4, Misbehaviour::Residual(7));
    assert_eq!(
        data_in(&read(&mut client), 3).0.residual,
        Residual::Underflow(7)
    );
    let (_, mut client) = on_data_in(2, Misbehaviour::Opcode(0x21));
    assert!(matches!(read(&mut client)[1].0, TargetPdu::ScsiResponse(_)));
}

#[test]
fn one_that_is_missing_or_comes_twice() {
    assert_eq!(read(&mut on_data_in(2, Misbehaviour::Omit).1).len(), 3);
    assert_eq!(read(&mut on_data_in(2, Misbehaviour::Twice).1).len(), 5);
}

#[test]
fn status_before_the_data_has_come() {
    let (_, mut client) = on_data_in(3, Misbehaviour::StatusEarly);
    let pdus = read(&mut client);
    assert_eq!(pdus.len(), 3);
    let (TargetPdu::ScsiResponse(pdu), _) = &pdus[2] else {
        panic!("{pdus:?}")
    };
    assert_eq!(
        (pdu.residual, pdu.exp_data_sn, u8::from(pdu.status)),
        (Residual::None, 2, 0)
    );
    // The fault happens only once: the next read is right.
    assert_eq!(read(&mut client).len(), 4);
}

#[test]
fn an_end_in_the_middle_of_a_pdu() {
    let (target, mut client) = on_data_in(2, Misbehaviour::Drop { after: 60 });
    assert_eq!(read(&mut client).len(), 1);
    assert_eq!(client.rest().len(), 60);
    assert_eq!(client.end(), Some(&End::Scripted));
    assert!(target.sessions().is_empty());
}

#[test]
fn silence_keeps_the_connection() {
    let (_, mut client) = on_data_in(2, Misbehaviour::Silence);
    assert_eq!(read(&mut client).len(), 1);
    assert!(read(&mut client).is_empty());
    assert!(client.end().is_none());
}

#[test]
fn r2ts_beyond_the_command() {
    let fault = Fault::always(Opcode::R2t, Misbehaviour::DesiredLength(512));
    let (_, mut client) = ready(fault);
    for _ in 0..2 {
        let command = client.write(0, 2);
        client.send(command, b"");
        let Some((TargetPdu::R2t(r2t), _)) = client.next() else {
            panic!()
        };
        assert_eq!((r2t.offset, r2t.desired_len), (0, 1536));
    }
}

#[test]
fn digests_are_wrong_on_demand() {
    for (act, at) in [
        (Misbehaviour::HeaderDigest, 48),
        (Misbehaviour::DataDigest, 52 + 512),
    ] {
        let unit = unit(1 << 20);
        let target = target_of(&unit, |c| {
            c.faults = vec![Fault::once(Opcode::DataIn, 1, act)]
        });
        let mut client = Client::direct(&target);
        client.login(&[("HeaderDigest", "CRC32C"), ("DataDigest", "CRC32C")]);
        client.digests = true;
        let command = client.read(0, 1);
        client.send(command, b"");
        let bytes = client.rest();
        let covered = if at == 48 {
            &bytes[..48]
        } else {
            &bytes[52..at]
        };
        let right = crc32c::crc32c(covered).to_le_bytes();
        assert_ne!(bytes[at..at + 4], right, "{act:?}");
    }
}

#[test]
fn pdus_of_the_initiator_go_unheard() {
    let (_, mut client) = ready(Fault::once(Opcode::ScsiCommand, 1, Misbehaviour::Omit));
    let command = client.read(0, 1);
    client.send(command, b"");
    assert_eq!(client.next(), None);
    client.send(command, b"");
    assert!(matches!(client.next(), Some((TargetPdu::DataIn(_), _))));
}
