//! The VCP: a disk or a discovery, as its configuration says.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use vcp_iscsi_initiator::Config;
use vcp_sdk::control::{Areas, Start};
use vcp_sdk::processor::{Effects, Events, Network};
use vcp_sdk::types::Instant;
use vcp_sdk::{Handover, Processor};

use crate::discovery::Discoverer;
use crate::disk::{self, Disk};
use crate::frames::Frames;
use crate::handover;
use crate::memory::Memories;
use crate::streams::Streams;
use crate::transport::Transport;

/// The key that asks for discovery instead of a disk.
const DISCOVER: &str = "discover";

/// The iSCSI VCP.
pub struct Iscsi(Role);

enum Role {
    /// Made and not called yet, as a spare may stay for ever: nothing is sent and nothing
    /// has a deadline. All large allocations are made already.
    Waiting(Box<Plan>),
    Disk(Box<Disk>),
    Discoverer(Box<Discoverer>),
    /// The state that it was to take over was invalid.
    Unfit,
}

/// What it is going to become.
struct Plan {
    config: Config,
    discover: bool,
    parts: Parts,
}

/// The parts of disks and discoveries, besides their configuration.
pub(crate) struct Parts {
    pub(crate) seed: [u8; 32],
    pub(crate) transport: Transport,
    pub(crate) memories: Memories,
}

impl Processor for Iscsi {
    fn start(mut start: Start, network: Network) -> Result<(Self, Areas), String> {
        let seed = <[u8; 32]>::try_from(&start.seed[..])
            .map_err(|_| format!("a seed of {} bytes, not 32", start.seed.len()))?;
        let discover = take_discover(&mut start)?;
        let config = match discover {
            true => Discoverer::parse(&start)?,
            false => Disk::parse(&start)?,
        };
        let transport = match network {
            Network::Frames(link) => {
                let frames = Frames::new(&link, stack_seed(&seed), start.now)?;
                Transport::Frames(Box::new(frames))
            }
            Network::Streams => Transport::Streams(Streams::new()),
        };
        let memories = Memories::new();
        let areas = memories.areas();
        let parts = Parts {
            seed,
            transport,
            memories,
        };
        let plan = Plan {
            config,
            discover,
            parts,
        };
        Ok((Self(Role::Waiting(Box::new(plan))), areas))
    }

    fn process(&mut self, events: &Events) -> Effects {
        if let Some(plan) = self.take_plan() {
            self.0 = plan.begin(events.now);
        }
        match &mut self.0 {
            Role::Disk(disk) => disk.process(events),
            Role::Discoverer(discoverer) => discoverer.process(events),
            Role::Waiting(_) | Role::Unfit => disk::empty(),
        }
    }
}

impl Handover for Iscsi {
    fn snapshot(&mut self, now: Instant) -> Result<Vec<u8>, String> {
        match &self.0 {
            Role::Disk(disk) => handover::encode(&disk.snapshot(now)?),
            Role::Discoverer(_) => Err("a look for targets has nothing to hand over".into()),
            Role::Waiting(_) | Role::Unfit => Err("there is no session".into()),
        }
    }

    fn restore(&mut self, now: Instant, state: &[u8]) -> Result<(), String> {
        let state = handover::decode(state)?;
        let plan = self.take_plan().ok_or("it has begun by itself already")?;
        if plan.discover {
            return Err("a look for targets takes nothing over".into());
        }
        let disk = Disk::resume(now, plan.config, plan.parts, state)?;
        self.0 = Role::Disk(Box::new(disk));
        Ok(())
    }
}

impl Iscsi {
    /// Takes the plan, once.
    fn take_plan(&mut self) -> Option<Plan> {
        match core::mem::replace(&mut self.0, Role::Unfit) {
            Role::Waiting(plan) => Some(*plan),
            role => {
                self.0 = role;
                None
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Iscsi {
    /// The parts that the host reads, unless it is unfit.
    pub(crate) fn parts(&self) -> Option<(&Transport, &Memories)> {
        match &self.0 {
            Role::Waiting(plan) => Some((&plan.parts.transport, &plan.parts.memories)),
            Role::Disk(disk) => Some((&disk.transport, &disk.memories)),
            Role::Discoverer(discoverer) => Some((&discoverer.transport, &discoverer.memories)),
            Role::Unfit => None,
        }
    }

    /// The memory that the host writes to, unless it is unfit.
    pub(crate) fn memories_mut(&mut self) -> Option<&mut Memories> {
        match &mut self.0 {
            Role::Waiting(plan) => Some(&mut plan.parts.memories),
            Role::Disk(disk) => Some(&mut disk.memories),
            Role::Discoverer(discoverer) => Some(&mut discoverer.memories),
            Role::Unfit => None,
        }
    }
}

#[cfg(test)]
impl Iscsi {
    /// The host's view of its memory, natively.
    pub(crate) fn inside(&mut self) -> (&mut Transport, &mut Memories) {
        match &mut self.0 {
            Role::Waiting(plan) => (&mut plan.parts.transport, &mut plan.parts.memories),
            Role::Disk(disk) => (&mut disk.transport, &mut disk.memories),
            Role::Discoverer(_) | Role::Unfit => unreachable!("no test of the queues has these"),
        }
    }
}

impl Plan {
    fn begin(self, now: u64) -> Role {
        match self.discover {
            true => Role::Discoverer(Box::new(Discoverer::begin(now, self.config, self.parts))),
            false => Role::Disk(Box::new(Disk::begin(now, self.config, self.parts))),
        }
    }
}

/// The seed of the stack's sequence numbers and ports. The initiator hashes the seed, so
/// that what the network sees of one tells nothing of the other.
fn stack_seed(seed: &[u8; 32]) -> u64 {
    let mut bytes = [0; 8];
    for (byte, other) in bytes.iter_mut().zip(seed.iter().step_by(4)) {
        *byte = *other;
    }
    u64::from_le_bytes(bytes)
}

fn take_discover(start: &mut Start) -> Result<bool, String> {
    let Some(at) = start.config.iter().position(|(key, _)| key == DISCOVER) else {
        return Ok(false);
    };
    let (_, value) = start.config.remove(at);
    value
        .parse()
        .map_err(|_| format!("config.{DISCOVER}: {value:?} is not true or false"))
}
