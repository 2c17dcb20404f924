//! Targets that contradict themselves: each test changes one thing about one PDU. The
//! connection must end, the request must not complete with the wrong data, and it must
//! complete with the right data once the target behaves again.

#[path = "../pair/mod.rs"]
mod pair;

mod data_in;
mod ends;
mod pdus;
mod r2t;

use pair::*;
use vcp_iscsi_initiator::{Action, Status};
use vcp_iscsi_proto::pdu::*;

const LENGTH: u32 = 16384;

/// Applies a change to the first PDU that it wants to change.
fn once(
    mut change: impl FnMut(&mut TargetPdu, &mut Vec<u8>) -> bool + 'static,
) -> Option<peer::Mangle> {
    let mut done = false;
    Some(Box::new(move |pdu, data| {
        if !done {
            done = change(pdu, data);
        }
        true
    }))
}

fn pair(settings: Settings) -> Pair {
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    pair.fill(0, LENGTH, 1);
    let tag = pair.write(0, LENGTH, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    pair
}

/// Checks that the connection ended over `why` with the request open, and that all is
/// well afterwards.
fn ends_and_recovers(mut pair: Pair, tag: u64, why: &str) {
    pair.run();
    let suspended = pair.suspended();
    assert_eq!(
        suspended.len(),
        1,
        "the connection goes on: {:#?}",
        pair.actions
    );
    assert!(
        suspended[0].contains(why),
        "{:?} is not about {why:?}",
        suspended[0]
    );
    let closed = pair
        .actions
        .iter()
        .any(|a| matches!(a, Action::Close { abort: true }));
    assert!(closed, "the connection is closed");
    assert!(
        !pair.completed.contains_key(&tag),
        "the request counts as done"
    );
    pair.peer.mangle = None;
    pair.run_for(10 * SECOND);
    assert_eq!(
        pair.completed.get(&tag),
        Some(&Status::Ok),
        "{:#?}",
        pair.actions
    );
}

/// Checks that the request is tried again on the same connection, with `why` as the
/// reason, and then succeeds.
fn is_tried_again(mut pair: Pair, tag: u64, why: &str) {
    pair.run_for(SECOND);
    let told = pair
        .actions
        .iter()
        .any(|action| matches!(action, Action::Log { message, .. } if message.contains(why)));
    assert!(told, "nobody says {why:?}: {:#?}", pair.actions);
    assert_eq!(pair.suspended(), Vec::<String>::new());
    assert_eq!(pair.completed.get(&tag), Some(&Status::Ok));
    assert!(pair.bytes(0, LENGTH) == pair.bytes(1 << 20, LENGTH));
}

fn read_with(
    settings: Settings,
    why: &str,
    change: impl FnMut(&mut TargetPdu, &mut Vec<u8>) -> bool + 'static,
) {
    let mut pair = pair(settings);
    pair.peer.mangle = once(change);
    let tag = pair.read(0, LENGTH, 1 << 20);
    ends_and_recovers(pair, tag, why);
}

/// A read whose data comes in four PDUs.
fn in_four() -> Settings {
    Settings {
        data_in: 4096,
        ..Settings::default()
    }
}

fn data_in(why: &str, mut change: impl FnMut(&mut DataIn, &mut Vec<u8>) -> bool + 'static) {
    read_with(in_four(), why, move |pdu, data| match pdu {
        TargetPdu::DataIn(pdu) => change(pdu, data),
        _ => false,
    });
}
