//! The order of sending: first other requests, then commands as long as the window is
//! open, then data. Commands go before data, because a target can work on many; data goes
//! in the order in which it became due (RFC 7143 §4.2.5).

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::bhs::{BHS_LEN, RESERVED_TAG};
use vcp_iscsi_proto::pdu::{ScsiCommand, TaskAttribute};

use super::{Initiator, Phase};
use crate::block::{Memory, Operation};
use crate::login::Params;
use crate::scsi::{plan, start_unit};
use crate::task::{Command, Owner, Progress, TaskId};
use crate::timer::Timer;

impl Initiator {
    pub(super) fn outgoing(&mut self, now: u64, out: &mut [u8], memory: &impl Memory) -> usize {
        let mut written = 0;
        loop {
            let Some(connection) = &mut self.connection else {
                return written;
            };
            written += connection.fill(&mut out[written..], memory);
            if written == out.len() || !self.next_pdu(now) {
                return written;
            }
        }
    }

    pub(super) fn has_outgoing(&self) -> bool {
        let Some(connection) = &self.connection else {
            return false;
        };
        if self.is_logged_out() {
            return connection.is_busy() || connection.controls() > 0;
        }
        connection.has_output() || self.next_command().is_some()
    }

    /// Begins the next PDU; `false` when there is none.
    fn next_pdu(&mut self, now: u64) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        if connection.start_control() {
            return true;
        }
        if self.is_logged_out() {
            return false;
        }
        if let Some(id) = self.next_command() {
            self.start_command(now, id);
            return true;
        }
        match &mut self.connection {
            Some(connection) => connection.start_data(&mut self.tasks),
            None => false,
        }
    }

    /// The first task in the queue whose command may be sent now.
    fn next_command(&self) -> Option<TaskId> {
        let connection = self.connection.as_ref()?;
        if !connection.numbers.window_open() || self.timers.is_set(Timer::Throttle) {
            return None;
        }
        if self.tasks.alone().is_some() {
            return None;
        }
        let requests = matches!(self.phase, Phase::Ready) && !self.is_draining();
        for id in self.tasks.waiting() {
            let task = self.tasks.get(id);
            match &task.owner {
                Owner::Free => {}
                Owner::Survey(_) | Owner::Start => return Some(id),
                // The initiator's own commands go before all of these.
                Owner::Request(_) if !requests => return None,
                // A flush waits for what was submitted before it; other requests need not
                // wait for it.
                Owner::Request(request)
                    if request.operation == Operation::Flush
                        && task.replayed
                        && self.tasks.any_before(task.order) => {}
                Owner::Request(_) if self.tasks.is_suspect(id) && self.tasks.active() > 0 => {
                    return None;
                }
                Owner::Request(_) => return Some(id),
            }
        }
        None
    }

    /// Sends the command of a task in the queue.
    fn start_command(&mut self, now: u64, id: TaskId) {
        let Some((command, lun)) = self.prepare(id) else {
            return;
        };
        let Some(connection) = &mut self.connection else {
            return;
        };
        self.tasks.activate(id);
        let sn = connection.numbers.command();
        let params = &connection.params;
        let task = self.tasks.get_mut(id);
        task.command = command;
        task.progress = Progress::new(lun, sn.cmd_sn, now);
        let progress = &mut task.progress;
        let (immediate, unsolicited) = unasked(&command, params);
        progress.sent = immediate;
        progress.asked = unsolicited;
        progress.unsolicited = unsolicited > immediate;
        let pdu = ScsiCommand {
            immediate: false,
            is_final: unsolicited == immediate,
            read: command.is_read(),
            write: command.is_write(),
            attribute: TaskAttribute::Simple,
            ahs_len: 0,
            data_len: immediate,
            lun,
            itt: task.itt,
            expected_len: command.length,
            sn,
            cdb: command.cdb,
        };
        let mut header = [0; BHS_LEN];
        pdu.emit(&mut header);
        if unsolicited > immediate {
            connection.push_burst(id, task.itt, RESERVED_TAG, lun, (immediate, unsolicited));
        }
        connection.start(&header, command.payload(0, immediate), Some(id));
        if !self.timers.is_set(Timer::Watch) {
            self.timers
                .set(Timer::Watch, now + self.config.timing.command_timeout);
        }
    }

    /// The command that a task needs now, and its LUN.
    fn prepare(&mut self, id: TaskId) -> Option<(Command, Lun)> {
        let task = self.tasks.get(id);
        match (&task.owner, &mut self.survey, &self.device) {
            (Owner::Survey(place), Some(survey), _) => Some(survey.ask(*place)),
            (Owner::Start, ..) => Some((start_unit(), self.lun)),
            (Owner::Request(request), _, Some(device)) => {
                Some((plan(device, request, task.step, task.done), self.lun))
            }
            _ => None,
        }
    }
}

/// The bytes of a command's data that go with it, and those that may be sent without an
/// R2T, the former included (RFC 7143 §13.10, §13.11, §13.14).
fn unasked(command: &Command, params: &Params) -> (u32, u32) {
    if !command.is_write() {
        return (0, 0);
    }
    let first = command.length.min(params.first_burst);
    let immediate = match params.immediate_data {
        true => params.segment(first),
        false => 0,
    };
    (
        immediate,
        if params.initial_r2t { immediate } else { first },
    )
}
