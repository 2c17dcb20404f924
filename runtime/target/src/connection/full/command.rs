//! SCSI Command and SCSI Response (RFC 7143 §11.3, §11.4).

use vcp_iscsi_proto::RESERVED_TAG;
use vcp_iscsi_proto::pdu::{RejectReason, Residual, ResponseCode, ScsiCommand, ScsiResponse};
use vcp_iscsi_proto::scsi::Status;

use super::super::input::Pdu;
use super::super::wire::{End, Wire};
use super::task::{Receiving, Sending, Sequence, Sink, Source, Task, Work, residual};
use super::{FullFeature, MAX_IMMEDIATE};
use crate::lun::{Action, Refusal, Sense};

impl FullFeature {
    pub(super) fn command(
        &mut self,
        wire: &mut Wire,
        pdu: &Pdu<'_>,
        command: &ScsiCommand,
    ) -> Result<(), End> {
        if let Some(reason) = self.refuse(wire, command) {
            self.reject(wire, pdu.header, reason);
            return Ok(());
        }
        let node = self
            .session
            .node
            .clone()
            .expect("discovery sessions have no commands");
        let action = match self.check_data(wire, command) {
            Ok(()) => node.units.start(self.nexus(), command.lun.0, &command.cdb),
            Err(refusal) => Err(refusal),
        };
        let mut task = Task {
            itt: command.itt,
            lun: command.lun,
            cdb: command.cdb,
            cmd_sn: command.sn.cmd_sn,
            counted: !command.immediate,
            expected: command.expected_len,
            wanted: 0,
            unit: node.units.unit(command.lun.0).cloned(),
            data_sn: 0,
            work: Work::Respond(Ok(())),
        };
        match action {
            Ok(Action::Data(bytes)) => {
                let length = bytes.len() as u64;
                self.send_data(wire, task, command, Source::Bytes(bytes), length);
            }
            Ok(Action::Read { offset, length }) => {
                self.send_data(wire, task, command, Source::Medium(offset), length.into());
            }
            Ok(Action::Write {
                offset,
                length,
                fua,
            }) => {
                let sink = Sink::for_write(task.unit.as_deref(), offset, length, fua);
                self.fetch(wire, task, command, pdu.data, sink, length)?;
            }
            Ok(Action::Parameters { length }) => {
                let length = length.min(crate::lun::MAX_PARAMETERS);
                let kept = if command.write {
                    length.min(command.expected_len)
                } else {
                    0
                };
                let sink = Sink::Parameters(vec![0; kept as usize]);
                self.fetch(wire, task, command, pdu.data, sink, length)?;
            }
            Ok(Action::Good) => self.without_data(wire, task, command, pdu.data, Ok(()))?,
            Err(refusal) => {
                task.unit = None;
                self.without_data(wire, task, command, pdu.data, Err(refusal))?;
            }
        }
        Ok(())
    }

    /// Rejects commands that must not be executed at all.
    fn refuse(&self, wire: &Wire, command: &ScsiCommand) -> Option<RejectReason> {
        if command.itt == RESERVED_TAG {
            wire.violate("SCSI Command with the reserved ITT (RFC 7143 §11.2.1.8)");
            return Some(RejectReason::InvalidPduField);
        }
        if self.tasks.contains_key(&command.itt) {
            wire.violate(format!(
                "ITT {:#x} is in use (RFC 7143 §11.2.1.8)",
                command.itt
            ));
            return Some(RejectReason::TaskInProgress);
        }
        let immediate = self.tasks.values().filter(|task| !task.counted).count();
        (command.immediate && immediate >= MAX_IMMEDIATE).then_some(RejectReason::TooManyImmediate)
    }

    /// Checks the rules for data that comes with a command (RFC 7143 §11.3.1, §11.3.4).
    fn check_data(&self, wire: &Wire, command: &ScsiCommand) -> Result<(), Refusal> {
        let p = &self.session.parameters;
        let unexpected = Sense::UNEXPECTED_UNSOLICITED_DATA;
        let broken = |broken: bool, sense: Sense, text: &str| {
            if !broken {
                return Ok(());
            }
            wire.violate(format!("SCSI Command {text}"));
            Err(Refusal::Check(sense))
        };
        let data = command.data_len;
        let rule = Sense::INCORRECT_AMOUNT_OF_DATA;
        broken(
            data > 0 && !command.write,
            unexpected,
            "with data but no W bit (RFC 7143 §11.3.1)",
        )?;
        broken(
            data > 0 && !p.immediate_data,
            unexpected,
            "with data although ImmediateData=No (RFC 7143 §13.11)",
        )?;
        broken(
            data > p.first_burst,
            rule,
            "with more than FirstBurstLength (RFC 7143 §13.14)",
        )?;
        broken(
            data > command.expected_len,
            rule,
            "with more data than expected (RFC 7143 §11.3.4)",
        )?;
        let pending = !command.is_final;
        broken(
            pending && !command.write,
            unexpected,
            "without F and W bits (RFC 7143 §11.3.1)",
        )?;
        broken(
            pending && p.initial_r2t,
            unexpected,
            "without F bit although InitialR2T=Yes (RFC 7143 §13.10)",
        )?;
        let complete = data >= command.expected_len.min(p.first_burst);
        broken(
            pending && complete,
            rule,
            "without F bit but with all its data (RFC 7143 §11.3.4)",
        )?;
        let both = command.read && command.write;
        if both {
            Err(Sense::INVALID_FIELD_IN_CDB.into())
        } else {
            Ok(())
        }
    }

    fn send_data(
        &mut self,
        wire: &mut Wire,
        mut task: Task,
        command: &ScsiCommand,
        source: Source,
        length: u64,
    ) {
        task.wanted = length;
        if !command.read {
            task.expected = 0;
        }
        let length = u32::try_from(length.min(task.expected.into())).expect("a minimum with u32");
        if length == 0 {
            return self.respond(wire, &task, Ok(()), task.residual());
        }
        let delay = task
            .unit
            .as_ref()
            .map(|unit| unit.delay(&task.cdb))
            .unwrap_or_default();
        task.work = Work::Send(Sending {
            source,
            sent: 0,
            length,
        });
        if delay.is_zero() {
            self.sending.push_back(task.itt);
        } else {
            self.delayed.push((wire.now + delay, task.itt));
        }
        self.insert(task);
    }

    fn fetch(
        &mut self,
        wire: &mut Wire,
        mut task: Task,
        command: &ScsiCommand,
        data: &[u8],
        sink: Sink,
        length: u32,
    ) -> Result<(), End> {
        task.wanted = length.into();
        if !command.write {
            task.expected = 0;
        }
        let length = length.min(task.expected);
        self.receive(wire, task, command, data, sink, length, None)
    }

    /// Ends a command that transfers no data, although data may be under way.
    fn without_data(
        &mut self,
        wire: &mut Wire,
        task: Task,
        command: &ScsiCommand,
        data: &[u8],
        outcome: Result<(), Refusal>,
    ) -> Result<(), End> {
        if command.write && !command.is_final {
            return self.receive(wire, task, command, data, Sink::Nothing, 0, outcome.err());
        }
        let residual = task.residual();
        self.respond(wire, &task, outcome, residual);
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one command, used in two places"
    )]
    fn receive(
        &mut self,
        wire: &mut Wire,
        mut task: Task,
        command: &ScsiCommand,
        data: &[u8],
        sink: Sink,
        length: u32,
        failure: Option<Refusal>,
    ) -> Result<(), End> {
        let first_burst = self.session.parameters.first_burst;
        let unsolicited = (command.write && !command.is_final).then(|| Sequence {
            ttt: RESERVED_TAG,
            start: command.data_len,
            end: command.expected_len.min(first_burst).max(command.data_len),
            received: 0,
            data_sn: 0,
        });
        let asked = command.data_len;
        let mut receiving = Receiving {
            sink,
            length,
            unsolicited,
            asked,
            r2ts: Vec::new(),
            failure,
        };
        receiving.take(task.unit.as_deref(), 0, data);
        task.work = Work::Receive(receiving);
        let itt = task.itt;
        self.insert(task);
        self.advance(wire, itt);
        Ok(())
    }

    fn insert(&mut self, task: Task) {
        self.counted += u32::from(task.counted);
        self.tasks.insert(task.itt, task);
    }

    /// Removes a task from the table.
    pub(super) fn remove(&mut self, itt: u32) -> Option<Task> {
        let mut task = self.tasks.remove(&itt)?;
        self.vacate(&mut task);
        Some(task)
    }

    /// Returns a task's place in the command window.
    pub(super) fn vacate(&mut self, task: &mut Task) {
        self.counted -= u32::from(std::mem::take(&mut task.counted));
    }

    /// Sends the response to a task that has been removed from the table.
    pub(super) fn respond(
        &mut self,
        wire: &mut Wire,
        task: &Task,
        outcome: Result<(), Refusal>,
        residual_when_good: Residual,
    ) {
        let (status, sense, residual) = match outcome {
            Ok(()) => (0, Vec::new(), residual_when_good),
            Err(refusal) => {
                let moved = match &task.work {
                    Work::Send(sending) => sending.sent.into(),
                    _ => 0,
                };
                (
                    refusal.status(),
                    refusal.sense(),
                    residual(task.expected, moved),
                )
            }
        };
        let mut data = Vec::new();
        if !sense.is_empty() {
            data.extend_from_slice(&(sense.len() as u16).to_be_bytes());
            data.extend_from_slice(&sense);
        }
        let sn = self.next_sn(wire);
        let response = ScsiResponse {
            response: ResponseCode::Completed,
            status: Status::from(status),
            data_len: data.len() as u32,
            itt: task.itt,
            snack_tag: 0,
            sn,
            exp_data_sn: task.data_sn,
            bidi_residual: Residual::None,
            residual,
        };
        wire.send(response, &data);
    }
}
