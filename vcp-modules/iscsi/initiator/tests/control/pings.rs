//! Pings in both directions.

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

/// Sends a NOP-In that only updates the window and requests no answer.
fn news(pair: &mut Pair) {
    let sn = pair.peer.numbers();
    let nop = NopIn {
        data_len: 0,
        lun: Lun::default(),
        itt: RESERVED_TAG,
        ttt: RESERVED_TAG,
        sn,
    };
    pair.peer.send(nop, &[]);
    pair.run();
}

/// If a target keeps sending and is sent nothing, its statuses are acknowledged in time,
/// once, by a NOP-Out that requests no answer.
#[test]
fn statuses_are_confirmed_where_nothing_else_does() {
    // The periodic check of the capacity is off too.
    let config = config(&[("capacity-interval", "never")]);
    let mut pair = Pair::new(config, Settings::default(), Disk::new(512, 1 << 20)).ready();
    for round in 1..4 {
        let tag = pair.read(0, 512, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        for second in 0..20 {
            news(&mut pair);
            let sent = if second < 5 { round - 1 } else { round };
            assert_eq!(nops(&pair).len(), sent, "after {second} s of round {round}");
            pair.run_for(SECOND);
        }
        let nop = nops(&pair)[round - 1];
        assert_eq!((nop.itt, nop.ttt), (RESERVED_TAG, RESERVED_TAG));
        assert!(nop.immediate);
        assert_eq!(nop.sn.exp_stat_sn, pair.peer.stat_sn);
        assert_eq!(nop.sn.cmd_sn, pair.peer.exp_cmd_sn);
    }
    assert_eq!(pair.suspended(), Vec::<String>::new());
}

/// Without a status there is nothing to acknowledge, and other PDUs acknowledge it.
#[test]
fn nothing_is_confirmed_twice() {
    let mut pair = Pair::plain().ready();
    pair.run_for(6 * SECOND);
    let pings = nops(&pair).len();
    assert_eq!(pings, 1, "of a silent target");
    // The echo of a ping is a status.
    for second in 0..30 {
        news(&mut pair);
        pair.run_for(SECOND);
        assert_eq!(
            nops(&pair).len(),
            if second < 3 { pings } else { pings + 1 }
        );
    }
    for _ in 0..30 {
        let tag = pair.read(0, 512, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        pair.run_for(SECOND);
    }
    assert_eq!(nops(&pair).len(), pings + 1);
}

/// A target that answers no pings but sends other PDUs is kept; its statuses are
/// acknowledged even so, and unsent PDUs do not pile up.
#[test]
fn statuses_are_confirmed_beside_a_ping() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(
        |_, pdu, _| matches!(pdu, InitiatorPdu::NopOut(nop) if nop.itt != RESERVED_TAG),
    ));
    pair.run_for(6 * SECOND);
    let event = AsyncEvent::Other {
        event: 255,
        vendor_code: 1,
        parameters: [0; 3],
    };
    for _ in 0..60 {
        let sn = pair.peer.status();
        let lun = Lun::default();
        let message = AsyncMessage {
            event,
            data_len: 0,
            lun,
            sn,
        };
        pair.peer.send(message, &[]);
        pair.run_for(SECOND);
    }
    let sent = nops(&pair);
    assert!((5..=13).contains(&(sent.len() - 1)), "{}", sent.len());
    assert!(sent[1..].iter().all(|nop| nop.itt == RESERVED_TAG));
    assert!(sent[1..].is_sorted_by(|a, b| a.sn.exp_stat_sn.lt(b.sn.exp_stat_sn)));
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
