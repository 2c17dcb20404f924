//! A device that can't serve for the time being, or says so.

use alloc::string::String;
use alloc::vec::Vec;

use vcp_sdk::block::{Notice, Operation, Request};
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

impl Misbehave {
    /// Holds flushes until it resumes, and says so; answers everything else.
    pub(crate) fn put_off(&mut self, now: Instant, requests: &[Request], effects: &mut Effects) {
        let (flushes, others): (Vec<Request>, Vec<Request>) = requests
            .iter()
            .partition(|request| request.operation == Operation::Flush);
        self.suspend(now, &flushes, effects);
        let answers = others.iter().map(|request| self.answer(request));
        effects.completions.extend(answers);
    }

    /// Has sessions, each as long as the time until it resumes and as long again, and
    /// answers in them what it is asked; but never a flush.
    pub(crate) fn come_and_go(
        &mut self,
        now: Instant,
        requests: &[Request],
        effects: &mut Effects,
    ) {
        let asked = requests
            .iter()
            .filter(|request| request.operation != Operation::Flush);
        self.suspension.held.extend(asked.copied());
        let period = self.setup.resume.unwrap_or(Instant::MAX);
        let until = self.suspension.since.unwrap_or(0).saturating_add(period);
        if self.suspension.since.is_none() || until <= now {
            let serving = self.suspension.since.is_some() && !self.suspension.over;
            self.suspension.over = serving;
            self.suspension.since = Some(now);
            effects.notices.push(if serving {
                Notice::Ready(setup::geometry(""))
            } else {
                Notice::Suspended(String::from("no answer to a flush"))
            });
        }
        if self.suspension.over {
            let held = core::mem::take(&mut self.suspension.held);
            effects.completions = held.iter().map(|r| self.answer(r)).collect();
        }
        let since = self.suspension.since.unwrap_or(now);
        effects.deadline = Some(since.saturating_add(period));
    }
}
