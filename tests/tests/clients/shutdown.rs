//! What clients are told when a host ends.

use std::io::Read as _;

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
