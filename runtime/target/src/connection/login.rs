//! The login phase (RFC 7143 §6.3): headers, stages, and text in pieces. The keys'
//! meaning is in [`super::dialogue`].

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::{LoginRequest, LoginResponse, TargetSn};
use vcp_iscsi_proto::{Isid, Opcode, Serial};

use super::dialogue::{Dialogue, Failure};
use super::input::Pdu;
use super::negotiation::Parameters;
use super::text::{self, MAX_TEXT};
use super::wire::{End, Wire};
use super::{LOGIN_SEGMENT, opcode_name};
use crate::config::TargetNode;

/// The result of a login.
pub(super) struct Established {
    pub(super) tsih: u16,
    pub(super) cid: u16,
    /// `None` for a discovery session.
    pub(super) node: Option<Arc<TargetNode>>,
    pub(super) parameters: Parameters,
    /// The StatSN of the next response.
    pub(super) stat_sn: Serial,
    /// The CmdSN of the first command.
    pub(super) cmd_sn: Serial,
}

/// A login in progress.
pub(super) struct Login {
    deadline: Duration,
    /// The first request; later ones must repeat its fields.
    first: Option<LoginRequest>,
    stage: Stage,
    stat_sn: Serial,
    /// Text that is not complete yet.
    incoming: Vec<u8>,
    /// Text that did not fit in the last response.
    outgoing: Vec<u8>,
    /// What to do once `outgoing` has gone.
    dialogue: Dialogue,
    transit_delayed: bool,
}

impl Login {
    pub(super) fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            first: None,
            stage: Stage::Security,
            stat_sn: Serial(0),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            dialogue: Dialogue::default(),
            transit_delayed: false,
        }
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Handles one PDU; returns a session once the login is done.
    pub(super) fn handle(
        &mut self,
        wire: &mut Wire,
        pdu: &Pdu<'_>,
    ) -> Result<Option<Established>, End> {
        if Opcode::parse(pdu.header[0]) != Ok(Opcode::LoginRequest) {
            let name = opcode_name(pdu.header);
            let text = format!("{name} during the login phase (RFC 7143 §6.3)");
            if self.first.is_some() {
                self.fail(wire, &Failure::new(LoginStatus::InvalidDuringLogin, ""));
            }
            return Err(wire.violated(text));
        }
        let request = match LoginRequest::parse(pdu.header) {
            Ok(request) => request,
            Err(error) => return Err(wire.violated(format!("{error} (RFC 7143 §11.12)"))),
        };
        let first = *self.first.get_or_insert_with(|| {
            self.stage = request.stage;
            self.stat_sn = Serial(wire.target.config().policy.initial_stat_sn);
            request
        });
        let outcome = check_header(&first, &request, pdu.header[0], self.stage)
            .and_then(|()| self.step(wire, &request, pdu.data));
        outcome.map_err(|failure| {
            if let Some(rule) = &failure.violation {
                wire.violate(rule.clone());
            }
            self.fail(wire, &failure);
            End::LoginFailed(failure.to_string())
        })
    }

    fn step(
        &mut self,
        wire: &mut Wire,
        request: &LoginRequest,
        data: &[u8],
    ) -> Result<Option<Established>, Failure> {
        if !self.outgoing.is_empty() {
            if !data.is_empty() {
                let text = "text before the target's own text has ended (RFC 7143 §6.2)";
                return Err(Failure::violation(text));
            }
            return self.respond(wire, request);
        }
        self.incoming.extend_from_slice(data);
        if self.incoming.len() > MAX_TEXT {
            return Err(Failure::new(LoginStatus::OutOfResources, "text too long"));
        }
        if request.is_continued {
            self.send(wire, request, None, 0, b"", false);
            return Ok(None);
        }
        let text = std::mem::take(&mut self.incoming);
        let pairs = text::parse(&text)
            .map_err(|error| Failure::violation(format!("{error} (RFC 7143 §6.1)")))?;
        self.dialogue.take(wire, request, pairs)?;
        self.respond(wire, request)
    }

    /// Sends the next text, and ends the stage or the login when both sides are ready for
    /// it.
    fn respond(
        &mut self,
        wire: &mut Wire,
        request: &LoginRequest,
    ) -> Result<Option<Established>, Failure> {
        if self.outgoing.is_empty() {
            self.outgoing = self.dialogue.say(wire, request)?;
        }
        let policy = &wire.target.config().policy;
        let limit = policy
            .text_piece
            .unwrap_or(usize::MAX)
            .min(LOGIN_SEGMENT as usize);
        let delayed = policy.delay_transit && !self.transit_delayed && request.transit.is_some();
        self.transit_delayed |= delayed;
        let piece = text::take_piece(&mut self.outgoing, limit);
        let continued = !self.outgoing.is_empty();
        let ready = !continued && !delayed && self.dialogue.is_ready(wire, request)?;
        let transit = request.transit.filter(|_| ready);
        if transit != Some(Stage::FullFeature) {
            self.send(wire, request, transit, 0, &piece, continued);
            self.stage = transit.unwrap_or(self.stage);
            return Ok(None);
        }
        self.establish(wire, request, &piece).map(Some)
    }

    fn establish(
        &mut self,
        wire: &mut Wire,
        request: &LoginRequest,
        piece: &[u8],
    ) -> Result<Established, Failure> {
        let (node, parameters) = self.dialogue.finish(wire)?;
        let (target, control) = (&wire.target, &wire.control);
        let tsih = target
            .open_session(&wire.initiator, request.isid, node.as_ref(), control)
            .ok_or(Failure::new(
                LoginStatus::OutOfResources,
                "no session handle is free",
            ))?;
        self.send(wire, request, Some(Stage::FullFeature), tsih, piece, false);
        Ok(Established {
            tsih,
            cid: request.cid,
            node,
            parameters,
            stat_sn: self.stat_sn,
            cmd_sn: request.sn.cmd_sn,
        })
    }

    fn send(
        &mut self,
        wire: &mut Wire,
        request: &LoginRequest,
        transit: Option<Stage>,
        tsih: u16,
        text: &[u8],
        is_continued: bool,
    ) {
        let sn = self.sequence(wire, request.sn.cmd_sn);
        let response = LoginResponse {
            transit,
            is_continued,
            stage: request.stage,
            version_max: 0,
            version_active: 0,
            data_len: text.len() as u32,
            isid: request.isid,
            tsih: if tsih == 0 { request.tsih } else { tsih },
            itt: request.itt,
            sn,
            status: LoginStatus::Success,
        };
        wire.send(response, text);
    }

    fn fail(&mut self, wire: &mut Wire, failure: &Failure) {
        let Some(first) = self.first else { return };
        let text = match &failure.address {
            Some(address) => text::emit([("TargetAddress", address.as_str())]),
            None => Vec::new(),
        };
        let sn = self.sequence(wire, first.sn.cmd_sn);
        let response = LoginResponse {
            transit: None,
            is_continued: false,
            stage: self.stage,
            version_max: 0,
            version_active: 0,
            data_len: text.len() as u32,
            isid: first.isid,
            tsih: first.tsih,
            itt: first.itt,
            sn,
            status: failure.status,
        };
        wire.send(response, &text);
    }

    fn sequence(&mut self, wire: &Wire, cmd_sn: Serial) -> TargetSn {
        let stat_sn = self.stat_sn;
        self.stat_sn = stat_sn.next();
        let window = wire.target.config().policy.command_window;
        TargetSn {
            stat_sn,
            exp_cmd_sn: cmd_sn,
            max_cmd_sn: cmd_sn.add(window).sub(1),
        }
    }
}

/// Checks what must hold for the header of every request.
fn check_header(
    first: &LoginRequest,
    request: &LoginRequest,
    opcode: u8,
    stage: Stage,
) -> Result<(), Failure> {
    let rule = |ok: bool, text: &str| {
        if ok {
            Ok(())
        } else {
            Err(Failure::violation(text))
        }
    };
    if request.version_min > 0 {
        return Err(Failure::new(
            LoginStatus::UnsupportedVersion,
            "Version-min above 0",
        ));
    }
    let identity = |r: &LoginRequest| -> (Isid, u16) { (r.isid, r.tsih) };
    rule(
        opcode & 0x40 != 0,
        "Login Request without the I bit (RFC 7143 §11.12)",
    )?;
    rule(
        identity(request) == identity(first),
        "ISID or TSIH changed during the login (RFC 7143 §6.3)",
    )?;
    rule(
        request.itt == first.itt,
        "ITT changed during the login (RFC 7143 §11.12.7)",
    )?;
    rule(
        request.cid == first.cid,
        "CID changed during the login (RFC 7143 §11.12.8)",
    )?;
    rule(
        request.sn.cmd_sn == first.sn.cmd_sn,
        "CmdSN changed during the login (RFC 7143 §11.12.9)",
    )?;
    rule(
        request.stage == stage,
        "CSG is not the present stage (RFC 7143 §6.3)",
    )?;
    rule(
        request.stage != Stage::FullFeature,
        "CSG is FullFeaturePhase (RFC 7143 §11.12.3)",
    )?;
    let forward = request.transit.is_none_or(|next| next > request.stage);
    rule(forward, "NSG is not after CSG (RFC 7143 §11.12.3)")
}
