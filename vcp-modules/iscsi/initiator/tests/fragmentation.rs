//! The same run with its bytes in pieces of every size.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Action, Status};

fn run(to_initiator: usize, to_target: usize, digests: bool) -> Vec<Action> {
    let policy = if digests { "crc32c" } else { "none" };
    let config = config(&[("header-digest", policy), ("data-digest", policy)]);
    let settings = Settings {
        digests,
        data_in: 1023,
        max_recv: 1024,
        max_burst: 2048,
        first_burst: 2048,
        initial_r2t: false,
        ..Settings::default()
    };
    let mut pair = Pair::new(config, settings, Disk::new(512, 1 << 20));
    (pair.to_initiator, pair.to_target) = (to_initiator, to_target);
    let mut pair = pair.ready();
    pair.fill(0, 8192, 1);
    let tag = pair.write(0, 8192, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let tag = pair.read(0, 8192, 8192);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.bytes(0, 8192) == pair.bytes(8192, 8192));
    pair.actions
}

/// The sizes range up to that of the largest PDU here, so that every byte is a boundary
/// once.
#[test]
fn pieces_of_every_size() {
    for digests in [false, true] {
        let whole = run(usize::MAX, 1 << 16, digests);
        for size in (1..130).chain([1023, 1024, 1071, 1072, 1073, 1075, 1076, 1080]) {
            assert_eq!(run(size, 1 << 16, digests), whole, "in, {size}");
            assert_eq!(run(usize::MAX, size, digests), whole, "out, {size}");
        }
        assert_eq!(run(1, 1, digests), whole);
    }
}
