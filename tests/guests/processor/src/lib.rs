//! A device of nothing but zeroes, behind a network that it makes ill use of. See
//! `../../src/lib.rs`.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

#[path = "../../src/faults/processor.rs"]
pub mod faults;
mod frames;
mod setup;
mod streams;

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use vcp_sdk::block::{Completion, Geometry, Notice, Operation, Request, Status};
use vcp_sdk::control::{Areas, Start};
use vcp_sdk::net::streams::Event;
use vcp_sdk::processor::{Effects, Events, Network};
use vcp_sdk::types::Span;
use vcp_sdk::{Arena, Processor};

/// The VCP.
pub struct Misbehave {
    data: Arena,
    zeroes: Arena,
    fault: String,
    peer: (String, u16),
    announced: bool,
    struck: bool,
    /// Identifier of the stream that is open or being opened.
    stream: u32,
}

impl Processor for Misbehave {
    fn start(start: Start, network: Network) -> Result<(Self, Areas), String> {
        let (fault, peer) = setup::fault(&start)?;
        let receive = Arena::new(128 << 10, 0);
        let vcp = Self {
            data: Arena::new(256 << 10, 0),
            zeroes: Arena::new(2 << 20, 0),
            fault,
            peer,
            announced: false,
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
        if !self.announced {
            self.announced = true;
            effects.notices.push(Notice::Ready(geometry()));
        }
        for event in &events.stream_events {
            if let Event::Closed((_, why)) = event {
                effects
                    .notices
                    .push(Notice::Found(format!("closed: {why}")));
            }
        }
        effects.completions = events.requests.iter().map(|r| self.answer(r)).collect();
        let asked = events
            .requests
            .iter()
            .any(|request| request.operation == Operation::Flush);
        let fault = self.fault.clone();
        if asked && !fault.is_empty() {
            self.struck = true;
            self.send_frames(&fault, &mut effects);
            self.strike_streams(&fault, &mut effects);
        } else if self.struck {
            self.on_events(&fault, &events.stream_events, &mut effects);
        }
        if !events.commands.is_empty() {
            effects.notices.push(Notice::Stopped);
        }
        effects
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
        read_only: false,
        write_cache: true,
        identity: String::new(),
    }
}

/// Many of the same.
pub(crate) fn many<T: Clone>(count: usize, one: T) -> Vec<T> {
    vec![one; count]
}

vcp_sdk::export_processor!(Misbehave);
