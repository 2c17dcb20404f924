//! The logical unit's properties, and the effects of its limits and errors on requests.

use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::scsi::{Asc, SenseKey};

use crate::pair::*;
use crate::{MIB, opcodes};

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
        let tag = pair.write(offset, length, 0);
        assert_eq!(pair.finish(tag), Status::NoSpace);
    }
}

#[test]
fn empty_requests_are_done() {
    let mut pair = Pair::plain().ready();
    let tag = pair.read(0, 0, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
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
    // Requests that are longer than announced are cut even so.
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
            Status::NoSpace,
        ),
    ] {
        pair.peer.disk.attention = vec![(key, asc)];
        let tag = pair.write(0, 65536, 0);
        assert_eq!(pair.finish(tag), status);
    }
    // A read beyond the end is invalid, where a write finds no space.
    let beyond = (SenseKey::IllegalRequest, Asc::LBA_OUT_OF_RANGE);
    for (operation, status) in [
        (Operation::Read, Status::Invalid),
        (Operation::WriteZeroes, Status::NoSpace),
        (Operation::Discard, Status::Invalid),
    ] {
        pair.peer.disk.attention = vec![beyond];
        let tag = pair.submit(operation, 0, 65536, 0);
        assert_eq!(pair.finish(tag), status, "{operation:?}");
    }
    assert_eq!(pair.suspended(), Vec::<String>::new());
}
