//! The SCSI commands of flush, discard and write-zeroes, and writes that must be on the
//! medium at once.

use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::pdu::InitiatorPdu;
use vcp_iscsi_proto::scsi::{Asc, Command, SenseKey};

use crate::pair::*;
use crate::{MIB, commands, opcodes};

#[test]
fn fua_by_the_bit() {
    let mut pair = Pair::plain().ready();
    let tag = pair.submit_with(Operation::Write, 0, 512, 0, true);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(matches!(
        commands(&pair)[..],
        [Command::Write { fua: true, .. }]
    ));
}

#[test]
fn fua_by_a_cache_flush() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.fua = false;
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let tag = pair.submit_with(Operation::Write, 0, 512, 0, true);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(matches!(
        commands(&pair)[..],
        [
            Command::Write { fua: false, .. },
            Command::SynchronizeCache { .. }
        ]
    ));
}

#[test]
fn fua_without_a_cache_is_a_write() {
    let mut disk = Disk::new(512, 1 << 20);
    (disk.fua, disk.write_cache) = (false, false);
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    assert!(!pair.geometry().write_cache);
    let tag = pair.submit_with(Operation::Write, 0, 512, 0, true);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(matches!(
        commands(&pair)[..],
        [Command::Write { fua: false, .. }]
    ));
}

#[test]
fn fua_discard_flushes_behind_it() {
    let mut pair = Pair::plain().ready();
    let tag = pair.submit_with(Operation::Discard, 0, 4096, 0, true);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(matches!(
        commands(&pair)[..],
        [Command::Unmap { .. }, Command::SynchronizeCache { .. }]
    ));
}

/// WRITE SAME has no FUA bit. If another one is refused meanwhile, so that the next would
/// be a WRITE with that bit, this does not change the one that was carried out.
#[test]
fn fua_is_of_the_command_that_was_sent() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.provisioning = None;
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let mut first = true;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        let refused = command.cdb[0] == 0x93 && std::mem::take(&mut first);
        if refused {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
            peer.check_condition(command, SenseKey::IllegalRequest, Asc::INVALID_OPCODE);
        }
        refused
    }));
    let other = pair.submit(Operation::WriteZeroes, 0, 4096, 0);
    let tag = pair.submit_with(Operation::WriteZeroes, 8192, 4096, 0, true);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.finish(other), Status::Ok);
    let syncs = commands(&pair)
        .iter()
        .filter(|command| matches!(command, Command::SynchronizeCache { .. }))
        .count();
    assert_eq!(syncs, 1);
}

/// Two such commands are under way when the first is refused: the second is judged by
/// what was sent, not by what would be sent by now.
#[test]
fn what_is_refused_is_what_was_sent() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.unknown = vec![0x42];
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let tags = [0, 8192].map(|at| pair.submit(Operation::Discard, at, 4096, 0));
    pair.run();
    assert!(tags.iter().all(|tag| pair.completed[tag] == Status::Ok));
    assert!(
        opcodes(&pair).ends_with(&[0x42, 0x42, 0x93, 0x93]),
        "two refused, two in another way"
    );
    assert!(pair.geometry().max_discard > 0);
}

#[test]
fn discard_unmaps() {
    let mut pair = Pair::plain().ready();
    let tag = pair.write(0, MIB, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.submit(Operation::Discard, 4096, MIB - 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.peer.disk.written.len(), 8);
}

/// The parameter list is sent in the same ways as write data.
#[test]
fn unmap_parameters_go_as_negotiated() {
    for (initial_r2t, immediate_data) in
        [(true, true), (true, false), (false, true), (false, false)]
    {
        let settings = Settings {
            initial_r2t,
            immediate_data,
            ..Settings::default()
        };
        let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
        let tag = pair.write(0, 8192, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        let tag = pair.submit(Operation::Discard, 0, 4096, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        assert_eq!(pair.peer.disk.written.len(), 8);
    }
}

#[test]
fn discard_by_write_same() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.limits.max_unmap_blocks = 0;
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let tag = pair.submit(Operation::Discard, 0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(matches!(
        commands(&pair)[..],
        [Command::WriteSame { unmap: true, .. }]
    ));
}

#[test]
fn write_zeroes_by_write_same() {
    let mut pair = Pair::plain().ready();
    pair.fill(0, 8192, 1);
    let tag = pair.write(0, 8192, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.submit(Operation::WriteZeroes, 0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(matches!(
        commands(&pair)[1],
        Command::WriteSame {
            unmap: true,
            blocks: 8,
            ..
        }
    ));
    assert_eq!(pair.peer.disk.written.len(), 8);
}

#[test]
fn write_zeroes_without_unmapping() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.provisioning = None;
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let tag = pair.submit(Operation::WriteZeroes, 0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(matches!(
        commands(&pair)[..],
        [Command::WriteSame { unmap: false, .. }]
    ));
}

#[test]
fn unsupported_write_same_becomes_writes_of_zeroes() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.unknown = vec![0x93];
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    pair.fill(0, 4096, 1);
    let tag = pair.write(3 << 20, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.submit(Operation::WriteZeroes, 0, 5 * MIB, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.geometry().max_write_zeroes, 0);
    assert!(pair.peer.disk.read(3 << 11, 8).iter().all(|&b| b == 0));
    let tag = pair.submit(Operation::WriteZeroes, 0, MIB, 0);
    pair.peer.seen.clear();
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(matches!(
        commands(&pair)[..],
        [Command::Write { blocks: 2048, .. }]
    ));
}

#[test]
fn unsupported_unmap_is_given_up() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.unknown = vec![0x42, 0x93];
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let tag = pair.submit(Operation::Discard, 0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::NotSupported);
    assert_eq!(pair.geometry().max_discard, 0);
    let tag = pair.submit(Operation::Discard, 0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::NotSupported);
}

#[test]
fn unsupported_flush() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.unknown = vec![0x35];
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    // The unit reports a cache.
    let tag = pair.submit(Operation::Flush, 0, 0, 0);
    assert_eq!(pair.finish(tag), Status::NotSupported);

    let mut disk = Disk::new(512, 1 << 20);
    disk.unknown = vec![0x35, 0x1a, 0x5a];
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    // The unit does not report whether it has a cache.
    assert!(pair.geometry().write_cache);
    let tag = pair.submit(Operation::Flush, 0, 0, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(!pair.geometry().write_cache);
}
