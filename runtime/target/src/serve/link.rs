//! Serves a target at the end of a frame link, with a TCP/IP stack of its own: one
//! thread, run to completion. No privileges, no kernel network.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use vcp_netstack::{Checksum, Config, ConfigError, Congestion, Handle, ListenError, Stack, State};
use vcp_queue::{Link, Offload, Received, link::MAX_FRAME};

use super::event::{Event, wait};
use crate::{Connection, End, Target};

/// The most frames taken off the link before they are handled.
const BATCH: usize = 64;

/// The addresses and resources of a target on a link.
#[derive(Debug, Clone)]
pub struct LinkOptions {
    /// The addresses and prefix lengths, 1 to 8.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Default gateways, at most one for each family.
    pub gateways: Vec<IpAddr>,
    /// TCP port.
    pub port: u16,
    /// The bytes that each connection can hold received, and unacknowledged.
    pub buffer: usize,
    /// Whether to use congestion control, for links that lead beyond this process.
    pub congestion: bool,
}

impl LinkOptions {
    /// Uses iSCSI's own port, 1 MiB buffers, no gateway and no congestion control.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        Self {
            addresses: vec![(address, prefix)],
            gateways: Vec::new(),
            port: 3260,
            buffer: 1 << 20,
            congestion: false,
        }
    }
}

/// Why a link cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeLinkError {
    /// The addresses or sizes are invalid for a stack.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An event or a thread could not be made.
    #[error("starting the target: {0}")]
    Io(#[from] io::Error),
}

/// A target being served. Resets its connections, stops, and waits for its
/// thread, when dropped.
#[derive(Debug)]
pub struct LinkServer {
    stop: Arc<Event>,
    thread: Option<JoinHandle<()>>,
}

impl LinkServer {
    /// Whether the thread has ended, because the link is gone.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for LinkServer {
    fn drop(&mut self) {
        self.stop.raise();
        if let Some(thread) = self.thread.take() {
            // A panic has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

/// Serves `target` to whoever connects over `link`.
///
/// # Errors
/// See [`ServeLinkError`].
pub fn serve_link(
    link: Box<dyn Link>,
    options: &LinkOptions,
    target: Arc<Target>,
) -> Result<LinkServer, ServeLinkError> {
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(io::Error::from)?;
    let properties = link.properties();
    let mut config = Config::new(
        properties.mac,
        properties.mtu as usize,
        u64::from_ne_bytes(seed),
    );
    config.addresses.clone_from(&options.addresses);
    config.gateways.clone_from(&options.gateways);
    config.checksum_offload = properties.checksum_offload;
    config.segmentation_offload = properties.segmentation_offload;
    config.receive_buffer = options.buffer;
    config.send_buffer = options.buffer;
    config.max_connections = 64;
    if !options.congestion {
        config.congestion = Congestion::None;
    }
    let mut stack = Stack::new(config, 0)?;
    stack.listen(options.port)?;
    let stop = Arc::new(Event::new()?);
    let wake = Arc::new(Event::new()?);
    let host = options.addresses.first().map(|&(address, _)| address);
    let mut server = Server {
        link,
        stack,
        target,
        port: options.port,
        // The stack cannot be made without an address, so it has at least one.
        portal: host.map(|host| SocketAddr::new(host, options.port).to_string()),
        sessions: Vec::new(),
        start: Instant::now(),
        frame: vec![0; MAX_FRAME].into_boxed_slice(),
        unsent: 0,
        wake,
    };
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name("target-link".into())
        .spawn(move || {
            // The only error is that the link is gone, and with it the peer.
            let _ = server.run(&stopped);
            server.leave();
        })?;
    Ok(LinkServer {
        stop,
        thread: Some(thread),
    })
}

struct Server {
    link: Box<dyn Link>,
    stack: Stack,
    target: Arc<Target>,
    port: u16,
    portal: Option<String>,
    sessions: Vec<(Handle, Connection)>,
    start: Instant,
    frame: Box<[u8]>,
    /// The number of the arena's frames that the link has taken already.
    unsent: usize,
    wake: Arc<Event>,
}

impl Server {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn run(&mut self, stop: &Event) -> io::Result<()> {
        loop {
            self.take_frames()?;
            self.accept();
            self.serve();
            self.stack.poll(nanoseconds(self.now()));
            self.send_frames()?;
            if self.sleep(stop)? {
                return Ok(());
            }
        }
    }

    /// Feeds the stack with frames that wait on the link, at most one batch.
    fn take_frames(&mut self) -> io::Result<()> {
        let now = nanoseconds(self.now());
        for _ in 0..BATCH {
            let Some(Received { length, checksum }) = self.link.receive(&mut self.frame)? else {
                break;
            };
            let checksum = match checksum {
                vcp_queue::Checksum::Unverified => Checksum::Unverified,
                vcp_queue::Checksum::Verified => Checksum::Verified,
                vcp_queue::Checksum::Partial => Checksum::Partial,
            };
            self.stack.receive(now, &self.frame[..length], checksum);
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Some(handle) = self.stack.accept(self.port) {
            let peer = self.stack.peer(handle);
            let peer = peer.map_or_else(|| "unknown peer".to_owned(), |peer| peer.to_string());
            let portal = self.portal.as_deref().unwrap_or_default();
            let connection = Connection::new(Arc::clone(&self.target), portal, &peer, self.now());
            let wake = Arc::clone(&self.wake);
            connection.set_waker(Box::new(move || wake.raise()));
            self.sessions.push((handle, connection));
        }
    }

    /// Moves bytes between the stack and the connections.
    fn serve(&mut self) {
        let now = self.now();
        let stack = &mut self.stack;
        self.sessions.retain_mut(|(handle, connection)| {
            while connection.wants_input() {
                let taken = stack.recv(*handle, |bytes| {
                    connection.receive(now, bytes);
                    bytes.len()
                });
                if taken == 0 {
                    break;
                }
                send(stack, *handle, connection);
            }
            if connection.deadline().is_some_and(|due| due <= now) {
                connection.tick(now);
            }
            send(stack, *handle, connection);
            keep(stack, *handle, connection, nanoseconds(now))
        });
    }

    /// Gives as many of the arena's frames to the link as it takes.
    fn send_frames(&mut self) -> io::Result<()> {
        let (arena, frames) = self.stack.outgoing();
        for frame in &frames[self.unsent..] {
            let offload = Offload {
                checksum_start: frame.checksum_start,
                checksum_offset: frame.checksum_offset,
                segment_size: frame.segment_size,
            };
            let bytes = &arena[frame.offset..frame.offset + frame.length];
            if !self.link.send(bytes, offload)? {
                return Ok(());
            }
            self.unsent += 1;
        }
        self.unsent = 0;
        self.stack.clear_outgoing();
        Ok(())
    }

    /// Waits for work; true when told to stop.
    fn sleep(&mut self, stop: &Event) -> io::Result<bool> {
        let blocked = self.unsent > 0;
        let now = self.now();
        let stack = self
            .stack
            .next_deadline(nanoseconds(now))
            .filter(|_| !blocked);
        let sessions = self.sessions.iter().filter_map(|(_, c)| c.deadline());
        let due = sessions.chain(stack.map(Duration::from_nanos)).min();
        let mut interest = PollFlags::IN;
        interest.set(PollFlags::OUT, blocked);
        let link = self.link.fd();
        let mut fds = [
            PollFd::new(&link, interest),
            PollFd::new(&*self.wake, PollFlags::IN),
            PollFd::new(stop, PollFlags::IN),
        ];
        wait(&mut fds, due.map(|due| due.saturating_sub(now)))?;
        let [_, wake, stop] = fds.map(|fd| fd.revents().contains(PollFlags::IN));
        if wake {
            self.wake.lower();
            let now = self.now();
            self.sessions.iter_mut().for_each(|(_, c)| c.tick(now));
        }
        if blocked {
            // Some links always poll writable, and only another thread can make room.
            std::thread::yield_now();
        }
        Ok(stop)
    }

    /// Closes the connections, so that the peers are not left hanging.
    fn leave(&mut self) {
        self.sessions.clear();
        let now = nanoseconds(self.now());
        self.stack.abort_all(now);
        self.stack.poll(now);
        // Peers that are still there get it; the others do not need it.
        let _ = self.send_frames();
    }
}

/// Moves as much output into the stack as there is room for.
fn send(stack: &mut Stack, handle: Handle, connection: &mut Connection) {
    while !connection.output().is_empty() {
        let count = stack.send(handle, |room| {
            let output = connection.output();
            let count = output.len().min(room.len());
            room[..count].copy_from_slice(&output[..count]);
            count
        });
        if count == 0 {
            return;
        }
        connection.sent(count);
    }
}

/// Whether a connection goes on; otherwise it is closed.
fn keep(stack: &mut Stack, handle: Handle, connection: &Connection, now: u64) -> bool {
    let gone = match stack.state(handle) {
        State::Connecting | State::Open | State::Closing => false,
        State::PeerClosed => stack.readable(handle) == 0,
        State::Closed(_) => true,
    };
    match connection.end() {
        Some(End::Dropped) if connection.is_over() => stack.abort(handle, now),
        _ if connection.is_over() || gone => stack.release(handle, now),
        _ => return true,
    }
    false
}

fn nanoseconds(time: Duration) -> u64 {
    // The number suffices for 584 years.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
