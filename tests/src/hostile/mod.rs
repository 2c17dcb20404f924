//! Clients that mean no good: they keep silent, read nothing, send half of what they
//! announce, ask for more than anybody can give, or talk nonsense. Whoever is served
//! beside them should notice as little as possible.

mod mutated;

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::image::Random;
use crate::nbd::Connection;

/// What they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Connect, and say nothing at all.
    Silent,
    /// Begin to negotiate, and stop in the middle of an option.
    Undecided,
    /// Ask for a mebibyte 31 times and take none of it.
    Unread,
    /// Announce 32 MiB to be written and send all but one.
    Stalled,
    /// Write single bytes in the middle of blocks, 64 at a time.
    OneByte,
    /// Read a mebibyte, 31 at a time.
    LargeReads,
    /// Read 4 KiB, 256 at a time.
    SmallReads,
    /// Say what a client may say, with bits and lengths changed, in negotiation and
    /// transmission.
    Mutated,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Silent,
        Self::Undecided,
        Self::Unread,
        Self::Stalled,
        Self::OneByte,
        Self::LargeReads,
        Self::SmallReads,
        Self::Mutated,
    ];

    /// In tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Undecided => "half an option",
            Self::Unread => "31 MiB of answers not read",
            Self::Stalled => "31 of 32 MiB written",
            Self::OneByte => "single bytes written, 64 deep",
            Self::LargeReads => "1 MiB read, 31 deep",
            Self::SmallReads => "4 KiB read, 256 deep",
            Self::Mutated => "mutated, negotiation and transmission",
        }
    }
}

/// Where an export is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The unix socket.
    pub socket: PathBuf,
    /// The export's name.
    pub export: String,
    /// They keep to this part of it: from, and bytes.
    pub span: (u64, u64),
}

/// So many of one manner, each a thread that connects anew whenever it is thrown out.
#[derive(Debug)]
pub struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    connections: AtomicU64,
    answers: AtomicU64,
}

/// How long one looks at nothing before it sees whether it is over.
const GLANCE: Duration = Duration::from_millis(100);

impl Crowd {
    /// Starts `count` of them; what they say is decided by the seed.
    #[must_use]
    pub fn start(manner: Manner, place: &Place, count: u64, seed: u64) -> Self {
        let shared = Arc::<Shared>::default();
        let start = |number| {
            let (shared, place) = (Arc::clone(&shared), place.clone());
            std::thread::spawn(move || {
                let mut random = Random::new(seed ^ number << 32);
                while !shared.is_over() {
                    // Being thrown out, or not let in, is what may happen to them.
                    if act(manner, &place, &mut random, &shared).is_err() {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            })
        };
        Self {
            threads: (0..count).map(start).collect(),
            shared,
        }
    }

    /// Connections that they had so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Requests of theirs that were answered so far, of those manners that ask for
    /// more as soon as they have an answer.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.shared.answers.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until it is over, or the peer ends the connection.
    fn linger(&self, mut stream: &UnixStream) -> io::Result<()> {
        while !self.is_over() {
            std::thread::sleep(GLANCE);
            let mut polled = [rustix::event::PollFd::new(
                &stream,
                rustix::event::PollFlags::empty(),
            )];
            let now = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            if rustix::event::poll(&mut polled, Some(&now))? > 0 {
                let _ = stream.read(&mut [0; 1]);
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
        Ok(())
    }
}

/// One connection of that manner, to its end.
fn act(manner: Manner, place: &Place, random: &mut Random, shared: &Shared) -> io::Result<()> {
    if manner == Manner::Mutated {
        return mutated::act(place, random, shared);
    }
    if matches!(manner, Manner::Silent | Manner::Undecided) {
        let stream = UnixStream::connect(&place.socket)?;
        shared.connected();
        if manner == Manner::Undecided {
            io::Write::write_all(&mut &stream, b"\0\0\0\x03IHAVEOPT\0\0\0\x07\0\0\0\x40abc")?;
        }
        return shared.linger(&stream);
    }
    let mut connection = Connection::try_to(&place.socket, &place.export)?;
    shared.connected();
    connection.stream().set_read_timeout(Some(GLANCE))?;
    let at = place.span.0;
    match manner {
        Manner::Unread => {
            for cookie in 0..31 {
                connection.begin_read(cookie, at, 1 << 20)?;
            }
            shared.linger(connection.stream())
        }
        Manner::Stalled => {
            connection.stream().set_write_timeout(Some(GLANCE))?;
            // What is not taken is not sent.
            let _ = connection.begin_write(1, at, 32 << 20, &vec![1; 31 << 20]);
            shared.linger(connection.stream())
        }
        Manner::OneByte => {
            let mut next = |connection: &mut Connection, cookie| {
                let offset = at + random.below(place.span.1);
                connection.begin_write(cookie, offset, 1, &[cookie as u8])
            };
            keep(&mut connection, 64, 0, shared, &mut next)
        }
        Manner::LargeReads => {
            let mut next =
                |connection: &mut Connection, cookie| connection.begin_read(cookie, at, 1 << 20);
            keep(&mut connection, 31, 1 << 20, shared, &mut next)
        }
        _ => {
            let mut next = |connection: &mut Connection, cookie| {
                let offset = at + random.below(place.span.1 - 4096);
                connection.begin_read(cookie, offset, 4096)
            };
            keep(&mut connection, 256, 4096, shared, &mut next)
        }
    }
}

/// Keeps `depth` requests under way, whose answers bring so many bytes.
fn keep(
    connection: &mut Connection,
    depth: u64,
    bytes: usize,
    shared: &Shared,
    next: &mut dyn FnMut(&mut Connection, u64) -> io::Result<()>,
) -> io::Result<()> {
    // A whole answer may take longer than a glance beside many others.
    connection
        .stream()
        .set_read_timeout(Some(Duration::from_secs(10)))?;
    for cookie in 0..depth {
        next(connection, cookie)?;
    }
    while !shared.is_over() {
        let (cookie, error) = connection.reply()?;
        shared.answers.fetch_add(1, Ordering::Relaxed);
        if error == 0 {
            connection.skip(bytes)?;
        }
        next(connection, cookie)?;
    }
    Ok(())
}
