//! `GET /metrics` for programs of this machine: HTTP/1.1 over a loopback address.
//!
//! There is no authentication: every user of the machine can read what is served.
//! So an address that others could reach is refused, and nothing that is served is
//! secret. A connection is one request of at most 8 KiB, lasts 5 s at most, and
//! there are at most 8 at a time; others wait in the kernel's queue.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::prometheus::prometheus;
use crate::snapshot::Snapshot;

/// The largest request, in bytes.
const LARGEST_REQUEST: usize = 8 << 10;

/// How long a connection may last.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most connections at a time.
const MOST_CONNECTIONS: usize = 8;

/// Why metrics can't be served at an address. Its `Display` is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no address.
    #[error(
        "expected tcp:ADDRESS:PORT with an address of this machine's own, such as tcp:127.0.0.1:9400 or tcp:[::1]:9400, found {0}"
    )]
    Invalid(String),
    /// Others could reach it.
    #[error(
        "{0} is no loopback address: metrics are served without authentication, to this machine only; use 127.0.0.1 or ::1"
    )]
    NotLoopback(std::net::IpAddr),
}

/// Reads `tcp:ADDRESS:PORT`; port 0 is one that the kernel picks.
pub fn address(text: &str) -> Result<SocketAddr, AddressError> {
    let shown = || format!("{:?}", text.chars().take(64).collect::<String>());
    let address: SocketAddr = text
        .strip_prefix("tcp:")
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| AddressError::Invalid(shown()))?;
    if !address.ip().is_loopback() {
        return Err(AddressError::NotLoopback(address.ip()));
    }
    Ok(address)
}

/// Serves a snapshot, taken anew for each request, for as long as the future lives. It
/// returns only if `listener` is not on a loopback address, as [`address`] would have it, or
/// has no address.
pub async fn serve(
    listener: TcpListener,
    snapshot: impl Fn() -> Snapshot + Send + Sync + 'static,
) -> io::Result<Infallible> {
    let local = listener.local_addr()?;
    if !local.ip().is_loopback() {
        let why = AddressError::NotLoopback(local.ip());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let snapshot = Arc::new(snapshot);
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    // Ends all connections when this future is dropped.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = Arc::clone(&room)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("metrics: accepting: {error}");
                // The process is out of descriptors, most likely, which may pass.
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let snapshot = Arc::clone(&snapshot);
        connections.spawn(async move {
            converse(stream, &*snapshot).await;
            drop(permit);
        });
    }
}

/// One connection, which ends after one request.
async fn converse(stream: TcpStream, snapshot: &(impl Fn() -> Snapshot + Sync)) {
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(answer(&request, snapshot))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(LARGEST_REQUEST)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(PATIENCE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("metrics: {error}"),
        Err(_) => tracing::debug!("metrics: a client took longer than {PATIENCE:?}"),
    }
}

fn answer(request: &Request<Incoming>, snapshot: &impl Fn() -> Snapshot) -> Response<Full<Bytes>> {
    let respond = |status, kind: &'static str, body: String| {
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
        response
    };
    const PLAIN: &str = "text/plain; charset=utf-8";
    if request.uri().path() != "/metrics" {
        let body = "There is only /metrics here.\n";
        return respond(StatusCode::NOT_FOUND, PLAIN, body.to_owned());
    }
    if request.method() != Method::GET {
        let body = "Metrics can only be read, with GET.\n";
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, PLAIN, body.to_owned());
        let get = hyper::header::HeaderValue::from_static("GET");
        response.headers_mut().insert(ALLOW, get);
        return response;
    }
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    respond(StatusCode::OK, kind, prometheus(&snapshot()))
}
