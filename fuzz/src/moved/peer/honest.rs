//! Answers as they should be.

use vcp_iscsi_proto::pdu::Residual;
use vcp_iscsi_proto::scsi::Status as ScsiStatus;

use super::{Chunk, Peer, Response};
use crate::moved::ledger::{Ledger, Outcome};
use crate::moved::settings::Settings;

impl Peer {
    /// From here on commands are answered as they should be, those under way included.
    pub(in crate::moved) fn turn_honest(&mut self) {
        self.honest = true;
        self.release_abort();
        self.tasks.iter_mut().for_each(|task| task.honest = true);
    }

    /// Goes on with all commands that are answered honestly.
    pub(in crate::moved) fn go_on(&mut self, settings: &Settings, ledger: &mut Ledger) {
        for at in 0..self.tasks.len() {
            let task = &self.tasks[at];
            if !task.honest || task.answered {
                continue;
            }
            if task.read {
                self.read_on(at, settings);
            } else {
                self.write_on(at, settings, ledger);
            }
        }
    }

    /// The rest of a read, and its status.
    fn read_on(&mut self, at: usize, settings: &Settings) {
        let end = (ScsiStatus::Good, Residual::None, Outcome::Done);
        let rest = self.tasks[at].rest();
        let end = (rest > 0 && settings.status_in_data).then_some(end);
        self.data_ins(at, rest, settings, end);
        if !self.tasks[at].answered {
            self.respond(at, &Response::of(ScsiStatus::Good, Outcome::Done));
        }
    }

    /// The next R2T of a write, or its status if all of it is there.
    fn write_on(&mut self, at: usize, settings: &Settings, ledger: &mut Ledger) {
        if self.is_moved(at, ledger) {
            return self.respond(at, &Response::of(ScsiStatus::Good, Outcome::Done));
        }
        let task = &self.tasks[at];
        if task.open.is_empty() && task.unsolicited.is_none() && task.at < task.length {
            let rest = task.rest();
            self.r2t(at, &Chunk::of(rest.min(settings.max_burst)));
        }
    }

    /// Whether all data of a command was moved, so that it may be said to be done.
    pub(in crate::moved) fn is_moved(&self, at: usize, ledger: &mut Ledger) -> bool {
        let task = &self.tasks[at];
        if task.read {
            task.at == task.length
        } else {
            ledger.attempt(task.id).moved.covers(task.length)
        }
    }

    /// Whether there may be another R2T for a command.
    pub(in crate::moved) fn may_ask(&self, at: usize, settings: &Settings) -> bool {
        let task = &self.tasks[at];
        task.unsolicited.is_none() && (task.open.len() as u32) < settings.max_outstanding_r2t
    }
}
