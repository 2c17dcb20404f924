//! Which clients are served when they ask for more than the device does.

use super::*;

/// Which clients' entries go to the device, one at a time, until `count` have.
fn served(table: &mut Table, count: usize) -> Vec<(u64, u32)> {
    let mut device = Device::new();
    let mut served = Vec::new();
    while served.len() < count {
        let Some((entry, _)) = table.next(&mut device.area) else {
            break;
        };
        device.area.give_back(entry.loan.unwrap());
        let data = vec![0; entry.length as usize];
        let (_, finished) = table.complete(entry.tag, Status::Ok, &data).unwrap();
        // A request of several entries is finished with its last.
        let client = finished.map_or(u64::MAX, |finished| finished.client.0);
        served.push((client, entry.length));
    }
    served
}

fn reads(table: &mut Table, client: u64, count: u64, length: u32) {
    for cookie in 0..count {
        let read = request(cookie, Operation::Read, 0, length);
        table.submit(ClientId(client), read);
    }
}

fn one_at_a_time() -> Table {
    let mut table = Table::new(Limits {
        depth: 1,
        ..Limits::default()
    });
    table.set_geometry(geometry());
    table
}

#[test]
fn one_request_beside_a_flood_is_next() {
    for flood in [1, 7] {
        let mut table = one_at_a_time();
        reads(&mut table, flood, 1000, 4096);
        served(&mut table, 100);
        reads(&mut table, 4, 1, 4096);
        let next = served(&mut table, 2);
        assert!(next.contains(&(4, 4096)), "{next:?}");
    }
}

#[test]
fn equal_clients_get_the_same() {
    let mut table = one_at_a_time();
    for client in [9, 2, 5] {
        reads(&mut table, client, 100, 4096);
    }
    let served = served(&mut table, 150);
    for client in [2, 5, 9] {
        let count = served.iter().filter(|(c, _)| *c == client).count();
        assert_eq!(count, 50);
    }
}

#[test]
fn large_requests_get_no_more_than_small_ones() {
    let mut table = one_at_a_time();
    reads(&mut table, 1, 100, 32 << 10);
    reads(&mut table, 2, 1000, 4096);
    let served = served(&mut table, 400);
    let small = served.iter().filter(|(client, _)| *client == 2).count();
    assert!((199..=201).contains(&small), "{small}");
}

#[test]
fn rest_is_not_saved_up() {
    let mut table = one_at_a_time();
    reads(&mut table, 1, 1000, 4096);
    served(&mut table, 500);
    // The client wanted nothing all that time, and is not ahead for it.
    reads(&mut table, 2, 500, 4096);
    let served = served(&mut table, 100);
    let late = served.iter().filter(|(client, _)| *client == 2).count();
    assert!((49..=51).contains(&late), "{late}");
}

#[test]
fn a_flush_that_waits_for_anothers_write_does_not_keep_it_back() {
    let mut device = Device::new();
    let mut table = one_at_a_time();
    table.submit(ClientId(2), request(1, Operation::Write, 0, 4096));
    table.submit(ClientId(1), request(2, Operation::Flush, 0, 0));
    device.take_all(&mut table);
    device.crash(&mut table);
    // The writer was charged before, so it is the other's turn.
    let answered = run_dry(&mut device, &mut table);
    let order: Vec<_> = answered.iter().map(|answer| answer.cookie).collect();
    assert_eq!(order, [1, 2]);
}
