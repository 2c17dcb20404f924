//! The full feature phase: sequence numbers, and the dispatch of PDUs.

mod command;
mod management;
mod order;
mod receive;
mod send;
mod task;
mod text_exchange;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use vcp_iscsi_proto::pdu::{Reject, RejectReason, TargetSn};
use vcp_iscsi_proto::{BhsBytes, Error, InitiatorPdu, RESERVED_TAG, Serial};

use super::input::Pdu;
use super::login::Established;
use super::opcode_name;
use super::wire::{End, Wire};
use crate::lun::Nexus;
use management::Ping;
use order::{Held, Place, sequence};
use task::Task;
use text_exchange::TextExchange;

/// The most immediate commands in progress; more are rejected.
const MAX_IMMEDIATE: usize = 16;

/// The most tags kept of tasks that ended while data for them may have been under way.
const MAX_ENDED: usize = 1024;

/// A session and its connection in full feature phase.
pub(super) struct FullFeature {
    session: Established,
    stat_sn: Serial,
    exp_cmd_sn: Serial,
    /// The largest MaxCmdSN sent; it never goes back.
    max_cmd_sn: Serial,
    /// The CmdSN of the command that is being handled, unless it is refused.
    current: Option<Serial>,
    /// One more than the largest CmdSN seen: the number that an immediate request
    /// carries.
    next_cmd_sn: Serial,
    /// The StatSN up to which the initiator has acknowledged.
    exp_stat_sn: Serial,
    /// PDUs that came before an earlier CmdSN, and the data that belongs to them.
    held: Vec<Held>,
    held_bytes: usize,
    /// CmdSNs that an ABORT TASK declared received.
    plugged: Vec<Serial>,
    tasks: HashMap<u32, Task>,
    /// How many of the tasks the command window counts.
    counted: u32,
    /// Tasks with read data to send, in order.
    sending: VecDeque<u32>,
    /// Tasks that a fault delays.
    delayed: Vec<(Duration, u32)>,
    ended: VecDeque<u32>,
    last_ttt: u32,
    ping: Option<Ping>,
    heard: Duration,
    /// The time to check whether a ping is due.
    next_ping: Option<Duration>,
    /// The time by which a requested logout must come.
    logout_by: Option<Duration>,
    exchange: Option<TextExchange>,
}

impl FullFeature {
    pub(super) fn new(wire: &mut Wire, session: Established) -> Self {
        let parameters = &session.parameters;
        wire.output.header_digest = parameters.header_digest;
        wire.output.data_digest = parameters.data_digest;
        wire.framing.header_digest = parameters.header_digest;
        wire.framing.data_digest = parameters.data_digest;
        wire.framing.limit = parameters.max_receive;
        let window = wire.target.config().policy.command_window.max(1);
        if let Some(node) = &session.node {
            node.units
                .units()
                .for_each(|(_, unit)| unit.attach(session.tsih.into()));
        }
        Self {
            stat_sn: session.stat_sn,
            exp_cmd_sn: session.cmd_sn,
            max_cmd_sn: session.cmd_sn.add(window).sub(1),
            current: None,
            next_cmd_sn: session.cmd_sn,
            exp_stat_sn: session.stat_sn.sub(1),
            session,
            held: Vec::new(),
            held_bytes: 0,
            plugged: Vec::new(),
            tasks: HashMap::new(),
            counted: 0,
            sending: VecDeque::new(),
            delayed: Vec::new(),
            ended: VecDeque::new(),
            last_ttt: 0,
            ping: None,
            heard: wire.now,
            next_ping: wire
                .target
                .config()
                .timing
                .ping_interval
                .map(|every| wire.now + every),
            logout_by: None,
            exchange: None,
        }
    }

    /// The session's nexus, as the units know it.
    fn nexus(&self) -> Nexus {
        self.session.tsih.into()
    }

    /// Ends the session when the connection ends.
    pub(super) fn close(&self, wire: &Wire) {
        wire.target.close_session(self.session.tsih, &wire.control);
        if let Some(node) = &self.session.node {
            node.units
                .units()
                .for_each(|(_, unit)| unit.detach(self.nexus()));
        }
    }

    /// Handles one PDU.
    pub(super) fn handle(&mut self, wire: &mut Wire, pdu: &Pdu<'_>) -> Result<(), End> {
        self.heard = wire.now;
        let parsed = match InitiatorPdu::parse(pdu.header) {
            Ok(parsed) => parsed,
            Err(error) => return self.unreadable(wire, pdu.header, error),
        };
        self.acknowledge(wire, &parsed);
        if !pdu.data_intact {
            return self.damaged(wire, pdu.header, &parsed);
        }
        match sequence(&parsed) {
            Some((sn, false)) => match self.place(sn.cmd_sn) {
                Place::Next => {
                    self.note_cmd_sn(sn.cmd_sn);
                    self.in_turn(wire, pdu, parsed)?;
                    self.release(wire)
                }
                Place::Ahead => self.hold(wire, pdu, sn.cmd_sn, false),
                Place::Outside => {
                    // RFC 7143 §4.2.2.1: such a command is silently ignored.
                    wire.violate(format!(
                        "CmdSN {} is outside the window {} to {} (RFC 7143 §4.2.2.1)",
                        sn.cmd_sn, self.exp_cmd_sn, self.max_cmd_sn
                    ));
                    Ok(())
                }
            },
            Some((sn, true)) => {
                self.check_immediate(wire, pdu.header, sn);
                self.dispatch(wire, pdu, parsed)
            }
            None => match parsed {
                InitiatorPdu::DataOut(data) if self.held.iter().any(|h| h.itt == data.itt) => {
                    self.hold(wire, pdu, Serial(0), true)
                }
                _ => self.dispatch(wire, pdu, parsed),
            },
        }
    }

    fn dispatch(
        &mut self,
        wire: &mut Wire,
        pdu: &Pdu<'_>,
        parsed: InitiatorPdu,
    ) -> Result<(), End> {
        if self.session.node.is_none() && !allowed_in_discovery(&parsed) {
            let name = opcode_name(pdu.header);
            wire.violate(format!("{name} in a discovery session (RFC 7143 §4.3)"));
            self.reject(wire, pdu.header, RejectReason::ProtocolError);
            return Ok(());
        }
        match parsed {
            InitiatorPdu::ScsiCommand(command) => self.command(wire, pdu, &command),
            InitiatorPdu::DataOut(data) => self.data_out(wire, pdu, &data),
            InitiatorPdu::NopOut(nop) => self.nop_out(wire, pdu, &nop),
            InitiatorPdu::TaskRequest(request) => self.task_request(wire, &request),
            InitiatorPdu::TextRequest(request) => self.text_request(wire, pdu, &request),
            InitiatorPdu::LogoutRequest(request) => self.logout(wire, &request),
            InitiatorPdu::Snack(_) => {
                wire.violate("SNACK at ErrorRecoveryLevel 0 (RFC 7143 §11.16)");
                self.reject(wire, pdu.header, RejectReason::SnackReject);
                Ok(())
            }
            InitiatorPdu::LoginRequest(_) => {
                self.reject(wire, pdu.header, RejectReason::ProtocolError);
                Err(wire.violated("Login Request in full feature phase (RFC 7143 §6.3)"))
            }
        }
    }

    /// Handles a header that contradicts itself or has an unknown opcode.
    fn unreadable(&mut self, wire: &mut Wire, header: &BhsBytes, error: Error) -> Result<(), End> {
        let reason = match error {
            Error::UnknownOpcode(_) => RejectReason::CommandNotSupported,
            Error::WrongDirection(_) => RejectReason::ProtocolError,
            _ => RejectReason::InvalidPduField,
        };
        wire.violate(format!("{error} (RFC 7143 §11)"));
        self.reject(wire, header, reason);
        Ok(())
    }

    /// Handles a data segment that does not match its digest (RFC 7143 §7.8): the PDU is
    /// refused, and a command leaves a gap in CmdSN.
    fn damaged(
        &mut self,
        wire: &mut Wire,
        header: &BhsBytes,
        pdu: &InitiatorPdu,
    ) -> Result<(), End> {
        self.reject(wire, header, RejectReason::DataDigestError);
        match pdu {
            InitiatorPdu::DataOut(data) => self.damaged_data(wire, data),
            _ => Ok(()),
        }
    }

    /// Rejects a PDU. A rejected command counts as not received: its CmdSN is still to
    /// come (RFC 7143 §4.2.2.1).
    pub(super) fn reject(&mut self, wire: &mut Wire, header: &BhsBytes, reason: RejectReason) {
        if let Some(cmd_sn) = self.current.take() {
            self.exp_cmd_sn = cmd_sn;
        }
        // The initiator has used up the number even so.
        let pdu = InitiatorPdu::parse(header).ok();
        if let Some((sn, false)) = pdu.as_ref().and_then(sequence) {
            self.note_cmd_sn(sn.cmd_sn);
        }
        let sn = self.next_sn(wire);
        let data_len = header.len() as u32;
        wire.send(
            Reject {
                reason,
                data_len,
                sn,
                data_sn: 0,
            },
            header,
        );
    }

    /// Handles the initiator's acknowledgement.
    fn acknowledge(&mut self, wire: &Wire, pdu: &InitiatorPdu) {
        let exp_stat_sn = match pdu {
            InitiatorPdu::DataOut(data) => data.exp_stat_sn,
            InitiatorPdu::Snack(snack) => snack.exp_stat_sn,
            _ => match sequence(pdu) {
                Some((sn, _)) => sn.exp_stat_sn,
                None => return,
            },
        };
        if exp_stat_sn.gt(self.stat_sn) || exp_stat_sn.lt(self.exp_stat_sn) {
            wire.violate(format!(
                "ExpStatSN {exp_stat_sn} is not from {} to {} (RFC 7143 §4.2.2.2)",
                self.exp_stat_sn, self.stat_sn
            ));
        } else {
            self.exp_stat_sn = exp_stat_sn;
        }
    }

    /// The sequence numbers of a PDU that uses up no StatSN.
    fn sn(&mut self, wire: &Wire) -> TargetSn {
        let window = wire.target.config().policy.command_window.max(1);
        let free = window.saturating_sub(self.counted);
        self.max_cmd_sn = self.max_cmd_sn.max(self.exp_cmd_sn.add(free).sub(1));
        TargetSn {
            stat_sn: self.stat_sn,
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd_sn,
        }
    }

    /// The sequence numbers of a PDU that carries status.
    fn next_sn(&mut self, wire: &Wire) -> TargetSn {
        let sn = self.sn(wire);
        self.stat_sn = self.stat_sn.next();
        sn
    }

    fn new_ttt(&mut self) -> u32 {
        self.last_ttt = self.last_ttt.wrapping_add(1);
        if self.last_ttt == RESERVED_TAG {
            self.last_ttt = 0;
        }
        self.last_ttt
    }
}

/// A discovery session allows only text, logout and pings (RFC 7143 §4.3).
fn allowed_in_discovery(pdu: &InitiatorPdu) -> bool {
    matches!(
        pdu,
        InitiatorPdu::TextRequest(_) | InitiatorPdu::LogoutRequest(_) | InitiatorPdu::NopOut(_)
    )
}
