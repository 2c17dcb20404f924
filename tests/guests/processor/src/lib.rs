//! A device of nothing but zeroes, behind a network that it makes ill use of. See
//! `../../src/lib.rs`.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

#[path = "../../src/faults/processor.rs"]
pub mod faults;
mod frames;
#[path = "../../common/handover.rs"]
mod handover;
#[path = "../../src/faults/handover.rs"]
pub mod handover_faults;
mod kept;
mod setup;
mod streams;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use vcp_sdk::block::{Completion, Geometry, Notice, Operation, Request, Status};
use vcp_sdk::control::{Areas, Command, Start};
use vcp_sdk::net::streams::Event;
use vcp_sdk::processor::{Effects, Events, Network};
use vcp_sdk::types::{Instant, Span};
use vcp_sdk::{Arena, Handover, Processor};

use kept::Kept;
use setup::Setup;

/// The VCP.
pub struct Misbehave {
    data: Arena,
    zeroes: Arena,
    fault: String,
    setup: Setup,
    handover: handover::Handover,
    kept: Kept,
    /// Calls of `process`.
    calls: u32,
    struck: bool,
    /// Identifier of the stream that is open or being opened.
    stream: u32,
}

impl Processor for Misbehave {
    fn start(start: Start, network: Network) -> Result<(Self, Areas), String> {
        let setup = Setup::read(&start)?;
        let receive = Arena::new(128 << 10, 0);
        let vcp = Self {
            data: Arena::new(256 << 10, 0),
            zeroes: Arena::new(2 << 20, 0),
            fault: setup.fault.clone(),
            handover: handover::Handover::new(&setup.fault),
            setup,
            kept: Kept::default(),
            calls: 0,
            struck: false,
            stream: 0,
        };
        let mut areas = Areas {
            data: vcp.data.span(),
            receive: receive.span(),
        };
        match vcp.fault.as_str() {
            "receive-none" => areas.receive.length = 0,
            "receive-small" => areas.receive.length -= 1,
            _ => {}
        }
        if let Network::Frames(link) = network {
            vcp_sdk::log!(Debug, "a link with an MTU of {}", link.mtu);
        }
        // It lasts as long as the instance.
        core::mem::forget(receive);
        Ok((vcp, areas))
    }

    fn process(&mut self, events: &Events) -> Effects {
        let mut effects = Effects {
            completions: Vec::new(),
            notices: Vec::new(),
            frames: Vec::new(),
            connects: Vec::new(),
            sends: Vec::new(),
            closes: Vec::new(),
            deadline: None,
        };
        self.calls = self.calls.saturating_add(1);
        if self.calls == 1 {
            effects.notices.extend(self.handover.announce(geometry()));
        }
        for event in &events.stream_events {
            if let Event::Closed((_, why)) = event {
                effects
                    .notices
                    .push(Notice::Found(format!("closed: {why}")));
            }
        }
        if !self.handover.is_silent() {
            effects.completions = events.requests.iter().map(|r| self.answer(r)).collect();
        }
        let flush = |request: &Request| request.operation == Operation::Flush;
        let asked = || events.requests.iter().any(flush);
        let due = self.setup.call.map_or_else(asked, |n| self.calls == n);
        let fault = self.fault.clone();
        if fault.starts_with("stream-") && faults::HANDOVER.contains(&&*fault) {
            self.keep(&fault, due, &events.stream_events, &mut effects);
        } else if due && !fault.is_empty() {
            self.struck = true;
            self.send_frames(&fault, &mut effects);
            self.strike_streams(&fault, &mut effects);
        } else if self.struck {
            self.on_events(&fault, &events.stream_events, &mut effects);
        }
        if events.commands.contains(&Command::Stop) {
            effects.notices.push(Notice::Stopped);
        }
        effects
    }
}

impl Handover for Misbehave {
    fn only_copy(&self) -> bool {
        self.handover.only_copy()
    }

    fn snapshot(&mut self, _now: Instant) -> Result<Vec<u8>, String> {
        self.handover.snapshot(self.kept.state().to_vec())
    }

    fn restore(&mut self, _now: Instant, state: &[u8]) -> Result<(), String> {
        let state = self.handover.restore(state, kept::STATE)?;
        self.kept = Kept::resumed(state);
        Ok(())
    }
}

impl Misbehave {
    fn answer(&self, request: &Request) -> Completion {
        let data = if request.operation == Operation::Read {
            Span {
                length: request.length,
                ..self.zeroes.span()
            }
        } else {
            NOTHING
        };
        Completion {
            tag: request.tag,
            status: Status::Ok,
            data,
        }
    }
}

pub(crate) const NOTHING: Span = Span {
    address: 0,
    length: 0,
};

fn geometry() -> Geometry {
    Geometry {
        size: 1 << 20,
        block_size: 512,
        preferred_block_size: 4096,
        max_transfer: 64 << 10,
        max_discard: 0,
        max_write_zeroes: 0,
        extents: false,
        read_only: false,
        write_cache: true,
        identity: String::new(),
    }
}

/// Many of the same.
pub(crate) fn many<T: Clone>(count: usize, one: T) -> Vec<T> {
    vec![one; count]
}

vcp_sdk::export_processor!(Misbehave, handover);
