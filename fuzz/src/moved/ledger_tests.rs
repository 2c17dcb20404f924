//! That the model notices: each way to say `Ok` of what was not done.

use vcp_iscsi_initiator::Span;

use super::*;

const TAG: u64 = 3;
const LBA: u64 = TAG * BLOCKS_PER_TAG;

fn ledger(operation: Operation, blocks: u32, fua: bool) -> Ledger {
    let mut ledger = Ledger::new(Cache::On);
    ledger.honest = false;
    ledger.submitted(Request {
        tag: TAG,
        operation,
        fua,
        no_unmap: false,
        offset: LBA * u64::from(BLOCK),
        length: blocks * BLOCK,
        data: Span::default(),
    });
    ledger
}

fn order(kind: Kind, first: u64, blocks: u32) -> Order {
    Order {
        kind,
        fua: false,
        lba: LBA + first,
        blocks,
        length: blocks * BLOCK,
    }
}

/// A command of which the bytes `moved` were moved, and its end.
fn attempt(ledger: &mut Ledger, order: Order, moved: (u32, u32), outcome: Outcome) -> usize {
    let id = ledger.arrived(&order);
    ledger.attempt(id).moved.add(moved.0, moved.1);
    ledger.ended(id, outcome);
    id
}

fn sync(ledger: &mut Ledger, outcome: Outcome) -> usize {
    let order = Order {
        length: 0,
        ..order(Kind::Sync, 0, 0)
    };
    attempt(ledger, order, (0, 0), outcome)
}

/// What a read of two blocks is told, of which the responder sent so many bytes.
fn read(moved: (u32, u32), outcome: Outcome, change: impl FnOnce(&mut [u8], usize)) {
    let mut ledger = ledger(Operation::Read, 2, false);
    let id = attempt(&mut ledger, order(Kind::Read, 0, 2), moved, outcome);
    let mut room = [0; 1024];
    Source::Attempt(id).fill(0, &mut room);
    change(&mut room, id);
    ledger.completed(TAG, Status::Ok, &room);
}

#[test]
fn a_read_that_was_moved() {
    read((0, 1024), Outcome::Done, |_, _| {});
}

#[test]
#[should_panic(expected = "no attempt moved its block 0")]
fn a_read_with_a_byte_less() {
    read((0, 1023), Outcome::Done, |_, _| {});
}

#[test]
#[should_panic(expected = "no attempt moved its block 0")]
fn a_read_without_its_beginning() {
    read((4, 1024), Outcome::Done, |_, _| {});
}

#[test]
#[should_panic(expected = "no attempt moved its block 0")]
fn a_read_that_failed() {
    read((0, 1024), Outcome::Failed, |_, _| {});
}

#[test]
#[should_panic(expected = "no attempt moved its block 0")]
fn a_read_with_a_residual() {
    read((0, 1024), Outcome::Residual, |_, _| {});
}

#[test]
#[should_panic(expected = "block 1 is not what attempt 0 sent")]
fn a_read_with_a_stale_byte() {
    read((0, 1024), Outcome::Done, |room, _| {
        // By chance the same one time in 256, and not here.
        Source::Stale(TAG).fill(1023, &mut room[1023..]);
    });
}

#[test]
#[should_panic(expected = "block 0 is not what attempt 0 sent")]
fn a_read_of_bytes_of_another_place() {
    read((0, 1024), Outcome::Done, |room, id| {
        Source::Attempt(id).fill(512, room);
    });
}

#[test]
#[should_panic(expected = "block 0 is not what attempt 1 sent")]
fn a_read_of_bytes_of_another_attempt() {
    let mut ledger = ledger(Operation::Read, 2, false);
    for _ in 0..2 {
        attempt(
            &mut ledger,
            order(Kind::Read, 0, 2),
            (0, 1024),
            Outcome::Done,
        );
    }
    let mut room = [0; 1024];
    Source::Attempt(0).fill(0, &mut room);
    ledger.completed(TAG, Status::Ok, &room);
}

#[test]
fn a_write_in_parts() {
    let mut ledger = ledger(Operation::Write, 3, false);
    attempt(
        &mut ledger,
        order(Kind::Write, 0, 2),
        (0, 1024),
        Outcome::Done,
    );
    attempt(
        &mut ledger,
        order(Kind::Write, 2, 1),
        (0, 512),
        Outcome::Done,
    );
    ledger.completed(TAG, Status::Ok, &[]);
}

#[test]
#[should_panic(expected = "no attempt moved its block 2")]
fn a_write_without_its_last_part() {
    let mut ledger = ledger(Operation::Write, 3, false);
    attempt(
        &mut ledger,
        order(Kind::Write, 0, 2),
        (0, 1024),
        Outcome::Done,
    );
    attempt(
        &mut ledger,
        order(Kind::Write, 2, 1),
        (0, 512),
        Outcome::Failed,
    );
    ledger.completed(TAG, Status::Ok, &[]);
}

/// What is said after the end doesn't count.
#[test]
#[should_panic(expected = "no attempt moved its block 0")]
fn a_write_that_failed_first() {
    let mut ledger = ledger(Operation::Write, 1, false);
    let id = attempt(
        &mut ledger,
        order(Kind::Write, 0, 1),
        (0, 512),
        Outcome::Failed,
    );
    ledger.ended(id, Outcome::Done);
    ledger.completed(TAG, Status::Ok, &[]);
}

#[test]
#[should_panic(expected = "no attempt moved its block 0")]
fn a_discard_without_its_parameters() {
    let mut ledger = ledger(Operation::Discard, 1, false);
    let order = Order {
        length: 24,
        ..order(Kind::Unmap, 0, 1)
    };
    let id = ledger.arrived(&order);
    ledger.place(id, LBA, 1);
    ledger.ended(id, Outcome::Done);
    ledger.completed(TAG, Status::Ok, &[]);
}

#[test]
#[should_panic(expected = "Unmap for")]
fn a_write_by_unmapping() {
    let mut ledger = ledger(Operation::Write, 1, false);
    let id = ledger.arrived(&order(Kind::Unmap, 0, 1));
    ledger.place(id, LBA, 1);
}

#[test]
#[should_panic(expected = "the cache was not written")]
fn a_durable_write_without_a_flush() {
    let mut ledger = ledger(Operation::Write, 1, true);
    // What went before it doesn't count.
    sync(&mut ledger, Outcome::Done);
    attempt(
        &mut ledger,
        order(Kind::Write, 0, 1),
        (0, 512),
        Outcome::Done,
    );
    ledger.completed(TAG, Status::Ok, &[]);
}

#[test]
fn durable_writes() {
    let mut behind = ledger(Operation::Write, 1, true);
    attempt(
        &mut behind,
        order(Kind::Write, 0, 1),
        (0, 512),
        Outcome::Done,
    );
    sync(&mut behind, Outcome::Done);
    behind.completed(TAG, Status::Ok, &[]);
    let mut bit = ledger(Operation::Write, 1, true);
    let order = Order {
        fua: true,
        ..order(Kind::Write, 0, 1)
    };
    attempt(&mut bit, order, (0, 512), Outcome::Done);
    bit.completed(TAG, Status::Ok, &[]);
}

#[test]
#[should_panic(expected = "the cache was not written")]
fn a_flush_that_failed() {
    let mut ledger = ledger(Operation::Flush, 0, false);
    sync(&mut ledger, Outcome::Failed);
    ledger.completed(TAG, Status::Ok, &[]);
}

#[test]
#[should_panic(expected = "is not outstanding")]
fn an_end_twice() {
    let mut ledger = ledger(Operation::Read, 1, false);
    ledger.completed(TAG, Status::IoError, &[]);
    ledger.completed(TAG, Status::IoError, &[]);
}

#[test]
#[should_panic(expected = "for no reason")]
fn a_failure_that_nobody_is_to_blame_for() {
    let mut ledger = ledger(Operation::Read, 1, false);
    ledger.honest = true;
    ledger.completed(TAG, Status::IoError, &[]);
}
