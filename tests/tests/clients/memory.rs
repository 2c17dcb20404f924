//! Memory that is kept for clients has a bound, and who holds it without need gives it
//! up.

use std::time::{Duration, Instant};

use vcp_tests::nbd::Connection;
use vcp_tests::process::resident;
use vcp_tests::user::User;

const MIB: usize = 1 << 20;

/// Reads of a mebibyte whose answers nobody takes.
fn unread(uri: &str) -> Connection {
    let mut connection = Connection::of(uri);
    for cookie in 0..31 {
        connection
            .begin_read(cookie, 0, MIB)
            .expect("requests are small");
    }
    connection
}

/// A write of 32 MiB of which one is missing, as far as the host takes it.
fn stalled(uri: &str) -> Connection {
    let mut connection = Connection::of(uri);
    let limit = Some(Duration::from_millis(50));
    connection
        .stream()
        .set_write_timeout(limit)
        .expect("not zero");
    // What it does not take stays here.
    let _ = connection.begin_write(1, 0, 32 * MIB, &vec![1; 31 * MIB]);
    connection
}

#[test]
fn greedy_clients_hold_no_more_than_their_export_may_and_others_get_on() {
    let user = User::new();
    let host = user.host(&["ramdisk", "size=40MiB", "--name", "ram"]);
    let uri = host.uri();
    // As much as the disk and its area will ever take.
    user.clients()
        .qemu_io(&uri, &["write -P 1 0 40M", "read -P 1 0 40M"]);
    let before = resident(host.pid());
    let mut greedy: Vec<_> = (0..20).map(|_| unread(&uri)).collect();
    greedy.extend((0..4).map(|_| stalled(&uri)));
    std::thread::sleep(Duration::from_millis(500));
    let more = resident(host.pid()).saturating_sub(before) / MIB;
    // 64 MiB, what each may hold beside, and what the allocator makes of it.
    assert!(more < 64 + 24 + 64, "{more} MiB");
    let inspection = user.json(&["inspect", "ram"]);
    let memory = inspection["client-memory"].as_array().expect("a list");
    assert_eq!(memory.len(), 2, "of the export, and of the host");
    for pool in memory {
        let bytes = |key: &str| pool[key].as_u64().expect("a number");
        assert!(bytes("held") <= bytes("most"), "{pool}");
    }
    // Small requests at once, although everything is held; large ones when those who
    // keep it for nothing have been ended.
    let mut honest = Connection::of(&uri);
    let began = Instant::now();
    honest
        .write(0, &[3; 64 << 10])
        .expect("small ones are served");
    assert_eq!(honest.read(0, 4096).expect("and read"), [3; 4096]);
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    honest
        .write(0, &vec![5; 8 * MIB])
        .expect("large ones are served");
    // Each of those before it has five seconds.
    assert!(
        began.elapsed() < Duration::from_secs(40),
        "{:?}",
        began.elapsed()
    );
    let logs = host.logs();
    assert!(
        logs.contains("while others waited for the memory"),
        "{logs}"
    );
    drop(greedy);
    host.shut_down();
}

/// The clients that it would stand behind wait for much more, and two of them at a time
/// take all there is and nothing off their sockets.
#[test]
fn one_mebibyte_does_not_stand_behind_many() {
    let user = User::new();
    let host = user.host(&["ramdisk", "size=40MiB", "--name", "ram"]);
    let uri = host.uri();
    let greedy: Vec<_> = (0..60)
        .map(|_| {
            let mut connection = Connection::of(&uri);
            for cookie in 0..16 {
                connection.begin_read(cookie, 0, 32 * MIB).expect("asked");
            }
            connection
        })
        .collect();
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..3 {
        let mut honest = Connection::of(&uri);
        let began = Instant::now();
        honest.read(0, MIB).expect("it is served");
        let took = began.elapsed();
        println!("{took:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
    drop(greedy);
    host.shut_down();
}

/// As long as nobody wants its memory, one that reads nothing may stay.
#[test]
fn who_keeps_nobody_waiting_is_left_alone() {
    let user = User::new();
    let host = user.host(&["ramdisk", "size=40MiB", "--name", "ram"]);
    let mut idle = unread(&host.uri());
    std::thread::sleep(Duration::from_secs(8));
    for _ in 0..31 {
        let (_, error) = idle.reply().expect("it is still connected");
        assert_eq!(error, 0);
        idle.skip(MIB).expect("with data");
    }
    host.shut_down();
}
