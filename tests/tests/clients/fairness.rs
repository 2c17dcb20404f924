//! Clients of one export, and of one VCP, take turns.

use std::time::Duration;

use vcp_tests::nbd::Connection;
use vcp_tests::user::User;
use vcp_tests::vcp::Vcp;

use crate::flood::{Flood, counted, single_reads};

/// A RAM disk that lets so many requests a second pass, one at a time.
fn limited(user: &User, iops: u32) -> Vcp {
    let host = user.ram("ram");
    let iops = format!("limit.iops={iops}");
    user.say(&["set", "ram", &iops, "limit.burst=10ms"]);
    host
}

fn assert_same(counts: &[u64]) {
    let (least, most) = (counts.iter().min(), counts.iter().max());
    let (least, most) = (*least.expect("some"), *most.expect("some"));
    assert!(least > 20, "{counts:?}");
    assert!(most - least <= most / 10 + 2, "{counts:?}");
}

/// Requests of which only one at a time fits into what is kept for a client, and which
/// its socket takes in parts.
#[test]
fn requests_larger_than_a_clients_share_follow_each_other() {
    const LARGE: usize = 16 << 20;
    let user = User::new();
    let host = user.host(&["ramdisk", "size=64MiB", "--name", "ram"]);
    let mut connection = Connection::of(&host.uri());
    let limit = Some(Duration::from_secs(10));
    connection.stream().set_read_timeout(limit).unwrap();
    for cookie in 0..8 {
        connection.begin_read(cookie, 0, LARGE).unwrap();
    }
    for cookie in 8..200 {
        let (_, error) = connection.reply().expect("it goes on");
        assert_eq!(error, 0);
        connection.skip(LARGE).expect("with data");
        connection.begin_read(cookie, 0, LARGE).unwrap();
    }
    drop(connection);
    host.shut_down();
}

/// A round is a request of each: 20 ms. The one that came later has its turn in the
/// next, or the one after that.
#[test]
fn one_request_beside_a_limited_flood_is_answered_within_two_rounds() {
    let user = User::new();
    let host = limited(&user, 100);
    let uri = host.uri();
    let flood = Flood::start(&uri, 16, 4096);
    std::thread::sleep(Duration::from_millis(300));
    let times = single_reads(&uri, 15, Duration::from_millis(35));
    assert!(times[7] <= Duration::from_millis(40), "{times:?}");
    // What the machine does beside it can't be helped.
    assert!(times[14] <= Duration::from_millis(250), "{times:?}");
    drop(flood);
    host.shut_down();
}

#[test]
fn equal_clients_of_a_limited_export_get_the_same() {
    let user = User::new();
    let host = limited(&user, 500);
    let uri = host.uri();
    let floods = [(); 3].map(|()| {
        std::thread::sleep(Duration::from_millis(50));
        Flood::start(&uri, 16, 4096)
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_same(&counted(floods.each_ref(), Duration::from_secs(2)));
    drop(floods);
    host.shut_down();
}

/// Also where one keeps many more requests waiting than the other.
#[test]
fn depth_gives_no_advantage_at_a_limit() {
    let user = User::new();
    let host = limited(&user, 500);
    let uri = host.uri();
    let deep = Flood::start(&uri, 256, 4096);
    let shallow = Flood::start(&uri, 8, 4096);
    std::thread::sleep(Duration::from_millis(500));
    assert_same(&counted([&deep, &shallow], Duration::from_secs(2)));
    drop((deep, shallow));
    host.shut_down();
}

/// Two thousand requests are more than the table holds.
#[test]
fn one_request_beside_eight_floods_does_not_wait_for_them() {
    let user = User::new();
    let host = user.ram("ram");
    let uri = host.uri();
    let floods = [(); 8].map(|()| Flood::start(&uri, 256, 4096));
    std::thread::sleep(Duration::from_millis(500));
    let times = single_reads(&uri, 41, Duration::from_millis(5));
    drop(floods);
    assert!(times[20] <= Duration::from_millis(20), "{times:?}");
    assert!(times[40] <= Duration::from_secs(1), "{times:?}");
    host.shut_down();
}

/// Requests that the host answers by itself bring no other event with them: whoever had
/// to stop goes on all the same.
#[test]
fn many_requests_that_need_no_device_are_all_answered() {
    let user = User::new();
    let host = user.ram("ram");
    let mut connection = Connection::of(&host.uri());
    for cookie in 0..5000 {
        connection.begin_flush(cookie).expect("it takes requests");
    }
    let mut answered: Vec<u64> = (0..5000)
        .map(|_| {
            let (cookie, error) = connection.reply().expect("each is answered");
            assert_eq!(error, 0);
            cookie
        })
        .collect();
    answered.sort_unstable();
    assert!(answered.iter().copied().eq(0..5000));
    host.shut_down();
}

#[test]
fn large_reads_do_not_keep_small_ones_waiting() {
    let user = User::new();
    let host = user.ram("ram");
    let uri = host.uri();
    let alone = single_reads(&uri, 41, Duration::from_millis(5));
    let floods = [(); 2].map(|()| Flood::start(&uri, 31, 1 << 20));
    std::thread::sleep(Duration::from_millis(300));
    let times = single_reads(&uri, 41, Duration::from_millis(5));
    drop(floods);
    println!("alone {:?}, beside {:?}", alone[20], times[20]);
    assert!(times[20] <= Duration::from_millis(30), "{times:?}");
    host.shut_down();
}

/// What is set holds at once, also for those who wait for what was set before.
#[test]
fn a_limit_that_is_lifted_lets_those_go_on_that_wait() {
    let user = User::new();
    let host = user.ram("ram");
    user.say(&["set", "ram", "limit.bytes=64KiB"]);
    let mut connection = Connection::of(&host.uri());
    // Two minutes' worth.
    connection.read(0, 8 << 20).expect("it passes at once");
    connection.begin_read(1, 0, 512).expect("it takes requests");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(
        user.json(&["clients", "ram"])["clients"][0]["waits"],
        "for its limit"
    );
    user.say(&["set", "ram", "limit.bytes=none"]);
    let began = std::time::Instant::now();
    assert_eq!(connection.reply().expect("it is answered"), (1, 0));
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    host.shut_down();
}

/// What the host answers by itself is asked no more often than a limit says.
#[test]
fn requests_that_are_refused_count_for_the_limit() {
    let user = User::new();
    let host = limited(&user, 100);
    let mut connection = Connection::of(&host.uri());
    let began = std::time::Instant::now();
    for cookie in 0..60 {
        // Beyond the end of the disk.
        connection
            .begin_read(cookie, 1 << 40, 512)
            .expect("it takes requests");
    }
    for _ in 0..60 {
        let (_, error) = connection.reply().expect("each is answered");
        assert_eq!(error, 22);
    }
    assert!(
        began.elapsed() > Duration::from_millis(400),
        "{:?}",
        began.elapsed()
    );
    host.shut_down();
}

/// A device does its work at once, and is given no more than it can do in time.
#[test]
fn a_batch_of_zeroes_is_not_too_much_for_a_disk() {
    let user = User::new();
    let host = user.host(&["ramdisk", "size=256MiB", "--name", "ram"]);
    let uri = host.uri();
    let mut connection = Connection::of(&uri);
    for cookie in 0..64 {
        connection
            .begin_zeroes(cookie, 0, 256 << 20)
            .expect("it takes requests");
    }
    for _ in 0..64 {
        let (_, error) = connection.reply().expect("each is answered");
        assert_eq!(error, 0);
    }
    assert_eq!(user.json(&["inspect", "ram"])["faults"], 0);
    host.shut_down();
}

/// As many parts of blocks as the device may have at a time, and more.
#[test]
fn a_flood_of_single_bytes_is_answered() {
    let user = User::new();
    let host = user.ram("ram");
    let mut connection = Connection::of(&host.uri());
    for round in 0..4_u64 {
        for cookie in 0..256_u64 {
            let offset = 4096 * cookie + 512 * round + 5;
            connection
                .begin_write(cookie, offset, 1, &[7])
                .expect("it takes requests");
        }
        for _ in 0..256 {
            let (_, error) = connection.reply().expect("each is answered");
            assert_eq!(error, 0);
        }
    }
    let read = connection.read(4096, 512).expect("it is served");
    assert_eq!((read[4], read[5], read[6]), (0, 7, 0));
    host.shut_down();
}
