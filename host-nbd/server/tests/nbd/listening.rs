//! Addresses, limits, and sockets left behind.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::host::{Host, TestExport};
use vcp_nbd::{Address, ServerError, ServerOptions};

fn disk() -> [(&'static str, TestExport); 1] {
    [("disk", TestExport::new(Disk::new(1 << 20, 512)))]
}

fn listen(address: Address) -> Result<Host, ServerError> {
    Host::with(Some(address), ServerOptions::default(), disk())
}

fn refusal(address: Address) -> String {
    listen(address)
        .err()
        .expect("it cannot listen there")
        .to_string()
}

pub(crate) fn path(host: &Host) -> PathBuf {
    let Address::Unix(path) = &host.address else {
        panic!()
    };
    path.clone()
}

pub(crate) fn greeted(mut stream: impl Read) -> bool {
    let mut greeting = [0; 18];
    stream.read_exact(&mut greeting).is_ok() && greeting.starts_with(b"NBDMAGICIHAVEOPT")
}

/// Waits for the other side to close.
pub(crate) fn closed(mut stream: impl Read) -> bool {
    let mut rest = vec![];
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn unix_sockets_are_private_and_removed() {
    let host = Host::new(disk());
    let path = path(&host);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(greeted(UnixStream::connect(&path).unwrap()));
    let keep = tempfile::tempdir().unwrap();
    let elsewhere = keep.path().join("s");
    let options = ServerOptions {
        access: vcp_nbd::Access {
            mode: 0o666,
            group: None,
        },
        ..ServerOptions::default()
    };
    let open = Host::with(Some(Address::Unix(elsewhere.clone())), options, disk()).unwrap();
    let mode = std::fs::metadata(&elsewhere).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    drop(open);
    assert!(!elsewhere.exists());
}

/// Needs a group that the process may give to a file; root may give any.
#[test]
fn a_unix_socket_gets_its_group_and_mode_before_anybody_can_connect() {
    use std::os::unix::fs::MetadataExt;
    let keep = tempfile::tempdir().unwrap();
    let path = keep.path().join("s");
    let own = std::fs::metadata(keep.path()).unwrap();
    let group = if own.uid() == 0 { 6 } else { own.gid() };
    let options = |mode, group| ServerOptions {
        access: vcp_nbd::Access { mode, group },
        ..ServerOptions::default()
    };
    let seen = || {
        let meta = std::fs::metadata(&path).unwrap();
        (meta.mode() & 0o777, meta.gid())
    };
    let bind = |options| Host::with(Some(Address::Unix(path.clone())), options, disk());
    let host = bind(options(0o660, Some(group))).unwrap();
    assert_eq!(seen(), (0o660, group));
    assert!(greeted(UnixStream::connect(&path).unwrap()));
    // The mode is changed while the server listens, and back.
    host.change(options(0o606, None)).unwrap();
    assert_eq!(seen(), (0o606, own.gid()));
    host.change(options(0o600, Some(group))).unwrap();
    assert_eq!(seen(), (0o600, group));
    drop(host);
    // A failure names the address and the group, and leaves no socket.
    if own.uid() != 0 {
        let message = bind(options(0o660, Some(0))).err().unwrap().to_string();
        assert!(
            message.contains("the group 0") && message.contains("unix:"),
            "{message}"
        );
    }
    assert!(!path.exists());
}

#[test]
fn a_socket_of_somebody_else_is_not_removed() {
    let keep = tempfile::tempdir().unwrap();
    let path = keep.path().join("s");
    let host = listen(Address::Unix(path.clone())).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(host);
    assert!(path.exists());
}

#[test]
fn stale_sockets_are_replaced_and_live_ones_are_not() {
    let keep = tempfile::tempdir().unwrap();
    let path = keep.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let host = listen(Address::Unix(path.clone())).unwrap();
    assert!(greeted(UnixStream::connect(&path).unwrap()));
    let message = refusal(Address::Unix(path.clone()));
    assert!(
        message.contains(path.to_str().unwrap()) && message.contains("in use"),
        "{message}"
    );
    assert!(
        greeted(UnixStream::connect(&path).unwrap()),
        "the first is still there"
    );
    drop(host);

    std::fs::write(&path, "precious").unwrap();
    let message = refusal(Address::Unix(path.clone()));
    assert!(message.contains("not a socket"), "{message}");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn other_errors_name_the_address() {
    let message = refusal(Address::Unix("/nonexistent/dir/s".into()));
    assert!(message.contains("unix:/nonexistent/dir/s"), "{message}");
    let long = format!("/tmp/{}", "x".repeat(200));
    assert!(refusal(Address::Unix(long.clone().into())).contains(&long));
    let message = refusal(Address::Tcp {
        host: "192.0.2.1".into(),
        port: 1,
    });
    assert!(message.contains("tcp:192.0.2.1:1"), "{message}");
}

#[test]
fn tcp_on_both_families() {
    for family in ["127.0.0.1", "::1"] {
        let host = listen(Address::Tcp {
            host: family.into(),
            port: 0,
        })
        .unwrap();
        let Address::Tcp { port, .. } = host.address else {
            panic!()
        };
        assert_ne!(port, 0);
        assert!(greeted(TcpStream::connect((family, port)).unwrap()));
        let message = refusal(host.address.clone());
        assert!(message.contains(&host.address.to_string()), "{message}");
        assert!(message.contains("in use"), "{message}");
    }
}

#[test]
fn a_client_that_dawdles_is_dropped() {
    let options = ServerOptions {
        negotiation_limit: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let host = Host::with(None, options, disk()).unwrap();
    let mut stream = UnixStream::connect(path(&host)).unwrap();
    assert!(greeted(&mut stream));
    stream.write_all(b"\0\0\0\x03IHAVE").unwrap();
    let begun = Instant::now();
    assert!(closed(stream));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn noise_ends_only_its_own_connection() {
    let host = Host::new(disk());
    let mut seed = 1_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    };
    let mut good = UnixStream::connect(path(&host)).unwrap();
    assert!(greeted(&mut good));
    good.write_all(b"\0\0\0\x03IHAVEOPT\0\0\0\x01\0\0\0\0")
        .unwrap();
    good.read_exact(&mut [0; 10]).unwrap();
    for start in [
        &b""[..],
        b"\0\0\0\x03",
        b"\0\0\0\x03IHAVEOPT\0\0\0\x01\0\0\0\0",
    ] {
        for _ in 0..20 {
            let mut stream = UnixStream::connect(path(&host)).unwrap();
            assert!(greeted(&mut stream));
            stream.write_all(start).unwrap();
            // The server may close the connection before it has taken all.
            let _ = stream.write_all(&noise(4096));
            assert!(closed(stream));
        }
    }
    flush(&mut good);
}

#[test]
fn a_server_that_ends_keeps_its_transmitting_clients() {
    let keep = tempfile::tempdir().unwrap();
    let path = keep.path().join("s");
    let export = std::sync::Arc::new(TestExport::new(Disk::new(1 << 20, 512)));
    let exports = crate::host::TestExports([("disk".to_owned(), export)].into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let exports = std::sync::Arc::new(exports);
    let (mut stream, mut negotiating) = runtime.block_on(async {
        let address = Address::Unix(path.clone());
        let bound = vcp_nbd::Server::bind(&address, exports.clone(), ServerOptions::default());
        let server = bound.await.unwrap();
        let talk = tokio::task::spawn_blocking(move || {
            let negotiating = UnixStream::connect(&path).unwrap();
            assert!(greeted(&negotiating));
            let mut stream = UnixStream::connect(&path).unwrap();
            assert!(greeted(&stream));
            stream
                .write_all(b"\0\0\0\x03IHAVEOPT\0\0\0\x01\0\0\0\0")
                .unwrap();
            stream.read_exact(&mut [0; 10]).unwrap();
            // The processor answers a flush, so it has the connection.
            flush(&mut stream);
            (stream, negotiating)
        });
        let streams = talk.await.unwrap();
        drop(server);
        tokio::task::yield_now().await;
        streams
    });
    drop(runtime);
    flush(&mut stream);
    assert_eq!(negotiating.read(&mut [0]).unwrap(), 0);
}

pub(crate) fn flush(stream: &mut UnixStream) {
    let mut request = [0; 28];
    request[..4].copy_from_slice(&[0x25, 0x60, 0x95, 0x13]);
    request[7] = 3;
    stream.write_all(&request).unwrap();
    let mut reply = [0; 16];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..8], [0x67, 0x44, 0x66, 0x98, 0, 0, 0, 0]);
}
