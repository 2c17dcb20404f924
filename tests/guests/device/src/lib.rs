//! A tiny RAM disk that does what its configuration says it should not. See
//! `../../src/lib.rs`.
#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod act;
mod deep;
mod disk;
#[path = "../../src/faults/device.rs"]
pub mod faults;
#[path = "../../common/handover.rs"]
mod handover;
#[path = "../../src/faults/handover.rs"]
pub mod handover_faults;
#[path = "../../src/faults/recovery.rs"]
pub mod recovery_faults;
mod setup;
mod suspend;

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use vcp_sdk::block::{Completion, Notice, Operation, Request, Status};
use vcp_sdk::control::{Areas, Command, Start};
use vcp_sdk::device::Effects;
use vcp_sdk::types::{Instant, Span};
use vcp_sdk::{Arena, Device, Handover};

use disk::Disk;
use setup::Setup;
use suspend::Suspension;

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
    setup: Setup,
    handover: handover::Handover,
    /// Calls of `process`.
    calls: u32,
    /// The flush that set it off has come.
    struck: bool,
    /// Tags that it has answered, or kept to answer when it should not.
    kept: Vec<u64>,
    /// What it last said of extents.
    words: Vec<u8>,
    suspension: Suspension,
}

impl Device for Misbehave {
    fn start(start: Start) -> Result<(Self, Areas), String> {
        let setup = Setup::read(&start)?;
        let vcp = Self {
            disk: Disk::new(),
            data: Arena::new(setup::DATA_AREA, 0),
            fault: setup.fault.clone(),
            handover: handover::Handover::new(&setup.fault),
            setup,
            calls: 0,
            struck: false,
            kept: Vec::new(),
            words: Vec::new(),
            suspension: Suspension::default(),
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
        self.calls = self.calls.saturating_add(1);
        if self.calls == 1 {
            self.announce(&mut effects);
        }
        let first = !self.struck;
        self.struck = self.is_struck(requests);
        match self.fault.clone().as_str() {
            _ if self.handover.is_silent() => {}
            "suspend" if self.struck => self.suspend(now, requests, &mut effects),
            "put-off" if self.struck => self.put_off(now, requests, &mut effects),
            "deaf" if self.struck => self.come_and_go(now, requests, &mut effects),
            fault if self.struck => self.act(fault, first, requests, &mut effects),
            _ => effects.completions = requests.iter().map(|r| self.answer(r)).collect(),
        }
        if commands.contains(&Command::Stop) {
            self.leave(now, &mut effects);
        }
        effects
    }
}

impl Handover for Misbehave {
    fn only_copy(&self) -> bool {
        self.handover.only_copy()
    }

    fn snapshot(&mut self, _now: Instant) -> Result<Vec<u8>, String> {
        self.handover.snapshot(self.disk.bytes().to_vec())
    }

    fn restore(&mut self, _now: Instant, state: &[u8]) -> Result<(), String> {
        self.disk.fill(self.handover.restore(state, disk::SIZE)?);
        Ok(())
    }
}

impl Misbehave {
    /// Whether the fault has struck, or does in this call.
    fn is_struck(&self, requests: &[Request]) -> bool {
        let asked = || requests.iter().any(|r| r.operation == Operation::Flush);
        let now = self.setup.call.map_or_else(asked, |n| self.calls == n);
        !self.fault.is_empty() && (self.struck || now)
    }

    fn announce(&self, effects: &mut Effects) {
        let notice = match self.fault.as_str() {
            "never-ready" => None,
            "suspended-first" => Some(Notice::Suspended("not yet".into())),
            "failed-first" => Some(Notice::Failed("not like this".into())),
            _ => self.handover.announce(setup::geometry(&self.fault)),
        };
        effects.notices.extend(notice);
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

vcp_sdk::export_device!(Misbehave, handover);
