//! Requests against a target that behaves: which SCSI commands they become, how
//! their data goes, and what the logical unit's limits do to them.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::pdu::InitiatorPdu;
use vcp_iscsi_proto::scsi::{Asc, Command, SenseKey};

const MIB: u32 = 1 << 20;

/// Commands that the target got since it was ready, but for what it was asked
/// about itself.
fn commands(pair: &Pair) -> Vec<Command> {
    let cdbs = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(Command::parse(&command.cdb).unwrap()),
        _ => None,
    });
    cdbs.filter(|command| {
        matches!(
            command,
            Command::Read { .. }
                | Command::Write { .. }
                | Command::SynchronizeCache { .. }
                | Command::Unmap { .. }
                | Command::WriteSame { .. }
        )
    })
    .collect()
}

fn opcodes(pair: &Pair) -> Vec<u8> {
    let cdbs = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(command.cdb[0]),
        _ => None,
    });
    cdbs.collect()
}

#[test]
fn becomes_ready() {
    let pair = Pair::plain().ready();
    let geometry = pair.geometry();
    assert_eq!(geometry.size, 512 << 20);
    assert_eq!(geometry.block_size, 512);
    assert_eq!(geometry.preferred_block_size, 4096);
    assert_eq!(geometry.max_transfer, MIB);
    assert_eq!(geometry.max_discard, 512 << 20);
    assert_eq!(geometry.max_write_zeroes, 128 << 20);
    assert_eq!(geometry.identity, "naa.5001020304050607");
    assert!(!geometry.read_only);
    assert!(geometry.write_cache);
}

#[test]
fn reads_what_it_wrote() {
    let mut pair = Pair::plain().ready();
    pair.fill(0, MIB, 3);
    let tag = pair.write(4096, MIB, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.read(4096, MIB, 2 * MIB);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.bytes(0, MIB) == pair.bytes(2 * MIB, MIB));
    let tag = pair.submit(Operation::Flush, 0, 0, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.peer.disk.done.last(), Some(&0x35));
}

/// Writes and reads back under every combination of what can be negotiated about
/// data. The scripted target checks each Data-Out.
#[test]
fn data_goes_as_negotiated() {
    for bits in 0..32 {
        let bit = |n: u32| bits & 1 << n != 0;
        let settings = Settings {
            initial_r2t: bit(0),
            immediate_data: bit(1),
            max_outstanding_r2t: if bit(2) { 4 } else { 1 },
            first_burst: if bit(3) { 4096 } else { 65536 },
            max_burst: if bit(3) { 8192 } else { 262_144 },
            max_recv: if bit(4) { 1024 } else { 65536 },
            data_in: 3000,
            status_in_data: bit(2),
            digests: bit(4),
            ..Settings::default()
        };
        let policy = if bit(4) { "crc32c" } else { "none" };
        let config = config(&[("header-digest", policy), ("data-digest", policy)]);
        let mut pair = Pair::new(config, settings, Disk::new(512, 1 << 20)).ready();
        for (n, length) in [512, 1024, 4096, 65536, 200_704, MIB]
            .into_iter()
            .enumerate()
        {
            pair.fill(0, length, n as u8);
            let tag = pair.write(n as u64 * 4 * u64::from(MIB), length, 0);
            assert_eq!(
                pair.finish(tag),
                Status::Ok,
                "write of {length}, case {bits}"
            );
            let tag = pair.read(n as u64 * 4 * u64::from(MIB), length, 4 * MIB);
            assert_eq!(
                pair.finish(tag),
                Status::Ok,
                "read of {length}, case {bits}"
            );
            assert!(
                pair.bytes(0, length) == pair.bytes(4 * MIB, length),
                "case {bits}"
            );
        }
        assert!(pair.peer.longest_burst <= if bit(3) { 8192 } else { 262_144 });
        assert!(pair.peer.most_unsolicited <= if bit(3) { 4096 } else { 65536 });
        if !bit(1) && bit(0) {
            assert_eq!(pair.peer.most_unsolicited, 0);
        }
    }
}

#[test]
fn many_requests_at_once() {
    let settings = Settings {
        window: 4,
        max_outstanding_r2t: 2,
        max_burst: 16384,
        first_burst: 16384,
        initial_r2t: false,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(4096, 1 << 20)).ready();
    pair.fill(0, 8 * MIB, 9);
    let writes: Vec<u64> = (0..64)
        .map(|n| pair.write(u64::from(n) * 131_072, 131_072, n * 131_072))
        .collect();
    pair.run();
    assert!(writes.iter().all(|tag| pair.completed[tag] == Status::Ok));
    let reads: Vec<u64> = (0..64)
        .map(|n| pair.read(u64::from(n) * 131_072, 131_072, 8 * MIB + n * 65536))
        .collect();
    pair.run();
    assert!(reads.iter().all(|tag| pair.completed[tag] == Status::Ok));
    assert!(pair.bytes(0, 65536) == pair.bytes(8 * MIB, 65536));
}

#[test]
fn commands_go_before_bulk_data() {
    let mut pair = Pair::plain().ready();
    pair.peer.seen.clear();
    pair.write(0, MIB, 0);
    // The target asks for the data.
    pair.step();
    pair.step();
    pair.read(8 << 20, 4096, MIB);
    pair.run();
    let read = opcodes(&pair).iter().position(|&op| op == 0x28).unwrap();
    assert_eq!(read, 1);
    let last_data = pair
        .peer
        .seen
        .iter()
        .rposition(|p| matches!(p, InitiatorPdu::DataOut(_)));
    let read = pair
        .peer
        .seen
        .iter()
        .position(|p| matches!(p, InitiatorPdu::ScsiCommand(c) if c.read));
    assert!(read < last_data);
}

#[test]
fn nothing_is_sent_outside_the_window() {
    let mut pair = Pair::plain().ready();
    // The scripted target checks each command's number.
    pair.peer.max_cmd_sn = Some(pair.peer.exp_cmd_sn.sub(1));
    let nop = |pair: &mut Pair| {
        let sn = pair.peer.numbers();
        let none = vcp_iscsi_proto::RESERVED_TAG;
        let pdu = vcp_iscsi_proto::pdu::NopIn {
            data_len: 0,
            lun: vcp_iscsi_proto::Lun::default(),
            itt: none,
            ttt: none,
            sn,
        };
        pair.peer.send(pdu, &[]);
    };
    // A window never shrinks: what was promised before is still there.
    nop(&mut pair);
    pair.run();
    for n in 0..40 {
        pair.read(n * 4096, 4096, 0);
    }
    let last = pair.peer.exp_cmd_sn.add(3);
    pair.peer.max_cmd_sn = Some(last);
    let promised = 32;
    pair.peer.settings.window = promised;
    pair.peer.max_cmd_sn = None;
    pair.run();
    assert_eq!(pair.completed.len(), 40);
}

#[test]
fn closed_window_is_waited_for() {
    let settings = Settings {
        window: 1,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    let tags: Vec<u64> = (0..8).map(|n| pair.read(n * 512, 512, 0)).collect();
    pair.peer.seen.clear();
    pair.step();
    assert_eq!(opcodes(&pair).len(), 1);
    pair.run();
    assert!(tags.iter().all(|tag| pair.completed[tag] == Status::Ok));
}

#[test]
fn short_and_long_cdbs() {
    let mut pair = Pair::new(config(&[]), Settings::default(), Disk::new(512, 1 << 33)).ready();
    assert_eq!(pair.geometry().size, 4 << 40);
    pair.peer.seen.clear();
    let end = pair.geometry().size;
    let near = pair.write(0, 4096, 0);
    assert_eq!(pair.finish(near), Status::Ok);
    pair.fill(0, 4096, 1);
    let far = pair.write(end - 4096, 4096, 0);
    assert_eq!(pair.finish(far), Status::Ok);
    let far = pair.read(end - 4096, 4096, 8192);
    assert_eq!(pair.finish(far), Status::Ok);
    assert!(pair.bytes(0, 4096) == pair.bytes(8192, 4096));
    assert_eq!(opcodes(&pair), [0x2a, 0x8a, 0x88]);
}

#[test]
fn large_sectors() {
    let mut pair = Pair::new(config(&[]), Settings::default(), Disk::new(4096, 1 << 20)).ready();
    assert_eq!(pair.geometry().block_size, 4096);
    let bad = pair.read(512, 4096, 0);
    assert_eq!(pair.finish(bad), Status::Invalid);
    let bad = pair.read(0, 512, 0);
    assert_eq!(pair.finish(bad), Status::Invalid);
    pair.fill(0, 8192, 5);
    let tag = pair.write(4096, 8192, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(
        pair.peer.disk.written.keys().copied().collect::<Vec<_>>(),
        [1, 2]
    );
}

#[test]
fn requests_beyond_the_end_are_refused() {
    let mut pair = Pair::plain().ready();
    let size = pair.geometry().size;
    for (offset, length) in [(size, 512), (size - 512, 1024), (u64::MAX - 511, 512)] {
        let tag = pair.read(offset, length, 0);
        assert_eq!(pair.finish(tag), Status::Invalid);
    }
}

#[test]
fn empty_requests_are_done() {
    let mut pair = Pair::plain().ready();
    let tag = pair.read(0, 0, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

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

#[test]
fn discard_unmaps() {
    let mut pair = Pair::plain().ready();
    let tag = pair.write(0, MIB, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.submit(Operation::Discard, 4096, MIB - 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.peer.disk.written.len(), 8);
}

/// The parameter list goes the same ways as write data.
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
    // It says that it has a cache.
    let tag = pair.submit(Operation::Flush, 0, 0, 0);
    assert_eq!(pair.finish(tag), Status::NotSupported);

    let mut disk = Disk::new(512, 1 << 20);
    disk.unknown = vec![0x35, 0x1a, 0x5a];
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    // It says nothing about one.
    assert!(pair.geometry().write_cache);
    let tag = pair.submit(Operation::Flush, 0, 0, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(!pair.geometry().write_cache);
}

#[test]
fn long_requests_are_cut_to_the_units_limits() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.limits.max_transfer = 16;
    disk.limits.max_unmap_blocks = 8;
    disk.limits.max_write_same = 8;
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let geometry = pair.geometry();
    assert_eq!(geometry.max_transfer, 8192);
    assert_eq!(
        (geometry.max_discard, geometry.max_write_zeroes),
        (4096, 4096)
    );
    // Longer ones than announced are cut all the same.
    pair.fill(0, 65536, 1);
    let tag = pair.write(0, 65536, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.read(0, 65536, MIB);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.bytes(0, 65536) == pair.bytes(MIB, 65536));
    let tag = pair.submit(Operation::Discard, 0, 32768, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.peer.disk.written.len(), 64);
}

#[test]
fn read_only_unit_and_configuration() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.write_protected = true;
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    assert!(pair.geometry().read_only);
    let tag = pair.write(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::NotPermitted);

    let config = config(&[("read-only", "yes")]);
    let mut pair = Pair::new(config, Settings::default(), Disk::new(512, 1 << 20)).ready();
    assert!(pair.geometry().read_only);
    for operation in [Operation::Write, Operation::Discard, Operation::WriteZeroes] {
        let tag = pair.submit(operation, 0, 512, 0);
        assert_eq!(pair.finish(tag), Status::NotPermitted);
    }
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn errors_of_the_unit_are_told() {
    let mut pair = Pair::plain().ready();
    for (key, asc, status) in [
        (
            SenseKey::MediumError,
            Asc::UNRECOVERED_READ_ERROR,
            Status::IoError,
        ),
        (
            SenseKey::DataProtect,
            Asc::WRITE_PROTECTED,
            Status::NotPermitted,
        ),
        (
            SenseKey::DataProtect,
            Asc::SPACE_ALLOCATION_FAILED,
            Status::NoSpace,
        ),
        (
            SenseKey::IllegalRequest,
            Asc::LBA_OUT_OF_RANGE,
            Status::Invalid,
        ),
    ] {
        pair.peer.disk.attention = vec![(key, asc)];
        let tag = pair.write(0, 65536, 0);
        assert_eq!(pair.finish(tag), status);
    }
    assert_eq!(pair.suspended(), Vec::<String>::new());
}
