//! A device that can't serve for the time being, or says so.

use alloc::string::String;
use alloc::vec::Vec;

use vcp_sdk::block::{Notice, Request};
use vcp_sdk::device::Effects;
use vcp_sdk::types::Instant;

use crate::{Misbehave, setup};

/// What it keeps meanwhile.
#[derive(Default)]
pub(crate) struct Suspension {
    since: Option<Instant>,
    over: bool,
    held: Vec<Request>,
}

impl Misbehave {
    /// Holds requests until it resumes, which without `config.resume` is never.
    pub(crate) fn suspend(&mut self, now: Instant, requests: &[Request], effects: &mut Effects) {
        let suspension = &mut self.suspension;
        suspension.held.extend_from_slice(requests);
        let since = *suspension.since.get_or_insert_with(|| {
            let why = String::from("as you wish");
            effects.notices.push(Notice::Suspended(why));
            now
        });
        let until = self.setup.resume.map(|time| since.saturating_add(time));
        if !suspension.over && until.is_some_and(|until| until <= now) {
            suspension.over = true;
            effects.notices.push(Notice::Ready(setup::geometry("")));
        }
        if suspension.over {
            let held = core::mem::take(&mut suspension.held);
            effects.completions = held.iter().map(|r| self.answer(r)).collect();
        } else {
            effects.deadline = until;
        }
    }
}
