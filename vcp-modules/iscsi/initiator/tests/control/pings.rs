//! Pings, either way.

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::{Lun, RESERVED_TAG};

use crate::nops;
use crate::pair::*;

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
