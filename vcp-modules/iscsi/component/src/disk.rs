//! The disk: turns one batch of events into one batch of effects.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use vcp_iscsi_initiator::{Action, Config, Initiator, Snapshot};
use vcp_sdk::block::{Completion, Notice, Status};
use vcp_sdk::control::{Command, Start};
use vcp_sdk::processor::{Effects, Events};
use vcp_sdk::types::Span;

use crate::convert;
use crate::memory::Memories;
use crate::transport::{Change, Held, Transport};
use crate::vcp::Parts;

/// The most rounds within one call; the rest is for the next call, at once.
const ROUNDS: usize = 16;
/// The longest read or write of one request, in bytes.
const MAX_TRANSFER: u32 = 1 << 20;

/// An iSCSI disk.
pub(crate) struct Disk {
    initiator: Initiator,
    pub(crate) transport: Transport,
    pub(crate) memories: Memories,
}

impl Disk {
    /// Parses the operator's configuration of a disk.
    pub(crate) fn parse(start: &Start) -> Result<Config, String> {
        let pairs = start.config.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let config = Config::parse(pairs).map_err(|error| format!("config.{error}"))?;
        Ok(config
            .with_queue_depth(start.queue_depth)
            .with_max_transfer(MAX_TRANSFER)
            .with_predecessor(start.generation > 1)
            .with_identity(start.identity.clone()))
    }

    /// Makes a disk that begins to connect.
    pub(crate) fn begin(now: u64, config: Config, parts: Parts) -> Self {
        Self {
            initiator: Initiator::new(config, parts.seed, now),
            transport: parts.transport,
            memories: parts.memories,
        }
    }

    /// Makes a disk that resumes a session and its connection.
    pub(crate) fn resume(
        now: u64,
        config: Config,
        mut parts: Parts,
        (session, held): (Snapshot, Held),
    ) -> Result<Self, String> {
        let initiator = Initiator::resume(config, parts.seed, now, session)?;
        parts.transport.resume(now, &held)?;
        Ok(Self {
            initiator,
            transport: parts.transport,
            memories: parts.memories,
        })
    }

    /// The session and its connection, for the next version to resume.
    pub(crate) fn snapshot(&self, now: u64) -> Result<(Snapshot, Held), String> {
        Ok((self.initiator.snapshot(now)?, self.transport.hold()?))
    }

    pub(crate) fn process(&mut self, events: &Events) -> Effects {
        let now = events.now;
        let mut effects = empty();
        self.transport.begin(events);
        for command in &events.commands {
            match command {
                Command::Stop => self.initiator.stop(now),
                Command::Rescan => self.initiator.rescan(now),
            }
        }
        for request in &events.requests {
            match convert::request(request) {
                Some(request) => self.initiator.submit(now, request),
                // The geometry does not offer it, so the host does not ask for it.
                None => effects.completions.push(unsupported(request.tag)),
            }
        }
        let mut again = true;
        for _ in 0..ROUNDS {
            again = self.round(events, &mut effects);
            if !again {
                break;
            }
        }
        let network = self.transport.finish(now, &mut effects);
        let timers = self.initiator.next_deadline();
        let next = [network, timers].into_iter().flatten().min();
        effects.deadline = if again { Some(now) } else { next };
        effects
    }
}

impl Disk {
    /// Does one round of all work. Returns whether there may be more.
    fn round(&mut self, events: &Events, effects: &mut Effects) -> bool {
        let now = events.now;
        let mut busy = false;
        if self.initiator.next_deadline().is_some_and(|at| at <= now) {
            self.initiator.handle_timeout(now);
        }
        while self.receive(events) {
            busy |= self.act(now, effects);
        }
        match self.transport.change(now) {
            Some(Change::Connected) => self.initiator.connected(now),
            Some(Change::Disconnected(why)) => self.initiator.disconnected(now, &why),
            None => {}
        }
        busy |= self.act(now, effects);
        while self.initiator.wants_transmit() {
            let (initiator, memory) = (&mut self.initiator, &self.memories.data);
            let sent = self
                .transport
                .send(|out| initiator.transmit(now, out, memory));
            if sent == 0 {
                break;
            }
        }
        self.transport.poll(now);
        busy | self.act(now, effects)
    }

    /// Passes some received bytes to the initiator. Returns whether there were any.
    fn receive(&mut self, events: &Events) -> bool {
        let initiator = &mut self.initiator;
        let Memories { data, receive } = &mut self.memories;
        self.transport.receive(events, receive, |bytes| {
            initiator.receive(events.now, bytes, data);
        })
    }

    /// Carries out the initiator's actions. Returns whether something may have changed
    /// for the transport.
    fn act(&mut self, now: u64, effects: &mut Effects) -> bool {
        let mut changed = false;
        while let Some(action) = self.initiator.poll_action() {
            match action {
                Action::Connect { address } => {
                    self.transport.connect(now, address);
                    changed = true;
                }
                Action::Close { abort } => {
                    self.transport.close(now, abort);
                    changed = true;
                }
                Action::Complete { tag, status } => effects.completions.push(Completion {
                    tag,
                    status: convert::status(status),
                    data: Span {
                        address: 0,
                        length: 0,
                    },
                }),
                Action::Ready(geometry) => {
                    effects
                        .notices
                        .push(Notice::Ready(convert::geometry(geometry)));
                }
                Action::Suspended(why) => effects.notices.push(Notice::Suspended(why)),
                Action::LowSpace(what) => effects.notices.push(Notice::LowSpace(what)),
                Action::Failed(why) => effects.notices.push(Notice::Failed(why)),
                Action::Stopped => effects.notices.push(Notice::Stopped),
                Action::Log { level, message } => vcp_sdk::log(convert::level(level), &message),
            }
        }
        changed
    }
}

pub(crate) fn empty() -> Effects {
    Effects {
        completions: Vec::new(),
        notices: Vec::new(),
        frames: Vec::new(),
        connects: Vec::new(),
        sends: Vec::new(),
        closes: Vec::new(),
        deadline: None,
    }
}

fn unsupported(tag: u64) -> Completion {
    Completion {
        tag,
        status: Status::NotSupported,
        data: Span {
            address: 0,
            length: 0,
        },
    }
}
