//! Parts of blocks are changed beside everything that is elsewhere.

use super::*;

fn table() -> Table {
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    table
}

fn offsets(device: &Device) -> Vec<(Operation, u64)> {
    let entries = device.entries.iter();
    entries
        .map(|entry| (entry.operation, entry.offset))
        .collect()
}

#[test]
fn a_part_of_a_block_waits_for_nothing_elsewhere_and_nothing_elsewhere_for_it() {
    let mut device = Device::new();
    let mut table = table();
    // The device holds this one for good.
    table.submit(ClientId(1), request(1, Operation::Write, 8192, 512));
    device.take_all(&mut table);
    table.submit(ClientId(2), request(2, Operation::Write, 10, 1));
    table.submit(ClientId(3), request(3, Operation::Read, 0, 512));
    table.submit(ClientId(3), request(4, Operation::Write, 4096, 512));
    device.take_all(&mut table);
    use Operation::{Read, Write};
    assert_eq!(
        offsets(&device),
        [(Write, 8192), (Read, 0), (Read, 0), (Write, 4096)]
    );
    // The block has been read: now it is written.
    assert!(device.complete(1, &mut table).is_none());
    device.take_all(&mut table);
    assert_eq!(
        device.entries.last().map(|e| (e.operation, e.offset)),
        Some((Write, 0))
    );
}

#[test]
fn whoever_changes_the_same_block_takes_turns() {
    let mut device = Device::new();
    let mut table = table();
    for (cookie, offset, length) in [(1, 0, 512), (2, 1, 1), (3, 5, 1), (4, 0, 1024)] {
        let client = ClientId(cookie);
        table.submit(client, request(cookie, Operation::Write, offset, length));
    }
    let mut most = 0;
    let mut answered = 0;
    while answered < 4 {
        device.take_all(&mut table);
        most = most.max(device.entries.len());
        answered += usize::from(device.complete(0, &mut table).is_some());
    }
    assert_eq!(most, 1);
    // The last of them that was whole wrote over the others.
    assert_eq!(device.contents[..1024], [4; 1024]);
}

/// A client that always writes the block again does not keep back one that changes a part of
/// it.
#[test]
fn a_flood_of_the_same_block_starves_nobody() {
    let mut device = Device::new();
    let mut table = Table::new(Limits {
        depth: 4,
        ..Limits::default()
    });
    table.set_geometry(geometry());
    for cookie in 0..100 {
        table.submit(ClientId(1), request(cookie, Operation::Write, 0, 512));
    }
    device.take_all(&mut table);
    table.submit(ClientId(2), request(777, Operation::Write, 3, 1));
    for answers in 0.. {
        assert!(answers < 10, "it still waits");
        device.take_all(&mut table);
        let answer = device.complete(0, &mut table);
        if answer.is_some_and(|answer| answer.cookie == 777) {
            break;
        }
    }
}

/// A block that was read is written although the device has as many entries as it may.
#[test]
fn as_many_parts_of_blocks_as_may_be_with_the_device_come_to_an_end() {
    let mut device = Device::new();
    let mut table = Table::new(Limits {
        depth: 4,
        ..Limits::default()
    });
    table.set_geometry(geometry());
    for cookie in 0..16 {
        let write = request(cookie, Operation::Write, 512 * cookie + 7, 1);
        table.submit(ClientId(cookie % 2), write);
    }
    assert_eq!(run_dry(&mut device, &mut table).len(), 16);
}
