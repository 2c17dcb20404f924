//! NOP, task management and logout, and the target's unasked messages (RFC 7143 §11.5,
//! §11.6, §11.9, §11.14, §11.15, §11.18, §11.19).

use std::time::Duration;

use vcp_iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, LogoutCode, LogoutReason, LogoutRequest, LogoutResponse, NopIn,
    NopOut, TaskCode, TaskFunction, TaskRequest, TaskResponse,
};
use vcp_iscsi_proto::{Lun, RESERVED_TAG};

use super::super::input::Pdu;
use super::super::wire::{End, Wire};
use super::FullFeature;
use super::task::{Task, Work};
use crate::control::Order;
use crate::lun::Sense;

/// A NOP-In of the target that has not been answered.
pub(super) struct Ping {
    ttt: u32,
    deadline: Duration,
}

impl FullFeature {
    pub(super) fn nop_out(
        &mut self,
        wire: &mut Wire,
        pdu: &Pdu<'_>,
        nop: &NopOut,
    ) -> Result<(), End> {
        if nop.itt == RESERVED_TAG && !nop.immediate {
            wire.violate("NOP-Out without ITT is not immediate (RFC 7143 §11.18)");
        }
        if nop.ttt != RESERVED_TAG {
            match self.ping.take_if(|ping| ping.ttt == nop.ttt) {
                Some(_) if nop.itt != RESERVED_TAG => {
                    wire.violate("NOP-Out in answer to a NOP-In has an ITT (RFC 7143 §11.18.1)");
                }
                Some(_) => {}
                None => wire.violate("NOP-Out answers no NOP-In (RFC 7143 §11.18.2)"),
            }
        }
        if nop.itt == RESERVED_TAG {
            return Ok(());
        }
        // The answer repeats the data, up to the length that the initiator takes.
        let limit = self.session.parameters.max_send as usize;
        let data = &pdu.data[..limit.min(pdu.data.len())];
        let sn = self.next_sn(wire);
        let data_len = data.len() as u32;
        let answer = NopIn {
            data_len,
            lun: Lun(0),
            itt: nop.itt,
            ttt: RESERVED_TAG,
            sn,
        };
        wire.send(answer, data);
        Ok(())
    }

    fn send_ping(&mut self, wire: &mut Wire) {
        if self.ping.is_some() {
            return;
        }
        let ttt = self.new_ttt();
        let sn = self.sn(wire);
        wire.send(
            NopIn {
                data_len: 0,
                lun: Lun(0),
                itt: RESERVED_TAG,
                ttt,
                sn,
            },
            b"",
        );
        let deadline = wire.now + wire.target.config().timing.ping_timeout;
        self.ping = Some(Ping { ttt, deadline });
    }

    pub(super) fn task_request(
        &mut self,
        wire: &mut Wire,
        request: &TaskRequest,
    ) -> Result<(), End> {
        let node = self
            .session
            .node
            .clone()
            .expect("discovery sessions have no tasks");
        let known = node.units.unit(request.lun.0).is_some();
        let code = match request.function {
            TaskFunction::AbortTask => self.abort_task(wire, request),
            TaskFunction::AbortTaskSet if known => {
                self.abort(|task| task.lun == request.lun);
                TaskCode::Complete
            }
            TaskFunction::ClearTaskSet | TaskFunction::LogicalUnitReset if known => {
                self.reset(wire, Some(request.lun));
                TaskCode::Complete
            }
            TaskFunction::AbortTaskSet
            | TaskFunction::ClearTaskSet
            | TaskFunction::LogicalUnitReset => TaskCode::NoLun,
            TaskFunction::TargetWarmReset | TaskFunction::TargetColdReset => {
                self.reset(wire, None);
                TaskCode::Complete
            }
            TaskFunction::TaskReassign => TaskCode::NoReassignment,
            TaskFunction::ClearAca | TaskFunction::Other(_) => TaskCode::NotSupported,
        };
        if request.function == TaskFunction::TargetColdReset {
            let name = node.name.clone();
            wire.target
                .tell_others(None, |node| node == Some(&name), &Order::DropSession);
        }
        let sn = self.next_sn(wire);
        wire.send(
            TaskResponse {
                code,
                data_len: 0,
                itt: request.itt,
                sn,
            },
            b"",
        );
        self.release(wire)
    }

    fn abort_task(&mut self, wire: &Wire, request: &TaskRequest) -> TaskCode {
        if let Some(task) = self.tasks.get(&request.ref_itt) {
            if task.lun != request.lun {
                wire.violate("ABORT TASK with another LUN than the task's (RFC 7143 §11.5.4)");
                return TaskCode::NoTask;
            }
            if task.cmd_sn != request.ref_cmd_sn {
                wire.violate("ABORT TASK with another RefCmdSN than the task's (RFC 7143 §11.5.5)");
            }
            self.abort(|task| task.itt == request.ref_itt);
            return TaskCode::Complete;
        }
        // From here on, a command that never arrived counts as received.
        if self.plug(request.ref_itt, request.ref_cmd_sn) {
            TaskCode::Complete
        } else {
            TaskCode::NoTask
        }
    }

    /// Ends tasks without a response.
    fn abort(&mut self, which: impl Fn(&Task) -> bool) {
        let tags: Vec<u32> = self
            .tasks
            .values()
            .filter(|t| which(t))
            .map(|t| t.itt)
            .collect();
        for itt in tags {
            let Some(task) = self.remove(itt) else {
                continue;
            };
            if matches!(&task.work, Work::Receive(receiving) if receiving.is_open()) {
                self.note_ended(itt);
            }
        }
        self.sending.retain(|itt| self.tasks.contains_key(itt));
        self.delayed.retain(|(_, itt)| self.tasks.contains_key(itt));
    }

    /// Ends every initiator's tasks on one unit, or on all.
    fn reset(&mut self, wire: &Wire, lun: Option<Lun>) {
        let Some(node) = self.session.node.clone() else {
            return;
        };
        self.abort(|task| lun.is_none_or(|lun| task.lun == lun));
        let name = &node.name;
        let order = Order::AbortTasks(lun);
        let own = Some(self.session.tsih);
        wire.target
            .tell_others(own, |node| node == Some(name), &order);
        for (number, unit) in node.units.units() {
            if lun.is_none_or(|lun| lun.number() == Some(number)) {
                unit.raise_attention(Sense::UNIT_RESET, None);
            }
        }
    }

    pub(super) fn logout(&mut self, wire: &mut Wire, request: &LogoutRequest) -> Result<(), End> {
        let code = match request.reason {
            LogoutReason::CloseSession => LogoutCode::Closed,
            LogoutReason::CloseConnection if request.cid == self.session.cid => LogoutCode::Closed,
            LogoutReason::CloseConnection => LogoutCode::NoConnection,
            LogoutReason::RemoveForRecovery => LogoutCode::NoRecovery,
            LogoutReason::Other(_) => {
                return Err(
                    wire.violated("Logout Request with an unknown reason (RFC 7143 §11.14.1)")
                );
            }
        };
        self.abort(|_| true);
        let sn = self.next_sn(wire);
        let response = LogoutResponse {
            code,
            data_len: 0,
            itt: request.itt,
            sn,
            time2wait: 0,
            time2retain: 0,
        };
        wire.send(response, b"");
        if code == LogoutCode::Closed {
            Err(End::LoggedOut)
        } else {
            Ok(())
        }
    }

    fn announce(&mut self, wire: &mut Wire, event: AsyncEvent) {
        let sn = self.next_sn(wire);
        wire.send(
            AsyncMessage {
                event,
                data_len: 0,
                lun: Lun(0),
                sn,
            },
            b"",
        );
    }

    /// Carries out another thread's order.
    pub(in super::super) fn obey(&mut self, wire: &mut Wire, order: Order) -> Result<(), End> {
        match order {
            Order::Ping => self.send_ping(wire),
            Order::RequestLogout { within } => {
                self.announce(wire, AsyncEvent::LogoutRequest { within });
                self.logout_by = Some(wire.now + Duration::from_secs(within.into()));
            }
            Order::DropSession => {
                self.announce(
                    wire,
                    AsyncEvent::DropSession {
                        time2wait: 0,
                        time2retain: 0,
                    },
                );
                return Err(End::Dropped);
            }
            Order::AbortTasks(lun) => self.abort(|task| lun.is_none_or(|lun| task.lun == lun)),
            Order::Reinstated => return Err(End::Reinstated),
            Order::Drop => return Err(End::Dropped),
        }
        Ok(())
    }

    pub(in super::super) fn deadline(&self) -> Option<Duration> {
        let ping = self.ping.as_ref().map(|ping| ping.deadline);
        let delayed = self.delayed.iter().map(|&(due, _)| due).min();
        [ping, delayed, self.logout_by, self.next_ping]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due by the clock.
    pub(in super::super) fn tick(&mut self, wire: &mut Wire) -> Result<(), End> {
        let now = wire.now;
        if self.logout_by.is_some_and(|due| due <= now) {
            return Err(End::TimedOut("the logout that was asked for did not come"));
        }
        if self.ping.as_ref().is_some_and(|ping| ping.deadline <= now) {
            return Err(End::TimedOut("a NOP-In was not answered"));
        }
        let due: Vec<u32> = self
            .delayed
            .extract_if(.., |(due, _)| *due <= now)
            .map(|(_, itt)| itt)
            .collect();
        for itt in due {
            match self.tasks.get(&itt) {
                Some(Task {
                    work: Work::Send(_),
                    ..
                }) => self.sending.push_back(itt),
                Some(Task {
                    work: Work::Land { .. },
                    ..
                }) => self.land(wire, itt),
                _ => self.respond_now(wire, itt),
            }
        }
        if let Some(interval) = wire.target.config().timing.ping_interval
            && self.next_ping.is_some_and(|due| due <= now)
        {
            let quiet = self.heard + interval <= now;
            if quiet {
                self.send_ping(wire);
            }
            self.next_ping = Some(if quiet { now } else { self.heard } + interval);
        }
        Ok(())
    }
}
