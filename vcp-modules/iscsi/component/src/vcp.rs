//! The VCP: a disk, or a look for disks, as its configuration says.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use vcp_sdk::Processor;
use vcp_sdk::control::{Areas, Start};
use vcp_sdk::processor::{Effects, Events, Network};

use crate::discovery::Discoverer;
use crate::disk::Disk;
use crate::frames::Frames;
use crate::memory::Memories;
use crate::streams::Streams;
use crate::transport::Transport;

/// The key that asks for discovery instead of a disk.
const DISCOVER: &str = "discover";

/// The iSCSI VCP.
pub struct Iscsi(Role);

enum Role {
    Disk(Box<Disk>),
    Discoverer(Box<Discoverer>),
}

impl Processor for Iscsi {
    fn start(mut start: Start, network: Network) -> Result<(Self, Areas), String> {
        let seed = <[u8; 32]>::try_from(&start.seed[..])
            .map_err(|_| format!("a seed of {} bytes, not 32", start.seed.len()))?;
        let transport = match network {
            Network::Frames(link) => {
                let frames = Frames::new(&link, stack_seed(&seed), start.now)?;
                Transport::Frames(Box::new(frames))
            }
            Network::Streams => Transport::Streams(Streams::new()),
        };
        let memories = Memories::new();
        let areas = memories.areas();
        let discover = take_discover(&mut start)?;
        let role = if discover {
            let discoverer = Discoverer::start(&start, seed, transport, memories)?;
            Role::Discoverer(Box::new(discoverer))
        } else {
            Role::Disk(Box::new(Disk::start(&start, seed, transport, memories)?))
        };
        Ok((Self(role), areas))
    }

    fn process(&mut self, events: &Events) -> Effects {
        match &mut self.0 {
            Role::Disk(disk) => disk.process(events),
            Role::Discoverer(discoverer) => discoverer.process(events),
        }
    }
}

/// What the stack picks its sequence numbers and ports from. The initiator uses
/// the seed by hashing it, so that what the network sees of this tells nothing
/// of that.
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
