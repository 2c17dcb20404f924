//! Clients of a block queue that live on the channel processor's own thread: no
//! socket, no other thread and no other CPU between them and the VCP, and what they
//! cost is charged to it. Both read blocks of 4 KiB.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{EventfdFlags, eventfd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use vcp_benches::os::now;
use vcp_core::Vcp;
use vcp_queue::{
    Answer, Client, ClientError, ClientRequest, Flushed, Modifiers, Operation, Status, Submit,
};

/// Bytes of a request.
const BLOCK: u32 = 4096;
/// A number near 2⁶⁴ / φ: multiples of it are spread evenly, and none follows upon
/// its neighbour.
const WALK: u64 = 0x9e37_79b9_7f4a_7c15;

/// A request that touches no data.
pub(crate) fn flush() -> ClientRequest {
    ClientRequest {
        cookie: 0,
        operation: Operation::Flush,
        modifiers: Modifiers::default(),
        offset: 0,
        length: 0,
        payload: Vec::new(),
    }
}

/// The `count`th read of a device of so many bytes.
fn read(cookie: u64, count: u64, span: u64) -> ClientRequest {
    let blocks = span / u64::from(BLOCK);
    ClientRequest {
        operation: Operation::Read,
        cookie,
        offset: count.wrapping_mul(WALK) % blocks * u64::from(BLOCK),
        length: BLOCK,
        ..flush()
    }
}

/// Keeps a number of requests in flight for as long as this is kept, and counts the
/// answers.
pub(crate) struct Load {
    shared: Arc<Shared>,
}

struct Shared {
    event: OwnedFd,
    answered: AtomicU64,
    failed: AtomicU64,
    paused: AtomicBool,
    over: AtomicBool,
}

impl Load {
    /// On a device of `span` bytes.
    pub(crate) fn attach(vcp: &Vcp, depth: u64, span: u64) -> Self {
        let shared = Arc::new(Shared {
            // Begins at once: it is readable from the start.
            event: eventfd(1, EventfdFlags::NONBLOCK).expect("a descriptor is to be had"),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
        vcp.attach(Box::new(Looping {
            shared: Arc::clone(&shared),
            span,
            depth,
            free: (0..depth).collect(),
            count: 0,
        }));
        Self { shared }
    }

    /// Answers so far.
    pub(crate) fn answered(&self) -> u64 {
        let failed = self.shared.failed.load(Ordering::Relaxed);
        assert_eq!(failed, 0, "reads failed");
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Asks for nothing any more, or again.
    pub(crate) fn pause(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Relaxed);
        self.shared.ring();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.pause(true);
    }
}

impl Shared {
    fn ring(&self) {
        // A full counter is as good.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }
}

struct Looping {
    shared: Arc<Shared>,
    span: u64,
    depth: u64,
    free: Vec<u64>,
    count: u64,
}

impl Client for Looping {
    fn fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }

    fn name(&self) -> &str {
        "looping"
    }

    fn receive(&mut self, queue: &mut dyn Submit) -> Result<bool, ClientError> {
        // Nothing to read is no error: it may be called without being woken.
        let _ = rustix::io::read(&self.shared.event, &mut [0u8; 8]);
        if self.shared.paused.load(Ordering::Relaxed) {
            let over = self.shared.over.load(Ordering::Relaxed);
            return if over && self.free.len() as u64 == self.depth {
                Err(ClientError::Disconnected)
            } else {
                Ok(false)
            };
        }
        while queue.admit(0) {
            let Some(cookie) = self.free.pop() else {
                return Ok(false);
            };
            self.count += 1;
            queue.submit(read(cookie, self.count, self.span));
        }
        Ok(true)
    }

    fn send(&mut self, answers: &[Answer<'_>]) -> Result<Flushed, ClientError> {
        if answers.is_empty() {
            return Ok(Flushed::All);
        }
        let failed = answers.iter().filter(|a| a.status != Status::Ok).count();
        self.free.extend(answers.iter().map(|answer| answer.cookie));
        let shared = &self.shared;
        shared.failed.fetch_add(failed as u64, Ordering::Relaxed);
        shared
            .answered
            .fetch_add(answers.len() as u64, Ordering::Relaxed);
        shared.ring();
        Ok(Flushed::All)
    }
}

/// When a client that has one request at a time asks the next.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pause {
    /// At once.
    None,
    /// After up to twice so many nanoseconds, at random.
    Around(u64),
}

/// Attaches a client with one request at a time; the latencies in microseconds come
/// until they are no longer received. A latency is from when the request was to be
/// asked, however late the VCP could hear of it.
pub(crate) fn dialogue(vcp: &Vcp, pause: Pause, span: u64) -> Receiver<f64> {
    let (latencies, received) = channel();
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = timerfd_create(TimerfdClockId::Monotonic, flags).expect("a descriptor");
    let mut client = Dialogue {
        pause,
        span,
        timer,
        due: 0,
        asked: false,
        count: now(),
        latencies,
    };
    client.arm();
    vcp.attach(Box::new(client));
    received
}

struct Dialogue {
    pause: Pause,
    span: u64,
    timer: OwnedFd,
    /// When the request is, or was, to be asked.
    due: u64,
    asked: bool,
    count: u64,
    latencies: Sender<f64>,
}

impl Dialogue {
    /// Asks later.
    fn arm(&mut self) {
        let pause = match self.pause {
            Pause::None => 0,
            Pause::Around(mean) => self.count.wrapping_mul(WALK) % (2 * mean),
        };
        self.due = now() + pause;
        let time = Timespec {
            tv_sec: (self.due / 1_000_000_000) as i64,
            tv_nsec: (self.due % 1_000_000_000) as i64,
        };
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let spec = Itimerspec {
            it_interval: never,
            it_value: time,
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec).expect("a valid time");
    }
}

impl Client for Dialogue {
    fn fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }

    fn name(&self) -> &str {
        "dialogue"
    }

    fn receive(&mut self, queue: &mut dyn Submit) -> Result<bool, ClientError> {
        let expired = rustix::io::read(&self.timer, &mut [0u8; 8]).is_ok();
        if expired && !self.asked {
            self.count = self.count.wrapping_add(1);
            self.asked = true;
            queue.submit(read(0, self.count, self.span));
        }
        Ok(false)
    }

    fn send(&mut self, answers: &[Answer<'_>]) -> Result<Flushed, ClientError> {
        for answer in answers {
            assert_eq!(answer.status, Status::Ok, "a read failed");
            let latency = (now() - self.due) as f64 / 1e3;
            self.asked = false;
            if self.latencies.send(latency).is_err() {
                return Err(ClientError::Disconnected);
            }
            self.arm();
        }
        Ok(Flushed::All)
    }
}

/// A client that has one request and no more, and asks for it at once.
pub(crate) struct Once {
    event: OwnedFd,
    request: Option<ClientRequest>,
}

impl Once {
    pub(crate) fn new(request: ClientRequest) -> Self {
        Self {
            event: eventfd(1, EventfdFlags::NONBLOCK).expect("a descriptor is to be had"),
            request: Some(request),
        }
    }
}

impl Client for Once {
    fn fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn name(&self) -> &str {
        "once"
    }

    fn receive(&mut self, queue: &mut dyn Submit) -> Result<bool, ClientError> {
        let _ = rustix::io::read(&self.event, &mut [0u8; 8]);
        self.request
            .take()
            .into_iter()
            .for_each(|r| queue.submit(r));
        Ok(false)
    }

    fn send(&mut self, _: &[Answer<'_>]) -> Result<Flushed, ClientError> {
        Ok(Flushed::All)
    }
}
