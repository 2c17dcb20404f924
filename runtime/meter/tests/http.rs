//! Requests for metrics over HTTP, valid and invalid.

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use vcp_meter::{http, prometheus};

/// Serves until it is dropped; each snapshot is a second later.
struct Metrics {
    address: SocketAddr,
    task: JoinHandle<()>,
    asked: Arc<AtomicU64>,
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn metrics() -> Metrics {
    let address = http::address("tcp:127.0.0.1:0").unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&asked);
    let snapshot = move || common::snapshot(count.fetch_add(1, Ordering::Relaxed));
    let task = tokio::spawn(async move {
        let ended = http::serve(listener, snapshot).await;
        panic!("{ended:?}");
    });
    Metrics {
        address,
        task,
        asked,
    }
}

/// Sends this, and returns all that comes.
async fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be turned away before it has said everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

fn request(line: &str) -> Vec<u8> {
    format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

#[tokio::test]
async fn metrics_are_served_anew_each_time() {
    let metrics = metrics().await;
    for second in 0..3 {
        let answer = ask(metrics.address, &request("GET /metrics")).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let kind = "content-type: text/plain; version=0.0.4; charset=utf-8";
        assert!(head.contains(kind), "{head}");
        assert_eq!(body, prometheus(&common::snapshot(second)));
    }
    let query = ask(metrics.address, &request("GET /metrics?name[]=x")).await;
    assert!(query.starts_with("HTTP/1.1 200 "), "{query}");
}

#[tokio::test]
async fn everything_else_is_refused() {
    let metrics = metrics().await;
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9000));
    for (sent, status) in [
        (request("GET /"), "404"),
        (request("GET /metrics/"), "404"),
        (request("GET /../metrics"), "404"),
        (request("POST /"), "404"),
        (request("POST /metrics"), "405"),
        (request("HEAD /metrics"), "405"),
        (request("DELETE /metrics"), "405"),
        (b"\x00\x01\r\n\r\n".to_vec(), "400"),
        (b"GET /metrics HTTP/9.9\r\n\r\n".to_vec(), "400"),
        (long.into_bytes(), "431"),
    ] {
        let answer = ask(metrics.address, &sent).await;
        let expected = format!("HTTP/1.1 {status} ");
        let sent = String::from_utf8_lossy(&sent);
        assert!(answer.starts_with(&expected), "{sent:.40}: {answer}");
        assert_eq!(
            answer.contains("allow: GET\r\n"),
            status == "405",
            "{answer}"
        );
    }
    assert_eq!(metrics.asked.load(Ordering::Relaxed), 0);
}

/// More silent clients than there is room for: they are sent away in time, and
/// those behind them are answered.
#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let metrics = metrics().await;
    let mut silent = Vec::new();
    for index in 0..8 {
        let mut stream = TcpStream::connect(metrics.address).await.unwrap();
        if index % 2 == 0 {
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost:")
                .await
                .unwrap();
        }
        silent.push(stream);
    }
    let begun = Instant::now();
    let request = request("GET /metrics");
    let answer = ask(metrics.address, &request);
    let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
    assert!(answer.unwrap().starts_with("HTTP/1.1 200 "));
    let waited = begun.elapsed();
    assert!(
        waited > Duration::from_secs(4),
        "there was room: {waited:?}"
    );
    for mut stream in silent {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest));
        let _ = ended.await.expect("it was closed");
    }
}

#[tokio::test]
async fn only_this_machine() {
    for (text, address) in [
        ("tcp:127.0.0.1:9400", "127.0.0.1:9400"),
        ("tcp:127.9.9.9:1", "127.9.9.9:1"),
        ("tcp:[::1]:9400", "[::1]:9400"),
    ] {
        assert_eq!(http::address(text), Ok(address.parse().unwrap()));
    }
    let error = |text: &str| http::address(text).unwrap_err().to_string();
    assert_eq!(
        error("tcp:0.0.0.0:9400"),
        "0.0.0.0 is no loopback address: metrics are served without authentication, to this machine only; use 127.0.0.1 or ::1"
    );
    for outside in ["tcp:[::]:1", "tcp:10.0.0.1:1", "tcp:[::ffff:127.0.0.1]:1"] {
        assert!(error(outside).contains("no loopback"), "{outside}");
    }
    assert_eq!(
        error("tcp:local\nhost:1"),
        "expected tcp:ADDRESS:PORT with an address of this machine's own, such as tcp:127.0.0.1:9400 or tcp:[::1]:9400, found \"tcp:local\\nhost:1\""
    );
    for bad in [
        "",
        "127.0.0.1:1",
        "tcp:127.0.0.1",
        "tcp:127.0.0.1:99999",
        "unix:/x",
    ] {
        assert!(error(bad).starts_with("expected tcp:"), "{bad}");
    }
    // A listener on such an address is refused however it came about.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let refused = http::serve(listener, || common::snapshot(0)).await;
    assert!(refused.unwrap_err().to_string().contains("no loopback"));
}
