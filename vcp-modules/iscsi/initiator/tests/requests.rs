//! Requests against a target that behaves.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Operation, Status};

#[test]
fn becomes_ready() {
    let pair = Pair::plain().ready();
    let geometry = pair.geometry();
    assert_eq!(geometry.size, 512 << 20);
    assert_eq!(geometry.block_size, 512);
    assert_eq!(geometry.preferred_block_size, 4096);
    assert_eq!(geometry.identity, "naa.5001020304050607");
    assert!(!geometry.read_only);
    assert!(geometry.write_cache);
}

#[test]
fn reads_what_it_wrote() {
    let mut pair = Pair::plain().ready();
    pair.fill(0, 1 << 20, 3);
    let tag = pair.write(4096, 1 << 20, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.read(4096, 1 << 20, 2 << 20);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.bytes(0, 1 << 20) == pair.bytes(2 << 20, 1 << 20));
    let tag = pair.submit(Operation::Flush, 0, 0, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}
