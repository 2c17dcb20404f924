//! TCP peers that vanish without a word. Needs root: the peer is in a network namespace
//! of its own, and its cable is cut.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::disk::Disk;
use crate::host::{Host, TestExport};
use crate::requires;
use vcp_nbd::{Address, ServerOptions};

/// A network namespace and a wire to it; both end when this is dropped.
struct Wire {
    name: String,
    /// The addresses of this end and of the other.
    ends: [String; 2],
}

fn must(words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).status();
    assert!(status.is_ok_and(|status| status.success()), "{words:?}");
}

impl Wire {
    fn new(subnet: u8) -> Self {
        let pid = std::process::id();
        let name = format!("nbd{}{subnet}", pid % 10_000_000);
        // The network is one for tests of devices (RFC 2544); its number differs between
        // two programs at once.
        let base = format!("198.18.{}", pid % 256);
        let end = |host: u8| format!("{base}.{}", u32::from(subnet) * 4 + u32::from(host));
        let wire = Self {
            name,
            ends: [end(1), end(2)],
        };
        let (here, there) = (format!("{}a", wire.name), format!("{}b", wire.name));
        must(&["ip", "netns", "add", &wire.name]);
        must(&[
            "ip", "link", "add", &here, "type", "veth", "peer", "name", &there, "netns", &wire.name,
        ]);
        must(&[
            "ip",
            "addr",
            "add",
            &format!("{}/30", wire.ends[0]),
            "dev",
            &here,
        ]);
        must(&["ip", "link", "set", &here, "up"]);
        let far = format!("{}/30", wire.ends[1]);
        must(&["ip", "-n", &wire.name, "addr", "add", &far, "dev", &there]);
        must(&["ip", "-n", &wire.name, "link", "set", &there, "up"]);
        wire
    }

    /// Cuts the wire: nothing gets through any more, and nobody is told.
    fn cut(&self) {
        let there = format!("{}b", self.name);
        must(&["ip", "-n", &self.name, "link", "set", &there, "down"]);
    }

    /// A client at the other end that is served and then silent; `more` is what it sends
    /// before.
    fn client(&self, port: u16, more: &str) -> Peer {
        let script = format!(
            "
import socket, sys, time
s = socket.create_connection(('{}', {port}))
assert len(s.recv(18, socket.MSG_WAITALL)) == 18
s.sendall(b'\\0\\0\\0\\x03IHAVEOPT\\0\\0\\0\\x01\\0\\0\\0\\x04disk')
assert len(s.recv(10, socket.MSG_WAITALL)) == 10
{more}
print('served', flush=True)
time.sleep(600)
",
            self.ends[0]
        );
        let mut child = Command::new("ip")
            .args([
                "netns",
                "exec",
                &self.name,
                "/usr/bin/python3",
                "-c",
                &script,
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        assert_eq!(line, "served\n");
        Peer(child)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let here = format!("{}a", self.name);
        for words in [["link", "del", &here], ["netns", "del", &self.name]] {
            let _ = Command::new("ip").args(words).status();
        }
    }
}

struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn host(wire: &Wire, keep_alive: Option<Duration>) -> (Host, u16) {
    let options = ServerOptions {
        max_connections: 1,
        keep_alive,
        ..ServerOptions::default()
    };
    let address = Address::Tcp {
        host: wire.ends[0].clone(),
        port: 0,
    };
    let disk = TestExport::new(Disk::new(64 << 20, 512));
    let host = Host::with(Some(address), options, [("disk", disk)]).unwrap();
    let Address::Tcp { port, .. } = host.address else {
        panic!()
    };
    (host, port)
}

/// Whether another client is served within `limit`.
fn there_is_room(host: &Host, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    let uri = host.uri("disk");
    loop {
        let nbdinfo = Command::new("nbdinfo")
            .args(["--size", &uri])
            .stderr(Stdio::null())
            .output();
        if nbdinfo.unwrap().status.success() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: a network of its own needs root");
    }
    root
}

#[test]
fn who_is_cut_off_gives_its_place_back() {
    requires!("ip", "nbdinfo", "python3");
    if !root() {
        return;
    }
    let wire = Wire::new(1);
    let (host, port) = host(&wire, Some(Duration::from_secs(3)));
    let _peer = wire.client(port, "");
    // The client is silent but alive, so it stays for longer than that.
    assert!(!there_is_room(&host, Duration::from_secs(6)));
    wire.cut();
    let begun = Instant::now();
    assert!(there_is_room(&host, Duration::from_secs(20)));
    assert!(begun.elapsed() > Duration::from_secs(1));
}

#[test]
fn who_is_cut_off_stays_without_keep_alive() {
    requires!("ip", "nbdinfo", "python3");
    if !root() {
        return;
    }
    let wire = Wire::new(2);
    let (host, port) = host(&wire, None);
    let _peer = wire.client(port, "");
    wire.cut();
    assert!(!there_is_room(&host, Duration::from_secs(8)));
}

#[test]
fn who_takes_no_answers_is_gone_too() {
    requires!("ip", "nbdinfo", "python3");
    if !root() {
        return;
    }
    let wire = Wire::new(3);
    let (host, port) = host(&wire, Some(Duration::from_secs(3)));
    // The client asks for 32 MiB that it never reads.
    let asks = "s.sendall(bytes.fromhex('25609513') + bytes(20) + (32 << 20).to_bytes(4, 'big'))";
    let _peer = wire.client(port, asks);
    assert!(there_is_room(&host, Duration::from_secs(40)));
}
