//! A discovery session: asks a portal which targets it has (RFC 7143 §4.3, App. C),
//! then logs out. Same shape as the [`Initiator`](crate::Initiator), and as far from
//! I/O.

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

/// What a portal says about a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundTarget {
    /// Its iSCSI name.
    pub name: String,
    /// Where it can be reached; at least one.
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

/// One thing for the caller to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryAction {
    /// Open a TCP connection.
    Connect {
        /// Of the portal.
        address: SocketAddr,
    },
    /// Close it.
    Close {
        /// At once instead of after what was sent.
        abort: bool,
    },
    /// The targets that the portal has. Comes once, and nothing after it but `Close`.
    Found(Vec<FoundTarget>),
    /// Why there is no answer, in one line. Comes once, and nothing after it.
    Failed(String),
}

#[derive(Debug)]
enum Phase {
    Connecting,
    Login(Box<Login>),
    /// SendTargets was sent.
    Asking,
    /// The answer is out; a logout is a courtesy.
    Leaving,
    /// The portal wants to be left before it has answered: a logout is on its way, and
    /// then the question is asked again.
    Returning,
    /// For the time to connect again.
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
    /// When there has to be an answer.
    deadline: Option<u64>,
    /// When to leave a portal that wants to be left, or to come back to it.
    turn: Option<u64>,
    /// The portal sent us away before it had answered; it can do so once.
    sent_away: bool,
}

impl Discovery {
    /// A session that begins to connect at once. The configuration is one of
    /// [`Config::parse_discovery`]; what it has of a target and a LUN is ignored.
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

    /// The connection asked for is open.
    pub fn connected(&mut self, _now: u64) {
        if matches!(self.phase, Phase::Connecting) {
            self.start_login();
        }
    }

    /// The connection is gone, or could not be opened; `reason` in a few words.
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

    /// The next thing to be done.
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

/// There are no requests here, and so no memory of theirs.
struct Nowhere;

impl Memory for Nowhere {
    fn bytes(&self, _span: Span) -> &[u8] {
        &[]
    }

    fn bytes_mut(&mut self, _span: Span) -> &mut [u8] {
        &mut []
    }
}
