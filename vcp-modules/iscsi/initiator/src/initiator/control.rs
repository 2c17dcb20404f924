//! PDUs that are neither commands nor data: pings, asynchronous messages, rejects,
//! aborts, and a negotiation that the target requests.

use alloc::format;
use alloc::string::ToString;

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::bhs::{BhsBytes, Opcode, RESERVED_TAG};
use vcp_iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, NopIn, Reject, RejectReason, ScsiCommand, TaskCode, TaskResponse,
    TextResponse, split_sense,
};
use vcp_iscsi_proto::scsi::Sense;
use vcp_iscsi_proto::text::{self, Accumulator, Key, pairs};

use super::session::{Fault, FaultKind};
use super::{Initiator, Phase};
use crate::action::Level;
use crate::control::{Control, Place};
use crate::login::Outgoing;
use crate::scsi::{Ending, Verdict};
use crate::task::{State, TaskId};
use crate::timer::Timer;

const SECOND: u64 = 1_000_000_000;
/// The longest text that a target may send in the full feature phase.
const MAX_TEXT: usize = 8192;

/// A NOP-Out that waits for its NOP-In.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ping {
    itt: u32,
    pub(super) sent_at: u64,
}

/// An ABORT TASK that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abort {
    itt: u32,
    /// The task; `None` if its command was answered meanwhile.
    task: Option<TaskId>,
}

impl Abort {
    pub(super) fn is_of(&self, task: TaskId) -> bool {
        self.task == Some(task)
    }
}

/// A text negotiation in the full feature phase.
#[derive(Debug)]
pub(super) struct TextExchange {
    itt: u32,
    outgoing: Outgoing,
    incoming: Accumulator,
    /// The MaxRecvDataSegmentLength that the target declares; it applies from the end of
    /// the exchange on, unless that fails (RFC 7143 §6.2, §7.12).
    segment: Option<u32>,
}

impl Initiator {
    fn push(&mut self, control: Control) {
        if let Some(connection) = &mut self.connection {
            connection.push(control);
        }
    }

    pub(super) fn send_ping(&mut self, now: u64) {
        let itt = self.tasks.next_tag(Place::Ping as u16);
        self.ping = Some(Ping { itt, sent_at: now });
        self.push(Control::Ping { itt });
        self.timers
            .set(Timer::Ping, now + self.config.timing.nop_timeout);
    }

    /// Handles a NOP-In: a ping, an echo, or only new numbers (RFC 7143 §11.19).
    pub(super) fn nop_in(&mut self, now: u64, nop: &NopIn) -> Result<(), Fault> {
        if nop.itt != RESERVED_TAG {
            if nop.itt as u16 == Place::Plug as u16 {
                return Ok(());
            }
            if self.ping.is_none_or(|ping| ping.itt != nop.itt) {
                return Err("a NOP-In that answers no NOP-Out".into());
            }
            self.pinged(now);
            return Ok(());
        }
        if nop.ttt != RESERVED_TAG {
            let waiting = self.connection.as_ref().map_or(0, |c| c.controls());
            if waiting >= 64 {
                return Err("more pings than anyone can answer".into());
            }
            self.push(Control::Pong {
                lun: nop.lun,
                ttt: nop.ttt,
            });
        }
        Ok(())
    }

    fn pinged(&mut self, now: u64) {
        self.ping = None;
        self.timers.stop(Timer::Ping);
        self.timers
            .set(Timer::Idle, now + self.config.timing.nop_interval);
    }

    /// Handles an Asynchronous Message (RFC 7143 §11.9).
    pub(super) fn async_message(
        &mut self,
        now: u64,
        message: &AsyncMessage,
        data: &[u8],
    ) -> Result<(), Fault> {
        let asked = |reason: &str, seconds: u16| {
            let kind = FaultKind::Asked(u64::from(seconds) * SECOND);
            Err(Fault {
                reason: reason.into(),
                kind,
            })
        };
        match message.event {
            AsyncEvent::Scsi => {
                let (sense, _) = split_sense(data).map_err(|e| e.to_string())?;
                if let Ok(sense) = Sense::parse(sense) {
                    self.heed(Some(&sense));
                    self.log(Level::Info, format!("{} reports {sense}", self.place()));
                }
                self.look_again();
                Ok(())
            }
            AsyncEvent::LogoutRequest { within } => {
                self.begin_relogin(now, u64::from(within) * SECOND);
                Ok(())
            }
            AsyncEvent::DropConnection { time2wait, .. } => {
                asked("the target drops the connection", time2wait)
            }
            AsyncEvent::DropSession { time2wait, .. } => {
                asked("the target drops the session", time2wait)
            }
            AsyncEvent::Negotiate { .. } => {
                self.begin_text();
                Ok(())
            }
            // This is allowed only after TaskReporting=FastAbort, which is not
            // negotiated.
            AsyncEvent::TasksTerminated => {
                Err("it terminates tasks in a way that was not negotiated".into())
            }
            AsyncEvent::Other { event, .. } => {
                self.log(
                    Level::Info,
                    format!("{}: asynchronous event {event}", self.place()),
                );
                Ok(())
            }
        }
    }

    /// Begins a negotiation that the target requests: declares our limits again, and
    /// answers its questions.
    fn begin_text(&mut self) {
        if self.text.is_some() {
            return;
        }
        let itt = self.tasks.next_tag(Place::Text as u16);
        let mut outgoing = Outgoing::default();
        let length = self.config.offer.max_recv_data_segment_length;
        outgoing
            .pairs()
            .put(Key::MaxRecvDataSegmentLength.name(), length);
        self.text = Some(TextExchange {
            itt,
            outgoing,
            incoming: Accumulator::new(MAX_TEXT),
            segment: None,
        });
        self.send_text(RESERVED_TAG, Lun::default());
    }

    fn send_text(&mut self, ttt: u32, lun: Lun) {
        let (Some(exchange), Some(connection)) = (&mut self.text, &mut self.connection) else {
            return;
        };
        let limit = connection.params.max_send_segment as usize;
        let (text, is_continued) = match exchange.incoming.is_empty() {
            true => exchange.outgoing.segment(limit),
            // It is still the target's turn.
            false => (alloc::vec::Vec::new(), false),
        };
        let is_final = !is_continued && exchange.incoming.is_empty();
        let itt = exchange.itt;
        connection.push(Control::Text {
            itt,
            ttt,
            lun,
            is_final,
            is_continued,
            // If it is rejected, no number stays open.
            numbered: false,
            text,
        });
    }

    /// Handles a Text Response (RFC 7143 §11.11).
    pub(super) fn text_response(
        &mut self,
        response: &TextResponse,
        data: &[u8],
    ) -> Result<(), Fault> {
        let Some(exchange) = self.text.as_mut().filter(|e| e.itt == response.itt) else {
            return Err("a Text Response to no request".into());
        };
        exchange.incoming.push(data).map_err(|e| e.to_string())?;
        // The tag of a final response has no meaning (RFC 7143 §11.10.4).
        if !response.is_final && response.ttt == RESERVED_TAG {
            return Err("a Text Response that neither ends nor can be continued".into());
        }
        if !response.is_continued {
            let text = exchange.incoming.take();
            for pair in pairs(&text) {
                let pair = pair.map_err(|e| e.to_string())?;
                match Key::from_name(pair.key) {
                    Some(key @ Key::MaxRecvDataSegmentLength) => {
                        let length = key.spec().number(pair.value).map_err(|e| e.to_string())?;
                        if exchange.segment.replace(length).is_some() {
                            return Err(format!("{key} declared twice").into());
                        }
                    }
                    Some(_) => {}
                    None if matches!(pair.value, text::NOT_UNDERSTOOD | text::REJECT) => {}
                    None => exchange
                        .outgoing
                        .pairs()
                        .put(pair.key, text::NOT_UNDERSTOOD),
                }
            }
        }
        if response.is_final {
            if let (Some(length), Some(connection)) = (exchange.segment, &mut self.connection) {
                connection.params.max_send_segment = length;
            }
            self.text = None;
        } else {
            self.send_text(response.ttt, response.lun);
        }
        Ok(())
    }

    /// Handles a Reject (RFC 7143 §11.17, §7.3).
    pub(super) fn rejected(&mut self, now: u64, reject: &Reject, data: &[u8]) -> Result<(), Fault> {
        let header = Reject::rejected(data).map_err(|e| e.to_string())?;
        let opcode = Opcode::parse(header[0]).map_err(|e| e.to_string())?;
        if opcode != Opcode::ScsiCommand {
            let line = format!("{}: {opcode:?} rejected: {}", self.place(), reject.reason);
            self.log(Level::Warn, line);
        }
        if reject.reason == RejectReason::NegotiationReset {
            // RFC 7143 §11.17.1, note 3, forbids it.
            return Err("it resets a negotiation in a way that is no longer used".into());
        }
        match opcode {
            Opcode::ScsiCommand => self.rejected_command(now, reject.reason, header),
            // The target ends the command with a separate status.
            Opcode::DataOut => Ok(()),
            Opcode::NopOut => {
                self.pinged(now);
                Ok(())
            }
            Opcode::TextRequest => {
                self.text = None;
                Ok(())
            }
            _ => Err(format!("{opcode:?} was rejected: {}", reject.reason).into()),
        }
    }

    fn rejected_command(
        &mut self,
        now: u64,
        reason: RejectReason,
        header: &BhsBytes,
    ) -> Result<(), Fault> {
        let command = ScsiCommand::parse(header).map_err(|e| e.to_string())?;
        let id = self
            .tasks
            .find(command.itt)
            .ok_or("a command was rejected that is not under way")?;
        let cmd_sn = self.tasks.get(id).progress.cmd_sn;
        let itt = self.tasks.next_tag(Place::Plug as u16);
        if let Some(connection) = &mut self.connection
            && !connection.numbers.is_taken(cmd_sn)
        {
            connection.push(Control::Plug { itt, cmd_sn });
        }
        let verdict = match reason {
            RejectReason::TooManyImmediate
            | RejectReason::TaskInProgress
            | RejectReason::LongOperation => Verdict::Busy,
            // The command waits for the next session.
            RejectReason::WaitingForLogout => {
                self.begin_relogin(now, 2 * SECOND);
                Verdict::Busy
            }
            _ => Verdict::Aborted,
        };
        self.settle(now, id, verdict, &Ending::Rejected(reason))
    }

    /// Asks the target to abort a command that it does not answer (RFC 7143 §11.5).
    pub(super) fn abort_task(&mut self, now: u64, id: TaskId) {
        let itt = self.tasks.next_tag(Place::Abort as u16);
        let task = self.tasks.get_mut(id);
        task.state = State::Aborting;
        let (lun, cmd_sn) = (task.progress.lun, task.progress.cmd_sn);
        let control = Control::Abort {
            itt,
            lun,
            task: task.itt,
            cmd_sn,
        };
        self.log(
            Level::Warn,
            format!("{}: a command is not answered; aborting it", self.place()),
        );
        self.abort = Some(Abort {
            itt,
            task: Some(id),
        });
        self.push(control);
        self.timers
            .set(Timer::TaskManagement, now + self.short_timeout());
    }

    /// Notes that the command was answered after all; the answer to the abort still
    /// comes.
    pub(super) fn abort_overtaken(&mut self) {
        if let Some(abort) = &mut self.abort {
            abort.task = None;
        }
    }

    /// Handles a Task Management Function Response (RFC 7143 §11.6).
    pub(super) fn task_response(&mut self, now: u64, response: &TaskResponse) -> Result<(), Fault> {
        let abort = self
            .abort
            .take_if(|abort| abort.itt == response.itt)
            .ok_or("an answer to a task management request that was not made")?;
        self.timers.stop(Timer::TaskManagement);
        let Some(id) = abort.task else { return Ok(()) };
        match response.code {
            TaskCode::Complete | TaskCode::NoTask => {
                if let Some(connection) = &mut self.connection {
                    connection.forget(id, self.tasks.get(id).progress.owes());
                }
                self.unanswered(now, id)
            }
            code => Err(format!("a command can't be aborted: {code}").into()),
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Surveying)
    }
}
