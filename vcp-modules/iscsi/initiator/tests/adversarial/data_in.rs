//! Data-In other than the one that is due.

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::pdu::*;

use crate::pair::*;
use crate::{LENGTH, data_in, ends_and_recovers, in_four, once, pair};

#[test]
fn data_in_at_a_wrong_offset() {
    data_in("offset", |pdu, _| {
        pdu.offset += 512;
        true
    });
    data_in("offset", |pdu, _| {
        let second = pdu.data_sn == 1;
        if second {
            pdu.offset = 0;
        }
        second
    });
}

#[test]
fn data_in_with_a_wrong_data_sn() {
    data_in("DataSN", |pdu, _| {
        pdu.data_sn += 1;
        true
    });
    data_in("DataSN", |pdu, _| {
        let third = pdu.data_sn == 2;
        if third {
            pdu.data_sn = 1;
        }
        third
    });
}

#[test]
fn data_in_beyond_the_command() {
    data_in("beyond the end", |pdu, data| {
        let last = pdu.status.is_some();
        if last {
            data.extend([0; 512]);
            pdu.data_len += 512;
        }
        last
    });
}

#[test]
fn data_in_longer_than_max_recv_data_segment_length() {
    let mut pair = Pair::new(
        config(&[("max-recv-data-segment-length", "4096")]),
        Settings {
            data_in: 4096,
            ..Settings::default()
        },
        Disk::new(512, 1 << 20),
    )
    .ready();
    pair.peer.mangle = once(|pdu, data| match pdu {
        TargetPdu::DataIn(pdu) => {
            data.extend([0; 512]);
            pdu.data_len += 512;
            true
        }
        _ => false,
    });
    let tag = pair.read(0, LENGTH, 0);
    ends_and_recovers(pair, tag, "longer than agreed");
}

/// MaxBurstLength binds the target, and not all targets respect it; the bytes have their
/// place even so.
#[test]
fn data_in_sequences_may_be_long() {
    let settings = Settings {
        max_burst: 8192,
        first_burst: 8192,
        ..in_four()
    };
    let mut pair = pair(settings);
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::DataIn(pdu) = pdu {
            pdu.is_final = pdu.status.is_some();
        }
        true
    }));
    let tag = pair.read(0, LENGTH, 1 << 20);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.bytes(0, LENGTH) == pair.bytes(1 << 20, LENGTH));
}

#[test]
fn data_in_for_nobody() {
    data_in("not under way", |pdu, _| {
        pdu.itt ^= 0x1_0000;
        true
    });
    data_in("not under way", |pdu, _| {
        pdu.itt = 0x0000_1234;
        true
    });
}

#[test]
fn data_in_for_a_write() {
    let settings = Settings {
        immediate_data: false,
        ..Settings::default()
    };
    let mut pair = pair(settings);
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if !command.write {
            return false;
        }
        peer.intercept = Some(Box::new(|_, _, _| false));
        peer.send_first(command.itt, &[0; 512]);
        true
    }));
    let tag = pair.write(0, LENGTH, 0);
    ends_and_recovers(pair, tag, "reads nothing");
}

/// The A bit has no meaning at error recovery level 0, and has to be ignored.
#[test]
fn data_in_that_wants_an_acknowledgement() {
    let mut pair = pair(in_four());
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::DataIn(pdu) = pdu {
            (pdu.acknowledge, pdu.ttt) = (true, 5);
        }
        true
    }));
    let tag = pair.read(0, LENGTH, 1 << 20);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.bytes(0, LENGTH) == pair.bytes(1 << 20, LENGTH));
    assert_eq!(pair.suspended(), Vec::<String>::new());
}
