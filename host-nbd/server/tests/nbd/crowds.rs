//! More clients than there is room for: negotiating and served clients have separate
//! limits, and a client that holds a place for nothing loses it.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::host::{Host, TestExport};
use crate::listening::{closed, flush, greeted, path};
use crate::requires;
use crate::tool::{fails, run};
use vcp_nbd::ServerOptions;

const ENTER: &[u8] = b"\0\0\0\x03IHAVEOPT\0\0\0\x01\0\0\0\x04disk";
/// `NBD_OPT_GO` for "late".
const GO_LATE: &[u8] = b"\0\0\0\x03IHAVEOPT\0\0\0\x07\0\0\0\x0a\0\0\0\x04late\0\0";
/// Longer than a client may make the server wait when there are too many.
const LONG: Duration = Duration::from_millis(1200);

fn host(max_connections: usize, max_negotiations: usize) -> Host {
    let options = ServerOptions {
        max_connections,
        max_negotiations,
        ..ServerOptions::default()
    };
    let disk = || TestExport::new(Disk::new(1 << 20, 512));
    Host::with(
        None,
        options,
        [("disk", disk()), ("late", disk().never_ready())],
    )
    .unwrap()
}

fn connect(host: &Host) -> UnixStream {
    let stream = UnixStream::connect(path(host)).unwrap();
    let limit = Some(Duration::from_secs(20));
    stream.set_read_timeout(limit).unwrap();
    stream
}

/// A client that the server has begun to negotiate with.
fn negotiating(host: &Host) -> UnixStream {
    let stream = connect(host);
    assert!(greeted(&stream));
    stream
}

fn enter(stream: &mut UnixStream) -> bool {
    stream.write_all(ENTER).is_ok() && stream.read_exact(&mut [0; 10]).is_ok()
}

/// A client that is served.
fn served(host: &Host) -> UnixStream {
    let mut stream = negotiating(host);
    assert!(enter(&mut stream));
    flush(&mut stream);
    stream
}

fn open(stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let open = match (&*stream).read(&mut [0; 512]) {
        Ok(count) => count > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    stream.set_nonblocking(false).unwrap();
    open
}

/// How many of the streams are closed. Waits until there are as many as expected, as a
/// client may be dropped a little after the newcomer is served.
fn gone(streams: &[UnixStream], expected: usize) -> usize {
    let begun = Instant::now();
    loop {
        let gone = streams.iter().filter(|stream| !open(stream)).count();
        if gone >= expected || begun.elapsed() > LONG {
            return gone;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_silent_lock_nobody_out() {
    let host = host(8, 8);
    let silent: Vec<_> = (0..8).map(|_| negotiating(&host)).collect();
    std::thread::sleep(LONG);
    let begun = Instant::now();
    let mut honest: Vec<_> = (0..5).map(|_| served(&host)).collect();
    assert!(begun.elapsed() < Duration::from_secs(5));
    // The served client is no longer counted among those that negotiate, so one had to
    // go.
    assert_eq!(gone(&silent, 1), 1);
    assert!(!open(&silent[7]), "the newest of them");
    honest.iter_mut().for_each(flush);
}

#[test]
fn talking_slowly_keeps_no_place() {
    let host = host(8, 4);
    let mut slow: Vec<_> = (0..4).map(|_| negotiating(&host)).collect();
    // Each client sends a byte now and then: none is silent for as long as a second.
    for _ in 0..6 {
        for stream in &mut slow {
            stream.write_all(b"\0").unwrap();
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    served(&host);
    assert_eq!(gone(&slow, 1), 1);
}

#[test]
fn asking_without_end_keeps_no_place() {
    let host = host(8, 2);
    let mut askers: Vec<_> = (0..2).map(|_| negotiating(&host)).collect();
    for stream in &mut askers {
        stream.write_all(b"\0\0\0\x03").unwrap();
    }
    // Each client asks for a list now and then, and reads it to its end.
    for _ in 0..6 {
        for stream in &mut askers {
            stream.write_all(b"IHAVEOPT\0\0\0\x03\0\0\0\0").unwrap();
        }
        std::thread::sleep(Duration::from_millis(250));
        askers.iter().for_each(|stream| assert!(open(stream)));
    }
    served(&host);
    assert_eq!(gone(&askers, 1), 1);
}

#[test]
fn not_reading_keeps_no_place() {
    let host = host(8, 1);
    let mut deaf = negotiating(&host);
    deaf.write_all(b"\0\0\0\x03").unwrap();
    deaf.set_nonblocking(true).unwrap();
    // The client asks for lists that it never reads, until nothing more is taken.
    let list = b"IHAVEOPT\0\0\0\x03\0\0\0\0".repeat(200);
    let _ = deaf.write(&list);
    std::thread::sleep(LONG);
    served(&host);
}

#[test]
fn waiting_for_an_export_keeps_out_nobody_whose_export_is_ready() {
    let host = host(8, 2);
    let mut waiting: Vec<_> = (0..2).map(|_| negotiating(&host)).collect();
    for stream in &mut waiting {
        stream.write_all(GO_LATE).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(LONG);
    served(&host);
    assert!(open(&waiting[0]), "the first to wait stays");
    assert_eq!(gone(&waiting[1..], 1), 1);
}

#[test]
fn nobody_in_the_middle_of_it_goes_for_a_newcomer() {
    let host = host(8, 2);
    let mut busy: Vec<_> = (0..2).map(|_| negotiating(&host)).collect();
    for stream in &mut busy {
        stream
            .write_all(b"\0\0\0\x03IHAVEOPT\0\0\0\x63\0\0\0\0")
            .unwrap();
        // The answer to an unknown option shows that the server has noticed the client.
        stream.read_exact(&mut [0; 20 + 14]).unwrap();
    }
    assert!(closed(connect(&host)));
    for stream in &mut busy {
        stream.write_all(&ENTER[4..]).unwrap();
        stream.read_exact(&mut [0; 10]).unwrap();
        flush(stream);
    }
}

#[test]
fn those_served_are_limited_and_room_comes_back() {
    let host = host(2, 8);
    let mut held: Vec<_> = (0..2).map(|_| served(&host)).collect();
    // `EXPORT_NAME` has no error reply but the end of the connection.
    assert!(!enter(&mut negotiating(&host)));
    held.pop();
    let end = Instant::now() + Duration::from_secs(10);
    while !enter(&mut negotiating(&host)) {
        assert!(Instant::now() < end, "one that ended is still counted");
        std::thread::sleep(Duration::from_millis(5));
    }
    held.iter_mut().for_each(flush);
}

#[test]
fn limits_change_while_clients_are_there() {
    let host = host(1, 8);
    let mut first = served(&host);
    assert!(!enter(&mut negotiating(&host)));
    let options = ServerOptions {
        max_connections: 2,
        ..ServerOptions::default()
    };
    host.change(options.clone()).unwrap();
    let mut second = served(&host);
    host.change(ServerOptions {
        max_connections: 1,
        ..options
    })
    .unwrap();
    assert!(!enter(&mut negotiating(&host)));
    flush(&mut first);
    flush(&mut second);
}

#[test]
fn a_stock_client_is_told_why_it_is_not_served() {
    requires!("nbdinfo", "qemu-img");
    let options = ServerOptions {
        max_connections: 1,
        ..ServerOptions::default()
    };
    let disk = TestExport::new(Disk::new(1 << 20, 512));
    let host = Host::with(None, options, [("disk", disk)]).unwrap();
    let uri = host.uri("disk");
    run("nbdinfo", &["--size", &uri]);
    let end = Instant::now() + Duration::from_secs(10);
    let mut stream = loop {
        // The connection of nbdinfo may still be closing.
        let mut stream = negotiating(&host);
        if enter(&mut stream) {
            break stream;
        }
        assert!(Instant::now() < end);
    };
    flush(&mut stream);
    let message = fails("qemu-img", &["info", &uri]);
    assert!(
        message.contains("too many connections (limit 1)"),
        "{message}"
    );
    fails("nbdinfo", &[&uri]);
    // Asking without entering takes no place.
    run("nbdinfo", &["--list", &uri]);
    flush(&mut stream);
}
