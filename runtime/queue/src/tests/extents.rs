//! Questions about how a range is allocated.

use super::*;
use crate::extent::BadExtents;

fn ask(table: &mut Table, cookie: u64, offset: u64, length: u32) {
    let asked = request(cookie, Operation::Extents, offset, length);
    table.submit(ClientId(1), asked);
}

fn told(answered: &Answered) -> Vec<(u32, bool)> {
    let extents = Extent::parse(&answered.bytes);
    extents.map(|extent| (extent.length, extent.hole)).collect()
}

fn table() -> Table {
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    table
}

#[test]
fn whole_blocks_are_asked_about_and_bytes_answered() {
    let (mut table, mut device) = (table(), Device::new());
    ask(&mut table, 7, 700, 1000);
    device.take_all(&mut table);
    let entry = device.entries[0];
    assert_eq!((entry.offset, entry.length), (512, 1536));
    assert_eq!(entry.loan.map(|loan| loan.length), Some(4096));
    let answered = device.complete(0, &mut table).unwrap();
    assert_eq!((answered.cookie, told(&answered)), (7, vec![(1000, true)]));
    assert!(table.is_empty());
}

#[test]
fn a_successor_is_asked_again() {
    let (mut table, mut device) = (table(), Device::new());
    ask(&mut table, 1, 0, 4096);
    device.take_all(&mut table);
    device.crash(&mut table);
    device.take_all(&mut table);
    assert_eq!(device.entries.len(), 1);
    let answered = device.complete(0, &mut table).unwrap();
    assert_eq!(told(&answered), [(4096, true)]);
}

/// The bytes of an answer are no payload: if they were counted as such, the count would fall
/// below zero.
#[test]
fn answers_are_not_counted_as_payload() {
    let (mut table, mut device) = (table(), Device::new());
    for cookie in 1..=3 {
        ask(&mut table, cookie, 0, 4096);
    }
    table.submit(ClientId(2), request(4, Operation::Write, 0, 512));
    device.take_all(&mut table);
    assert!(device.complete(0, &mut table).is_some());
    device.crash(&mut table);
    table.forget(ClientId(1));
    device.take_all(&mut table);
    while !device.entries.is_empty() {
        device.complete(0, &mut table);
    }
    assert!(table.is_empty());
    assert_eq!(table.reclaim().len(), 0);
}

#[test]
fn a_device_that_can_not_tell_is_not_failed() {
    let (mut table, mut device) = (table(), Device::new());
    ask(&mut table, 1, 0, 4096);
    device.take_all(&mut table);
    let tag = device.entries[0].tag;
    let (_, finished) = table.complete(tag, Status::NotSupported, &[]).unwrap();
    let answered = Answered::new(finished.unwrap(), &[]);
    assert_eq!(told(&answered), []);
    // A device that says so beforehand is not asked.
    table.set_geometry(Geometry {
        extents: false,
        ..geometry()
    });
    ask(&mut table, 2, 0, 4096);
    assert!(table.next(&mut device.area).is_none());
    let done = table.take_done();
    assert_eq!((done[0].cookie, done[0].status), (2, Status::Ok));
}

#[test]
fn an_answer_about_more_is_a_fault() {
    let (mut table, mut device) = (table(), Device::new());
    ask(&mut table, 1, 0, 512);
    device.take_all(&mut table);
    let tag = device.entries[0].tag;
    let all = Extent {
        length: 1024,
        hole: false,
        zero: false,
    };
    let judge = |table: &mut Table, bytes: &[u8]| match table.complete(tag, Status::Ok, bytes) {
        Err(Violation::Extents { tag: of, error }) if of == tag => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(judge(&mut table, &all.encode()), BadExtents::Beyond(512));
    assert_eq!(judge(&mut table, &[]), BadExtents::Count(0));
}
