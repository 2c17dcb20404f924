//! Discovery: asks a portal for its targets, reports them, and ends.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use vcp_iscsi_initiator::{Config, Discovery, DiscoveryAction, FoundTarget};
use vcp_sdk::block::Notice;
use vcp_sdk::control::{Command, Start};
use vcp_sdk::processor::{Effects, Events};

use crate::disk::empty;
use crate::memory::Memories;
use crate::transport::{Change, Transport};
use crate::vcp::Parts;

/// The most rounds within one call.
const ROUNDS: usize = 16;

pub(crate) struct Discoverer {
    discovery: Discovery,
    pub(crate) transport: Transport,
    pub(crate) memories: Memories,
    /// Whether the answer has been reported; only the logout remains then.
    told: bool,
    over: bool,
}

impl Discoverer {
    /// Parses the operator's configuration of a discovery.
    pub(crate) fn parse(start: &Start) -> Result<Config, String> {
        let pairs = start.config.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        Config::parse_discovery(pairs).map_err(|error| format!("config.{error}"))
    }

    /// Begins a discovery.
    pub(crate) fn begin(now: u64, config: Config, parts: Parts) -> Self {
        Self {
            discovery: Discovery::new(config, parts.seed, now),
            transport: parts.transport,
            memories: parts.memories,
            told: false,
            over: false,
        }
    }

    pub(crate) fn process(&mut self, events: &Events) -> Effects {
        let now = events.now;
        let mut effects = empty();
        self.transport.begin(events);
        if events.commands.contains(&Command::Stop) {
            self.over = true;
        }
        for _ in 0..ROUNDS {
            if !self.round(events, &mut effects.notices) {
                break;
            }
        }
        let network = self.transport.finish(now, &mut effects);
        let timers = self.discovery.next_deadline();
        effects.deadline = [network, timers].into_iter().flatten().min();
        if self.over {
            effects.notices.push(Notice::Stopped);
        }
        effects
    }

    /// Does one round of all work. Returns whether there may be more.
    fn round(&mut self, events: &Events, notices: &mut Vec<Notice>) -> bool {
        let now = events.now;
        self.discovery.handle_timeout(now);
        let discovery = &mut self.discovery;
        while self
            .transport
            .receive(events, &self.memories.receive, |bytes| {
                discovery.receive(now, bytes);
            })
        {}
        match self.transport.change(now) {
            Some(Change::Connected) => discovery.connected(now),
            Some(Change::Disconnected(why)) => discovery.disconnected(now, &why),
            None => {}
        }
        let changed = self.act(now, notices);
        while self.discovery.wants_transmit() {
            let discovery = &mut self.discovery;
            if self.transport.send(|out| discovery.transmit(now, out)) == 0 {
                break;
            }
        }
        self.transport.poll(now);
        changed
    }

    fn act(&mut self, now: u64, notices: &mut Vec<Notice>) -> bool {
        let mut changed = false;
        while let Some(action) = self.discovery.poll_action() {
            changed = true;
            match action {
                DiscoveryAction::Connect { address } => self.transport.connect(now, address),
                DiscoveryAction::Close { abort } => {
                    // A close before the answer makes way for another connection.
                    self.transport.close(now, abort);
                    self.over |= self.told;
                }
                DiscoveryAction::Found(targets) => {
                    notices.extend(targets.iter().map(|target| Notice::Found(line(target))));
                    self.told = true;
                }
                DiscoveryAction::Failed(why) => notices.push(Notice::Failed(why)),
            }
        }
        changed
    }
}

/// A target's name and its portals, separated by spaces.
fn line(target: &FoundTarget) -> String {
    let portals = target.portals.iter().map(|portal| match portal.group {
        Some(group) => format!(" {},{group}", portal.address),
        None => format!(" {}", portal.address),
    });
    target.name.to_string() + &portals.collect::<String>()
}
