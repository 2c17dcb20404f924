//! A tiny RAM disk that does what its configuration says it should not. See
//! `../../src/lib.rs`.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod act;
mod deep;
mod disk;
#[path = "../../src/faults/device.rs"]
pub mod faults;
mod setup;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use vcp_sdk::block::{Completion, Notice, Operation, Request, Status};
use vcp_sdk::control::{Areas, Command, Start};
use vcp_sdk::device::Effects;
use vcp_sdk::types::{Instant, Span};
use vcp_sdk::{Arena, Device};

use disk::Disk;

pub(crate) const NOTHING: Span = Span {
    address: 0,
    length: 0,
};

/// The VCP.
pub struct Misbehave {
    disk: Disk,
    data: Arena,
    /// The fault, if this generation has it; or else empty.
    fault: String,
    announced: bool,
    /// The flush that set it off has come.
    struck: bool,
    /// Tags that it has answered, or kept to answer when it should not.
    kept: Vec<u64>,
}

impl Device for Misbehave {
    fn start(start: Start) -> Result<(Self, Areas), String> {
        let fault = setup::fault(&start)?;
        let vcp = Self {
            disk: Disk::new(),
            data: Arena::new(setup::DATA_AREA, 0),
            fault,
            announced: false,
            struck: false,
            kept: Vec::new(),
        };
        let areas = setup::areas(&vcp.fault, vcp.data.span())?;
        Ok((vcp, areas))
    }

    fn process(&mut self, now: Instant, commands: &[Command], requests: &[Request]) -> Effects {
        let mut effects = Effects {
            completions: Vec::new(),
            notices: Vec::new(),
            deadline: None,
        };
        if !self.announced {
            self.announced = true;
            let geometry = setup::geometry(&self.fault);
            effects.notices.push(Notice::Ready(geometry));
        }
        let asked = requests
            .iter()
            .any(|request| request.operation == Operation::Flush);
        if (asked || self.struck) && !self.fault.is_empty() {
            let first = !self.struck;
            self.struck = true;
            let fault = self.fault.to_string();
            self.act(&fault, first, requests, &mut effects);
        } else {
            effects.completions = requests.iter().map(|r| self.answer(r)).collect();
        }
        if !commands.is_empty() {
            self.leave(now, &mut effects);
        }
        effects
    }
}

impl Misbehave {
    pub(crate) fn answer(&mut self, request: &Request) -> Completion {
        let data = self.disk.execute(request, &self.data);
        Completion {
            tag: request.tag,
            status: Status::Ok,
            data,
        }
    }

    fn leave(&mut self, now: Instant, effects: &mut Effects) {
        let fault = self.fault.to_string();
        match fault.as_str() {
            "stop-ignored" => return,
            "stop-trap" => panic!("told to stop"),
            "stop-failed" => effects.notices = vec![Notice::Failed(String::from("won't stop"))],
            "stop-loop" => deep::forever(now),
            "stop-late-answer" => {
                effects.completions = self.kept.drain(..).map(setup::done).collect();
            }
            _ => {}
        }
        effects.notices.push(Notice::Stopped);
    }
}

vcp_sdk::export_device!(Misbehave);
