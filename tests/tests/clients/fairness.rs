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
