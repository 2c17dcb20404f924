//! Requests that are not answered in time.

use super::*;

fn table() -> Table {
    let mut table = Table::new(Limits::default());
    table.set_geometry(geometry());
    table
}

fn cookies(finished: &[Finished]) -> Vec<u64> {
    let failed = finished.iter().map(|f| {
        assert_eq!((f.status, &f.data), (Status::IoError, &Data::None));
        f.cookie
    });
    failed.collect()
}

#[test]
fn while_all_is_well_nothing_has_a_deadline() {
    let (mut device, mut table) = (Device::new(), table());
    table.submit(ClientId(1), request(1, Operation::Write, 0, 512));
    device.take_all(&mut table);
    assert_eq!(table.next_deadline(), None);
    let expired = table.expire(u64::MAX, Status::IoError);
    assert!(expired.finished.is_empty() && !expired.issued);
    assert_eq!(run_dry(&mut device, &mut table).len(), 1);
}

#[test]
fn exactly_what_is_due_fails_and_the_rest_is_offered_again() {
    let (mut device, mut table) = (Device::new(), table());
    table.submit(ClientId(1), request(1, Operation::Write, 0, 512));
    table.submit(ClientId(1), request(2, Operation::Read, 0, 512));
    device.take_all(&mut table);
    table.set_deadline(20);
    table.submit(ClientId(2), request(3, Operation::Write, 512, 512));
    device.take_all(&mut table);
    assert!(table.has_timeless());
    table.set_deadline(25);
    assert!(!table.has_timeless());
    // One of them is answered in time.
    assert!(
        device
            .complete(1, &mut table)
            .is_some_and(|a| a.cookie == 2)
    );
    assert_eq!(table.next_deadline(), Some(20));
    assert_eq!(table.expire(19, Status::IoError).count, 0);
    let expired = table.expire(20, Status::IoError);
    assert_eq!(cookies(&expired.finished), [1]);
    // The instance still has it, and must not carry it out any more.
    assert!(expired.issued);
    let late = table.complete(device.entries[0].tag, Status::Ok, &[]);
    assert!(matches!(late, Err(Violation::UnknownTag(_))));
    device.replace();
    assert_eq!(table.next_deadline(), Some(25));
    let answered = run_dry(&mut device, &mut table);
    assert_eq!(answered.iter().map(|a| a.cookie).collect::<Vec<_>>(), [3]);
    assert_eq!(table.next_deadline(), None);
}

#[test]
fn what_no_instance_has_fails_without_harm_to_one() {
    let (mut device, mut table) = (Device::new(), table());
    table.submit(ClientId(1), request(1, Operation::Write, 0, 512));
    table.set_deadline(20);
    table.submit(ClientId(2), request(2, Operation::Write, 0, 512));
    let expired = table.expire(20, Status::IoError);
    assert_eq!(
        (cookies(&expired.finished), expired.issued),
        (vec![1], false)
    );
    assert_eq!(run_dry(&mut device, &mut table).len(), 1);
}

#[test]
fn neither_a_later_deadline_nor_another_instance_makes_it_longer() {
    let (mut device, mut table) = (Device::new(), table());
    table.submit(ClientId(1), request(1, Operation::Write, 0, 512));
    for round in 0..5 {
        device.take_all(&mut table);
        table.set_deadline(30 + round);
        device.crash(&mut table);
        assert_eq!(table.next_deadline(), Some(30));
    }
    // But an earlier one holds.
    table.set_deadline(10);
    assert_eq!(table.next_deadline(), Some(10));
    assert_eq!(table.expire(10, Status::IoError).count, 1);
    assert!(table.is_empty() && table.next_deadline().is_none());
}

#[test]
fn a_client_that_left_takes_its_deadlines_with_it() {
    let (mut device, mut table) = (Device::new(), table());
    table.submit(ClientId(1), request(1, Operation::Write, 0, 512));
    device.take_all(&mut table);
    table.submit(ClientId(1), request(2, Operation::Write, 0, 512));
    table.set_deadline(20);
    table.forget(ClientId(1));
    // One of the two is still with the instance.
    assert_eq!((table.len(), table.next_deadline()), (1, Some(20)));
    let expired = table.expire(20, Status::IoError);
    assert!(expired.finished.is_empty() && expired.issued && expired.count == 1);
    assert!(table.is_empty() && table.outstanding() == 0);
}

#[test]
fn half_a_block_changed_can_be_due() {
    let (mut device, mut table) = (Device::new(), table());
    table.submit(ClientId(1), request(1, Operation::Write, 10, 20));
    table.submit(ClientId(1), request(2, Operation::Read, 0, 512));
    device.take_all(&mut table);
    table.set_deadline(20);
    // The block was read, and is not written yet.
    assert!(device.complete(0, &mut table).is_none());
    table.submit(ClientId(1), request(3, Operation::Read, 512, 512));
    assert_eq!(table.expire(20, Status::IoError).count, 2);
    device.replace();
    let answered = run_dry(&mut device, &mut table);
    assert_eq!(answered.iter().map(|a| a.cookie).collect::<Vec<_>>(), [3]);
}
