//! Serves a target on a TCP listener of the host, with a thread for each connection and
//! non-blocking sockets.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::event::{Event, wait};
use crate::{Connection, Target};

/// How long a closed connection waits for the peer to hang up.
const LINGER: Duration = Duration::from_secs(1);

/// The most connections at a time; further ones are closed.
const MAX_CONNECTIONS: usize = 1024;

/// A target being served. Stops, and waits for its threads, when dropped.
#[derive(Debug)]
pub struct TcpServer {
    address: SocketAddr,
    stop: Arc<Event>,
    thread: Option<JoinHandle<()>>,
}

impl TcpServer {
    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Serves `target` to whoever connects to `listener`.
///
/// # Errors
/// When the listener, an event or a thread cannot be set up.
pub fn serve_tcp(listener: TcpListener, target: Arc<Target>) -> io::Result<TcpServer> {
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let stop = Arc::new(Event::new()?);
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name("target-accept".into())
        .spawn(move || accept(&listener, &target, &stopped))?;
    Ok(TcpServer {
        address,
        stop,
        thread: Some(thread),
    })
}

/// Accepts until told to stop, and then waits for the connections' threads.
fn accept(listener: &TcpListener, target: &Arc<Target>, stop: &Arc<Event>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let mut fds = [
            PollFd::new(listener, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        if wait(&mut fds, None).is_err() || fds[1].revents().contains(PollFlags::IN) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        match listener.accept() {
            Ok((stream, peer)) if threads.len() < MAX_CONNECTIONS => {
                let (target, stop) = (Arc::clone(target), Arc::clone(stop));
                let thread = std::thread::Builder::new()
                    .name("target-session".into())
                    // If a connection fails, only its peer need know.
                    .spawn(move || drop(serve(&stream, peer, target, &stop)));
                threads.extend(thread);
            }
            // The process is out of descriptors: give the others time to end.
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => {}
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Drives one connection until it or its peer ends it.
fn serve(
    stream: &TcpStream,
    peer: SocketAddr,
    target: Arc<Target>,
    stop: &Event,
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let start = Instant::now();
    let portal = stream.local_addr()?.to_string();
    let mut connection = Connection::new(target, &portal, &peer.to_string(), Duration::ZERO);
    let wake = Arc::new(Event::new()?);
    let waker = Arc::clone(&wake);
    connection.set_waker(Box::new(move || waker.raise()));
    loop {
        let open = read_some(stream, &mut connection, start)?;
        write_some(stream, &mut connection)?;
        if !open {
            return Ok(());
        }
        if connection.is_over() {
            return hang_up(stream, stop);
        }
        let now = start.elapsed();
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::IN, connection.wants_input());
        interest.set(PollFlags::OUT, !connection.output().is_empty());
        let mut fds = [
            PollFd::new(stream, interest),
            PollFd::new(&wake, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        wait(
            &mut fds,
            connection.deadline().map(|due| due.saturating_sub(now)),
        )?;
        if fds[2].revents().contains(PollFlags::IN) {
            return Ok(());
        }
        wake.lower();
        connection.tick(start.elapsed());
    }
}

/// Reads once, unless too much output waits; false at the end of the stream.
fn read_some(
    mut stream: &TcpStream,
    connection: &mut Connection,
    start: Instant,
) -> io::Result<bool> {
    if !connection.wants_input() {
        return Ok(true);
    }
    match stream.read(connection.spare()) {
        Ok(0) => Ok(false),
        Ok(count) => {
            connection.received(start.elapsed(), count);
            Ok(true)
        }
        Err(error) if is_transient(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

fn write_some(mut stream: &TcpStream, connection: &mut Connection) -> io::Result<()> {
    while !connection.output().is_empty() {
        match stream.write(connection.output()) {
            Ok(count) => connection.sent(count),
            Err(error) if is_transient(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Closes so that the peer can read the last output: closing a socket with unread bytes
/// resets the connection.
fn hang_up(mut stream: &TcpStream, stop: &Event) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let end = Instant::now() + LINGER;
    let mut rest = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let mut fds = [
            PollFd::new(stream, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        wait(&mut fds, Some(left))?;
        if left.is_zero() || fds[1].revents().contains(PollFlags::IN) {
            return Ok(());
        }
        match stream.read(&mut rest) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if is_transient(&error) => {}
            Err(error) => return Err(error),
        }
    }
}
