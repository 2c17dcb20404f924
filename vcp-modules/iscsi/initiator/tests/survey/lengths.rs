//! Units that refuse reads and writes for their length, and do not report their limit.

use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::scsi::Command;

use crate::commands;
use crate::pair::*;

const MIB: u32 = 1 << 20;

fn taking(blocks: u32) -> Pair {
    let mut disk = Disk::new(512, 1 << 20);
    disk.longest = Some(blocks);
    Pair::new(config(&[]), Settings::default(), disk).ready()
}

#[test]
fn refused_lengths_are_halved_and_remembered() {
    for operation in [Operation::Read, Operation::Write] {
        let mut pair = taking(300);
        assert_eq!(pair.geometry().max_transfer, MIB);
        pair.fill(0, MIB, 5);
        let tag = pair.submit(operation, 0, MIB, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        assert_eq!(
            (pair.readies(), pair.geometry().max_transfer),
            (2, 128 << 10)
        );
        // From here on nothing is refused, in this session and the next.
        pair.cut("reset by peer");
        pair.run_for(SECOND);
        assert_eq!(pair.geometry().max_transfer, 128 << 10);
        pair.peer.seen.clear();
        let tag = pair.read(0, MIB, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        assert_eq!(commands(&pair).len(), 8);
    }
}

#[test]
fn data_is_whole_when_lengths_are_halved() {
    let mut pair = taking(17);
    pair.fill(0, MIB, 9);
    let writes: Vec<u64> = (0..4)
        .map(|n| pair.write(u64::from(n) << 18, 1 << 18, n << 18))
        .collect();
    pair.run();
    assert!(writes.iter().all(|tag| pair.completed[tag] == Status::Ok));
    let tag = pair.read(0, MIB, 2 * MIB);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.bytes(0, MIB), pair.bytes(2 * MIB, MIB));
    assert_eq!(pair.geometry().max_transfer, 8192);
}

/// If not even the shortest command is accepted, the length is not the reason.
#[test]
fn commands_that_are_refused_at_any_length_change_nothing() {
    let mut pair = taking(1);
    let tag = pair.read(0, MIB, 0);
    assert_eq!(pair.finish(tag), Status::Invalid);
    assert_eq!((pair.readies(), pair.geometry().max_transfer), (1, MIB));
    pair.peer.disk.longest = None;
    pair.peer.seen.clear();
    let tag = pair.read(0, MIB, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(commands(&pair).len(), 1);
}

#[test]
fn zeroes_that_are_written_are_halved_too() {
    let mut disk = Disk::new(512, 1 << 20);
    (disk.longest, disk.unknown) = (Some(256), vec![0x93]);
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let tag = pair.submit(Operation::WriteZeroes, 0, MIB, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.geometry().max_transfer, 128 << 10);
}

#[test]
fn transfers_are_as_long_as_configured() {
    let config = config(&[("max-transfer", "65536")]);
    let mut pair = Pair::new(config, Settings::default(), Disk::new(512, 1 << 20)).ready();
    assert_eq!(pair.geometry().max_transfer, 65536);
    pair.peer.seen.clear();
    let tag = pair.read(0, 256 << 10, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let lengths = commands(&pair)
        .into_iter()
        .map(|(_, command)| match command {
            Command::Read { blocks, .. } => blocks,
            other => panic!("{other:?}"),
        });
    assert_eq!(lengths.collect::<Vec<_>>(), [128; 4]);
}
