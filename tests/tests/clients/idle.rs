//! Half a request has its time; silence has none.

use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use vcp_tests::nbd::Connection;
use vcp_tests::user::User;

const CONFIGURATION: &str = "\
[host]
nbd = { half-request = \"700ms\" }
[vcp.ram]
module = \"ramdisk\"
config = { size = \"40MiB\" }
[export.ram]
";

/// How long until the host ends it.
fn ends(connection: &mut Connection) -> Duration {
    let began = Instant::now();
    connection.reply().expect_err("nothing was asked for whole");
    began.elapsed()
}

#[test]
fn half_a_request_ends_its_connection_and_silence_does_not() {
    let user = User::new();
    fs::write(user.dir().join("host.toml"), CONFIGURATION).expect("writing a file");
    let host = user.host(&["host.toml"]);
    let uri = host.uri();
    let mut silent = Connection::of(&uri);
    let mut header = Connection::of(&uri);
    (&mut header.stream())
        .write_all(&[0x25, 0x60, 0x95])
        .unwrap();
    let mut payload = Connection::of(&uri);
    payload.begin_write(1, 0, 4096, &[7; 4095]).unwrap();
    // A byte now and then is as good as nothing.
    let mut trickling = Connection::of(&uri);
    trickling.begin_write(1, 0, 8 << 20, &[7; 4096]).unwrap();
    let trickle = trickling.stream().try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        while (&trickle).write_all(&[7]).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // One that is slow and gets on is left alone: 64 KiB every 100 ms.
    let slow = Connection::of(&uri);
    let steady = std::thread::spawn(move || {
        let mut slow = slow;
        slow.begin_write(1, 1 << 20, 2 << 20, &[]).unwrap();
        for _ in 0..32 {
            std::thread::sleep(Duration::from_millis(100));
            (&mut slow.stream())
                .write_all(&[9; 64 << 10])
                .expect("it is left alone");
        }
        assert_eq!(slow.reply().expect("it is answered"), (1, 0));
    });
    for connection in [&mut header, &mut payload, &mut trickling] {
        assert!(ends(connection) < Duration::from_secs(5));
    }
    writer.join().expect("it ends with its connection");
    steady.join().expect("the slow one");
    silent.read(0, 512).expect("silence may last");
    let logs = host.logs();
    let about = logs.lines().filter(|line| line.contains("half a request"));
    assert_eq!(about.count(), 3, "{logs}");
    host.shut_down();
}
