//! What clients are told when a host ends.

use std::io::Read as _;

use std::time::Duration;

use rustix::process::Signal;
use vcp_tests::nbd::Connection;
use vcp_tests::user::User;

/// ESHUTDOWN of the protocol.
const SHUTDOWN: u32 = 108;

/// Of sixty-four requests hardly any is taken off the socket when the host is told to
/// end; each is answered, and then the stream ends as it should.
#[test]
fn every_request_that_was_sent_is_answered() {
    let user = User::new();
    let host = user.ram("ram");
    user.say(&["set", "ram", "limit.iops=10", "limit.burst=10ms"]);
    let mut connection = Connection::of(&host.uri());
    for cookie in 0..64 {
        connection.begin_read(cookie, 0, 512).unwrap();
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    host.signal(Signal::TERM);
    let mut answered = vec![];
    let mut refused = 0;
    for _ in 0..64 {
        let (cookie, error) = connection.reply().expect("each is answered");
        answered.push(cookie);
        match error {
            0 => connection.skip(512).expect("with data"),
            SHUTDOWN => refused += 1,
            other => panic!("error {other}"),
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, (0..64).collect::<Vec<_>>());
    assert!(refused > 50, "{refused}");
    let rest = connection.stream().read(&mut [0]).expect("an orderly end");
    assert_eq!(rest, 0);
    host.shut_down();
}

/// Answers that a slow client has not taken by then are not cut off.
#[test]
fn answers_go_out_before_the_end() {
    const MIB: usize = 1 << 20;
    let user = User::new();
    let host = user.ram("ram");
    let mut connection = Connection::of(&host.uri());
    for cookie in 0..40 {
        connection.begin_read(cookie, 0, MIB).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    host.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(200));
    let mut done = 0;
    for _ in 0..40 {
        let (_, error) = connection.reply().expect("each is answered");
        match error {
            0 => {
                connection.skip(MIB).expect("all of its data");
                done += 1;
            }
            SHUTDOWN => {}
            other => panic!("error {other}"),
        }
    }
    // What is kept for a client, and what its socket had taken.
    assert!(done >= 8, "{done}");
    assert_eq!(
        connection.stream().read(&mut [0]).expect("an orderly end"),
        0
    );
    host.shut_down();
}

/// One that takes nothing keeps a host for two seconds, and no longer.
#[test]
fn who_takes_no_answers_does_not_keep_a_host() {
    let user = User::new();
    let host = user.ram("ram");
    let mut connection = Connection::of(&host.uri());
    for cookie in 0..31 {
        connection.begin_read(cookie, 0, 1 << 20).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    let began = std::time::Instant::now();
    host.shut_down();
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}
