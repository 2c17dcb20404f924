//! A unit that changes its size: noticed by itself, and on request.

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::scsi::{Asc, Command, SenseKey};

use crate::commands;
use crate::pair::disk::Reply;
use crate::pair::*;

/// The number of questions about the capacity, and of all, since `seen` was cleared.
fn asked(pair: &Pair) -> (usize, usize) {
    let commands = commands(pair);
    let capacity = commands
        .iter()
        .filter(|(_, c)| matches!(c, Command::ReadCapacity16 { .. }));
    (capacity.count(), commands.len())
}

#[test]
fn idle_device_notices_that_it_has_grown() {
    let mut pair = Pair::plain().ready();
    pair.peer.seen.clear();
    pair.run_for(150 * SECOND);
    // There is one question each time, and no report.
    assert_eq!((asked(&pair), pair.readies()), ((2, 2), 1));
    pair.peer.disk.blocks *= 2;
    pair.run_for(60 * SECOND);
    assert_eq!((pair.readies(), pair.geometry().size), (2, 1 << 30));
    let tag = pair.read(1 << 29, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn interval_is_as_configured() {
    for (value, times) in [("10s", 11), ("never", 0), ("0", 0)] {
        let config = config(&[("capacity-interval", value)]);
        let mut pair = Pair::new(config, Settings::default(), Disk::new(512, 1 << 20)).ready();
        pair.peer.seen.clear();
        pair.run_for(119 * SECOND);
        assert_eq!(asked(&pair).0, times, "{value}");
    }
}

/// A capacity that can't be read now is read the next time, without a report.
#[test]
fn capacity_that_is_not_told_is_no_change() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.say = Some(Box::new(|command| {
        let capacity = matches!(command, Command::ReadCapacity16 { .. });
        capacity.then_some(Reply::Sense(SenseKey::HardwareError, Asc::INTERNAL_FAILURE))
    }));
    pair.run_for(600 * SECOND);
    assert_eq!((pair.readies(), pair.suspended().len()), (1, 0));
    pair.peer.disk.say = None;
    pair.peer.disk.blocks *= 2;
    pair.run_for(60 * SECOND);
    assert_eq!(pair.geometry().size, 1 << 30);
}

/// The unit reports another change only once, to whichever command comes next.
#[test]
fn attention_in_answer_to_the_capacity_is_heeded() {
    let mut pair = Pair::plain().ready();
    pair.peer.disk.write_protected = true;
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::MODE_PARAMETERS_CHANGED)];
    pair.run_for(61 * SECOND);
    assert!(pair.geometry().read_only);
}

#[test]
fn rescan_tells_what_it_finds() {
    let mut pair = Pair::plain().ready();
    let before = pair.geometry();
    pair.initiator.rescan(pair.now);
    pair.run();
    // Nothing has changed, and that is reported too.
    assert_eq!((pair.readies(), pair.geometry()), (2, before));
    pair.peer.disk.blocks *= 2;
    pair.initiator.rescan(pair.now);
    pair.run();
    assert_eq!((pair.readies(), pair.geometry().size), (3, 1 << 30));
    // It happens only once for each.
    pair.run_for(300 * SECOND);
    assert_eq!(pair.readies(), 3);
}

/// A survey that began before the rescan may have missed the change.
#[test]
fn rescan_during_a_survey_comes_after_it() {
    let mut pair = Pair::plain().ready();
    pair.initiator.rescan(pair.now);
    pair.initiator.rescan(pair.now);
    pair.step();
    pair.peer.disk.blocks *= 2;
    pair.initiator.rescan(pair.now);
    pair.run();
    assert_eq!(pair.geometry().size, 1 << 30);
}

#[test]
fn rescan_without_a_session_is_what_comes_anyway() {
    let mut pair = Pair::plain().ready();
    pair.cut("reset by peer");
    pair.initiator.rescan(pair.now);
    pair.run_for(SECOND);
    assert_eq!((pair.readies(), pair.failed()), (2, None));
}
