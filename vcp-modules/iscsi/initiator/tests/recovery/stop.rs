//! The end: stopping, and requests that come too late.

use vcp_iscsi_initiator::{Action, Initiator, Status};
use vcp_iscsi_proto::pdu::InitiatorPdu;

use crate::pair::*;

#[test]
fn requests_after_the_end_are_turned_away() {
    let mut pair = Pair::plain();
    pair.reachable = false;
    pair.run();
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::ShuttingDown);
    pair.initiator.stop(pair.now);
    pair.run();
    assert_eq!(pair.actions.last(), Some(&Action::Stopped));
}

#[test]
fn stop_logs_out() {
    let mut pair = Pair::plain().ready();
    pair.initiator.stop(pair.now);
    pair.run();
    let logout = pair
        .peer
        .seen
        .iter()
        .any(|pdu| matches!(pdu, InitiatorPdu::LogoutRequest(_)));
    assert!(logout);
    assert!(
        pair.actions
            .ends_with(&[Action::Close { abort: false }, Action::Stopped])
    );
    assert_eq!(pair.initiator.next_deadline(), None);
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::ShuttingDown);
}

#[test]
fn stop_lets_requests_end() {
    let mut pair = Pair::plain().ready();
    let tags: Vec<u64> = (0..40).map(|n| pair.write(n * 65536, 65536, 0)).collect();
    pair.initiator.stop(pair.now);
    pair.run();
    assert!(tags.iter().all(|tag| pair.completed[tag] == Status::Ok));
    assert_eq!(pair.actions.last(), Some(&Action::Stopped));
}

#[test]
fn stop_takes_a_bounded_time() {
    // The target answers nothing at all.
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|_, _, _| true));
    let tag = pair.read(0, 512, 0);
    pair.run();
    pair.initiator.stop(pair.now);
    pair.run_for(5 * SECOND);
    assert_eq!(pair.actions.last(), Some(&Action::Stopped));
    assert!(!pair.completed.contains_key(&tag), "left for a successor");

    // There is no connection at all.
    let mut pair = Pair::plain().ready();
    pair.reachable = false;
    pair.cut("reset by peer");
    pair.run();
    pair.initiator.stop(pair.now);
    pair.run();
    assert_eq!(pair.actions.last(), Some(&Action::Stopped));

    // The connection is just being made.
    let mut initiator = Initiator::new(config(&[]), [1; 32], 0);
    initiator.stop(0);
    let actions: Vec<Action> = core::iter::from_fn(|| initiator.poll_action()).collect();
    assert!(actions.ends_with(&[Action::Close { abort: true }, Action::Stopped]));
}

#[test]
fn nothing_is_sent_behind_a_logout() {
    let mut pair = Pair::plain().ready();
    pair.initiator.stop(pair.now);
    let mut buffer = [0; 4096];
    let count = pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
    assert_eq!(count, 48);
    pair.read(0, 512, 0);
    assert!(!pair.initiator.wants_transmit());
    assert_eq!(
        pair.initiator.transmit(pair.now, &mut buffer, &pair.memory),
        0
    );
}
