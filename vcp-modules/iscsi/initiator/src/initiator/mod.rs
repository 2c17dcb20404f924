//! The initiator: one session with one connection to one logical unit, from
//! `Connect` to `Stopped`.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | the state, and the caller's interface |
//! | `session` | connecting, logging in, losing the connection, reconnecting |
//! | `incoming` | PDUs from the target, and their dispatch |
//! | `transfer` | Data-In and R2T: data of commands, byte for byte |
//! | `outgoing` | the order of sending |
//! | `completion` | ends of commands, and of their tasks |
//! | `answer` | answers to requests, with every byte moved or an error |
//! | `portal` | the target's address |
//! | `retry` | commands that were not carried out: when and where they are retried |
//! | `fault` | reasons for the end of a connection |
//! | `suspect` | requests that end sessions, and sessions that others end |
//! | `control` | pings, asynchronous messages, rejects, aborts |
//! | `lengths` | the longest transfer of one command |
//! | `survey` | finding out about the logical unit |
//! | `leave` | logout |
//! | `names` | logins that are refused for a name |
//! | `handover` | a session that the next version resumes |
//! | `timeout` | expired timers |

mod answer;
mod completion;
mod control;
mod fault;
mod handover;
mod incoming;
mod leave;
mod lengths;
mod names;
mod outgoing;
mod portal;
mod retry;
mod session;
mod survey;
mod suspect;
mod timeout;
mod transfer;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use vcp_iscsi_proto::Lun;

use crate::action::{Action, Level};
use crate::backoff::Backoff;
use crate::block::{Memory, Request, Status};
use crate::config::Config;
use crate::connection::Connection;
use crate::login::Login;
use crate::random::Random;
use crate::scsi::{Device, SURVEY_DEPTH, Survey};
use crate::task::{Owner, Tasks};
use crate::timer::Timers;

use leave::Leave;

/// Milliseconds in nanoseconds.
const MS: u64 = 1_000_000;

/// The phase of the session.
#[derive(Debug)]
enum Phase {
    /// Waiting until the next attempt to connect.
    Waiting,
    /// Waiting for the TCP connection.
    Connecting,
    /// In the login phase.
    Login(Box<Login>),
    /// In the full feature phase, finding out about the logical unit.
    Surveying,
    /// Serving requests.
    Ready,
    /// Ended by a failure.
    Failed,
    /// Ended by the caller.
    Stopped,
}

/// An iSCSI initiator: block requests in, bytes for a TCP connection out, and the other
/// way round. It does no I/O and has no clock.
///
/// The caller reports events (`submit`, `connected`, `disconnected`, `receive`,
/// `handle_timeout` at [`next_deadline`](Self::next_deadline)), and after each of them
/// takes the results: [`poll_action`](Self::poll_action) until there is nothing more, and
/// [`transmit`](Self::transmit) as long as the connection has room. Times are nanoseconds
/// of one monotonic clock.
#[derive(Debug)]
pub struct Initiator {
    config: Config,
    random: Random,
    phase: Phase,
    connection: Option<Box<Connection>>,
    tasks: Tasks,
    actions: VecDeque<Action>,
    timers: Timers,
    /// The LUN of the logical unit, as the target lists it.
    lun: Lun,
    asking: survey::Asking,
    /// The survey of the logical unit under way.
    survey: Option<Box<Survey>>,
    /// What is known of the logical unit. `None` before the first `Ready`.
    device: Option<Device>,
    /// While a shorter transfer is tried: the former longest transfer.
    longest_before: Option<u32>,
    leave: Option<Leave>,
    abort: Option<control::Abort>,
    text: Option<control::TextExchange>,
    /// The configured portal, and the one in use.
    portal: SocketAddr,
    address: SocketAddr,
    redirections: u32,
    /// The number of attempts since there was a session.
    unreached: u32,
    /// The last portal with which there was a session, and its portal group.
    portal_group: Option<(SocketAddr, u16)>,
    /// The time to give up on a busy target, before the first `Ready`.
    give_up: u64,
    /// Whether the caller has been told that requests wait.
    suspended: bool,
    reconnect: Backoff,
    throttle: Backoff,
    last_heard: u64,
    /// The time when this session was ready, and whether it has answered a request since.
    ready_at: Option<u64>,
    answered: bool,
    /// The number of sessions in a row that were ended from outside soon after they were
    /// ready.
    taken: u32,
    /// The time when a request was last found to end sessions.
    found_out_at: Option<u64>,
    /// Whether the last session ended over a known request, so that the others do not
    /// wait long.
    hurry: bool,
    /// Whether an earlier write failed after it was answered as done: the next flush
    /// reports it.
    lost_write: bool,
    /// The last message about a target that refuses to serve.
    told_refusal: Option<String>,
    /// The results of attempts to reconnect that were reported in this outage.
    told_attempts: Vec<String>,
    /// The time when a session was last given up to try a command on another.
    renewed_at: Option<u64>,
    /// Whether the logical unit was told to start in this session.
    started_unit: bool,
    ping: Option<control::Ping>,
    /// The challenge of the last login.
    spent: Option<[u8; 32]>,
    /// The DefaultTime2Wait of the current or last session, in nanoseconds.
    time2wait: u64,
}

impl Initiator {
    /// Makes an initiator that begins to connect at once: the first action is waiting.
    /// `seed` is the only source of randomness; `now` is in nanoseconds.
    pub fn new(config: Config, seed: [u8; 32], now: u64) -> Self {
        let mut initiator = Self::idle(config, seed, now);
        let chap = initiator.config.chap.as_ref();
        if chap.is_some_and(|chap| chap.is_short()) {
            let line = "a CHAP secret has less than 12 bytes and can be guessed (RFC 7143 §9.2.1)";
            initiator.log(Level::Warn, line.into());
        }
        initiator.connect(now);
        initiator
    }

    /// Makes an initiator that does nothing yet.
    fn idle(config: Config, seed: [u8; 32], now: u64) -> Self {
        let depth = usize::from(config.queue_depth) + SURVEY_DEPTH;
        let portal = config.portal;
        Self {
            random: Random::new(seed),
            phase: Phase::Waiting,
            connection: None,
            tasks: Tasks::new(depth),
            actions: VecDeque::with_capacity(depth + 8),
            timers: Timers::default(),
            lun: Lun::new(config.lun).unwrap_or_default(),
            asking: survey::Asking::new(),
            survey: None,
            device: None,
            longest_before: None,
            leave: None,
            abort: None,
            text: None,
            portal,
            address: portal,
            redirections: 0,
            unreached: 0,
            portal_group: None,
            give_up: now.saturating_add(config.timing.login_timeout),
            suspended: false,
            reconnect: Backoff::new(100 * MS, 5000 * MS),
            throttle: Backoff::new(10 * MS, 1000 * MS),
            last_heard: now,
            ready_at: None,
            answered: false,
            taken: 0,
            found_out_at: None,
            hurry: false,
            lost_write: false,
            told_refusal: None,
            told_attempts: Vec::new(),
            renewed_at: None,
            started_unit: false,
            ping: None,
            spent: None,
            time2wait: 0,
            config,
        }
    }

    /// Takes a request. To be called only after the first `Ready`; while suspended the
    /// request waits. One that can't be carried out is completed at once.
    pub fn submit(&mut self, now: u64, request: Request) {
        let refused = match &self.device {
            _ if self.is_over() || self.is_stopping() => Some(Status::ShuttingDown),
            None => Some(Status::Invalid),
            Some(device) => device.refuses(&request, &self.config),
        };
        let added = refused
            .is_none()
            .then(|| self.tasks.add(Owner::Request(request)));
        match (refused, added) {
            (Some(status), _) => self.refuse(&request, status),
            (None, Some(Some(_))) => self.expect_window(now),
            // There are more tasks than tags: the caller has lost count.
            _ => self.refuse(&request, Status::IoError),
        }
    }

    /// Notes that the requested connection is open.
    pub fn connected(&mut self, now: u64) {
        if matches!(self.phase, Phase::Connecting) {
            self.start_login(now);
        }
    }

    /// Notes that the connection is gone, or could not be opened; `reason` in a few
    /// words.
    pub fn disconnected(&mut self, now: u64, reason: &str) {
        if matches!(self.phase, Phase::Connecting) || self.connection.is_some() {
            self.closed_by_peer(now, reason);
        }
    }

    /// Takes bytes from the connection, all of them.
    pub fn receive(&mut self, now: u64, bytes: &[u8], memory: &mut impl Memory) {
        self.last_heard = now;
        if let Err(fault) = self.incoming(now, bytes, memory) {
            self.lose(now, fault);
        }
    }

    /// Fills `out` with bytes for the connection and returns how many there are;
    /// 0 when there is nothing to be sent.
    pub fn transmit(&mut self, now: u64, out: &mut [u8], memory: &impl Memory) -> usize {
        self.outgoing(now, out, memory)
    }

    /// Whether [`transmit`](Self::transmit) would have something to send.
    pub fn wants_transmit(&self) -> bool {
        self.has_outgoing()
    }

    /// The next action.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None`: never.
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next()
    }

    /// Acts on all deadlines up to `now`.
    pub fn handle_timeout(&mut self, now: u64) {
        while let Some(timer) = self.timers.expire(now) {
            if let Err(fault) = self.expired(now, timer) {
                self.lose(now, fault);
            }
        }
    }

    /// Stops: requests under way may end, then comes a logout, then `Stopped`; after 5
    /// seconds at the latest. Requests that have not been completed by then never are, so
    /// that a successor can be given them.
    pub fn stop(&mut self, now: u64) {
        self.begin_stop(now);
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Failed | Phase::Stopped)
    }

    fn log(&mut self, level: Level, message: String) {
        self.actions.push_back(Action::Log { level, message });
    }
}
