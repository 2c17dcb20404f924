//! A discovery session: asks a portal for its targets (RFC 7143 §4.3, App. C), then logs
//! out. It has the same interface as the [`Initiator`](crate::Initiator), and does no I/O
//! either.

mod answer;
mod events;
mod session;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use vcp_iscsi_proto::text::Accumulator;

use crate::block::{Memory, Span};
use crate::config::Config;
use crate::connection::Connection;
use crate::login::Login;
use crate::random::Random;

/// A target as the portal describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTarget {
    /// The iSCSI name.
    pub name: String,
    /// The addresses where it can be reached; at least one.
    pub portals: Vec<FoundPortal>,
}

/// A portal of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPortal {
    /// `host:port` or `host`, as the target wrote it; the host may be a name.
    pub address: String,
    /// The portal group.
    pub group: Option<u16>,
}

/// An action for the caller to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryAction {
    /// Open a TCP connection.
    Connect {
        /// The portal's address.
        address: SocketAddr,
    },
    /// Close it.
    Close {
        /// Whether to close it at once instead of after the sent bytes.
        abort: bool,
    },
    /// The portal's targets. Comes once, and only `Close` follows.
    Found(Vec<FoundTarget>),
    /// The reason why there is no answer, in one line. Comes once, and nothing follows.
    Failed(String),
}

#[derive(Debug)]
enum Phase {
    Connecting,
    Login(Box<Login>),
    /// SendTargets was sent.
    Asking,
    /// The answer has been reported; a logout is a courtesy.
    Leaving,
    /// The portal asks for a logout before it has answered: the logout is on its way, and
    /// then the question is asked again.
    Returning,
    /// Waiting until it is time to connect again.
    Waiting,
    Over,
}

/// A discovery session, from `Connect` to `Found` or `Failed`.
#[derive(Debug)]
pub struct Discovery {
    config: Config,
    random: Random,
    phase: Phase,
    connection: Option<Box<Connection>>,
    actions: VecDeque<DiscoveryAction>,
    address: SocketAddr,
    redirections: u32,
    text: Accumulator,
    /// The time by which there has to be an answer.
    deadline: Option<u64>,
    /// The time to leave a portal that asks for it, or to come back to it.
    turn: Option<u64>,
    /// Whether the portal sent us away before it had answered; it may do so once.
    sent_away: bool,
}

impl Discovery {
    /// Makes a session that begins to connect at once. The configuration is one of
    /// [`Config::parse_discovery`]; its target and LUN are ignored.
    pub fn new(config: Config, seed: [u8; 32], now: u64) -> Self {
        let mut discovery = Self {
            random: Random::new(seed),
            phase: Phase::Connecting,
            connection: None,
            actions: VecDeque::new(),
            address: config.portal,
            redirections: 0,
            text: Accumulator::new(session::MAX_TEXT),
            deadline: None,
            turn: None,
            sent_away: false,
            config,
        };
        discovery.connect(now);
        discovery
    }

    /// Notes that the requested connection is open.
    pub fn connected(&mut self, _now: u64) {
        if matches!(self.phase, Phase::Connecting) {
            self.start_login();
        }
    }

    /// Notes that the connection is gone, or could not be opened; `reason` in a few
    /// words.
    pub fn disconnected(&mut self, now: u64, reason: &str) {
        if matches!(self.phase, Phase::Waiting) {
            return;
        }
        self.connection = None;
        if self.is_to_leave() {
            return self.come_back(now, 0);
        }
        let connecting = matches!(self.phase, Phase::Connecting);
        self.fail(
            if connecting {
                "cannot connect"
            } else {
                "connection lost"
            },
            reason,
        );
    }

    /// Takes bytes from the connection, all of them.
    pub fn receive(&mut self, now: u64, bytes: &[u8]) {
        if let Err(reason) = self.incoming(now, bytes) {
            self.hang_up(true);
            self.fail("discovery", &reason);
        }
    }

    /// Fills `out` with bytes for the connection and returns how many there are.
    pub fn transmit(&mut self, _now: u64, out: &mut [u8]) -> usize {
        let mut written = 0;
        while let Some(connection) = &mut self.connection {
            written += connection.fill(&mut out[written..], &Nowhere);
            if written == out.len() || !connection.start_control() {
                break;
            }
        }
        written
    }

    /// Whether there is something to send.
    pub fn wants_transmit(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| c.has_output())
    }

    /// The next action.
    pub fn poll_action(&mut self) -> Option<DiscoveryAction> {
        self.actions.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None`: never.
    pub fn next_deadline(&self) -> Option<u64> {
        [self.deadline, self.turn].into_iter().flatten().min()
    }

    /// Acts on the deadline, if it has come.
    pub fn handle_timeout(&mut self, now: u64) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.hang_up(true);
            self.fail("discovery", "no answer in time");
        }
        if self.turn.is_some_and(|turn| turn <= now) {
            self.turn = None;
            self.take_turn();
        }
    }
}

/// Stands for the memory of requests; discovery has none.
struct Nowhere;

impl Memory for Nowhere {
    fn bytes(&self, _span: Span) -> &[u8] {
        &[]
    }

    fn bytes_mut(&mut self, _span: Span) -> &mut [u8] {
        &mut []
    }
}
