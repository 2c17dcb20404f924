//! The responder's end of one connection. Login, survey, pings and leave-taking are
//! answered at once and as they should be; commands of requests wait for what the script
//! has in mind for them. Whether the initiator keeps to the protocol is checked here.

mod honest;
mod login;
mod say;
mod survey;
mod task;

use std::collections::VecDeque;

use vcp_iscsi_proto::bhs::{BHS_LEN, Bhs, BhsBytes, RESERVED_TAG, padded};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::{InitiatorPdu, Lun, Serial, TargetPdu};

pub(super) use say::{Chunk, Response};
pub(super) use task::Task;

use super::ledger::{Ledger, Outcome};
use super::settings::Settings;
use crate::trace::trace;

/// A PDU on its way to the initiator, and what it means once all of it is there.
pub(super) struct Sent {
    pub(super) bytes: Vec<u8>,
    pub(super) note: Note,
}

/// What a PDU says about an attempt.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Note {
    pub(super) attempt: usize,
    /// Bytes of its data.
    pub(super) data: Option<(u32, u32)>,
    /// How it ended.
    pub(super) end: Option<Outcome>,
}

pub(super) struct Peer {
    input: Vec<u8>,
    stat_sn: Serial,
    exp_cmd_sn: Serial,
    window: u32,
    serving: bool,
    next_ttt: u32,
    /// Commands that are not answered, or whose answer is still on its way.
    pub(super) tasks: Vec<Task>,
    pub(super) down: VecDeque<Sent>,
    /// The last PDU that ended a command.
    last_end: Vec<u8>,
    /// Takes everything in and says nothing.
    pub(super) mute: bool,
    /// Answers all commands as they should be answered.
    pub(super) honest: bool,
    /// What is said to the next request to abort a command.
    pub(super) abort: TaskCode,
    /// Requests to abort a command.
    pub(super) aborts: u32,
    /// They are answered later.
    pub(super) holds_aborts: bool,
    held: Option<TaskRequest>,
}

impl Peer {
    pub(super) fn new(settings: &Settings, honest: bool) -> Self {
        Self {
            input: Vec::new(),
            stat_sn: Serial(1),
            exp_cmd_sn: Serial(0),
            window: settings.window,
            serving: false,
            next_ttt: 1,
            tasks: Vec::new(),
            down: VecDeque::new(),
            last_end: Vec::new(),
            mute: false,
            honest,
            abort: TaskCode::Complete,
            aborts: 0,
            holds_aborts: false,
            held: None,
        }
    }

    /// Takes bytes from the initiator.
    pub(super) fn receive(&mut self, bytes: &[u8], settings: &Settings, ledger: &mut Ledger) {
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        let mut rest = &input[..];
        while let Some(header) = rest.first_chunk::<BHS_LEN>() {
            let layout = Bhs::parse(header).layout(false, false);
            let Some((pdu, behind)) = rest.split_at_checked(layout.total) else {
                break;
            };
            let data = &pdu[layout.data_start..][..layout.data_len];
            assert!(layout.data_len <= 8192.max(settings.max_recv as usize));
            self.take(header, data, settings, ledger);
            rest = behind;
        }
        let used = input.len() - rest.len();
        input.drain(..used);
        self.input = input;
    }

    fn take(&mut self, header: &BhsBytes, data: &[u8], settings: &Settings, ledger: &mut Ledger) {
        let pdu = InitiatorPdu::parse(header).expect("a PDU of an initiator");
        trace!("  > {pdu:?}");
        match pdu {
            InitiatorPdu::LoginRequest(request) => self.login(&request, data, settings),
            InitiatorPdu::ScsiCommand(command) => {
                assert!(!command.immediate, "commands are delivered in order");
                assert_eq!(command.sn.cmd_sn, self.exp_cmd_sn, "CmdSN");
                self.exp_cmd_sn = self.exp_cmd_sn.next();
                self.serving = true;
                self.command(&command, header, data, settings, ledger);
            }
            InitiatorPdu::DataOut(pdu) => self.data_out(&pdu, data, settings, ledger),
            InitiatorPdu::NopOut(nop) => self.nop_out(&nop),
            InitiatorPdu::TaskRequest(request) => self.task_request(&request),
            InitiatorPdu::TextRequest(request) => self.text_request(&request),
            InitiatorPdu::LogoutRequest(request) => self.logout_request(&request),
            InitiatorPdu::Snack(_) => panic!("a SNACK at error recovery level 0"),
        }
    }

    fn nop_out(&mut self, nop: &NopOut) {
        if !nop.immediate && nop.sn.cmd_sn == self.exp_cmd_sn {
            self.exp_cmd_sn = self.exp_cmd_sn.next();
        }
        if nop.itt == RESERVED_TAG {
            return;
        }
        let echo = NopIn {
            data_len: 0,
            lun: Lun::default(),
            itt: nop.itt,
            ttt: RESERVED_TAG,
            sn: self.status(),
        };
        self.send(echo, &[]);
    }

    /// A ping, or with the reserved tag only numbers.
    pub(super) fn nop_in(&mut self, ttt: u32) {
        let nop = NopIn {
            data_len: 0,
            lun: Lun::default(),
            itt: RESERVED_TAG,
            ttt,
            sn: self.numbers(),
        };
        self.send(nop, &[]);
    }

    fn task_request(&mut self, request: &TaskRequest) {
        assert_eq!(request.function, TaskFunction::AbortTask);
        self.aborts += 1;
        if self.holds_aborts {
            self.held = Some(*request);
        } else {
            self.abort_task(request);
        }
    }

    /// Answers the request to abort a command that was held back.
    pub(super) fn release_abort(&mut self) {
        self.holds_aborts = false;
        if let Some(request) = self.held.take() {
            self.abort_task(&request);
        }
    }

    fn abort_task(&mut self, request: &TaskRequest) {
        self.tasks.retain(|task| task.itt != request.ref_itt);
        let response = TaskResponse {
            code: std::mem::replace(&mut self.abort, TaskCode::Complete),
            data_len: 0,
            itt: request.itt,
            sn: self.status(),
        };
        self.send(response, &[]);
    }

    fn text_request(&mut self, request: &TextRequest) {
        let response = TextResponse {
            is_final: true,
            is_continued: false,
            data_len: 0,
            lun: Lun::default(),
            itt: request.itt,
            ttt: RESERVED_TAG,
            sn: self.status(),
        };
        self.send(response, &[]);
    }

    fn logout_request(&mut self, request: &LogoutRequest) {
        let response = LogoutResponse {
            code: LogoutCode::Closed,
            data_len: 0,
            itt: request.itt,
            sn: self.status(),
            time2wait: 0,
            time2retain: 0,
        };
        self.send(response, &[]);
    }

    /// Numbers for a PDU that carries a status.
    pub(super) fn status(&mut self) -> TargetSn {
        let sn = self.numbers();
        self.stat_sn = self.stat_sn.next();
        sn
    }

    /// Numbers for a PDU that carries none.
    pub(super) fn numbers(&self) -> TargetSn {
        TargetSn {
            stat_sn: self.stat_sn,
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.exp_cmd_sn.add(self.window).sub(1),
        }
    }

    /// Whether the login is over.
    pub(super) fn is_serving(&self) -> bool {
        self.serving
    }

    /// An attempt has ended for the initiator too.
    pub(super) fn forget(&mut self, attempt: usize) {
        self.tasks.retain(|task| task.id != attempt);
    }

    /// Leaves a number out, which the initiator must notice.
    pub(super) fn skip_status(&mut self) {
        self.stat_sn = self.stat_sn.next();
    }

    /// A PDU that says nothing about an attempt.
    pub(super) fn send(&mut self, pdu: impl Into<TargetPdu>, data: &[u8]) {
        self.push(pdu.into(), data, Note::default());
    }

    fn push(&mut self, pdu: TargetPdu, data: &[u8], note: Note) {
        trace!("  < {pdu:?} {} bytes {note:?}", data.len());
        let mut header = [0; BHS_LEN];
        pdu.emit(&mut header);
        let length = data.len() as u32;
        header[5..8].copy_from_slice(&length.to_be_bytes()[1..]);
        let mut bytes = Vec::with_capacity(BHS_LEN + padded(data.len()));
        bytes.extend_from_slice(&header);
        bytes.extend_from_slice(data);
        bytes.resize(BHS_LEN + padded(data.len()), 0);
        if note.end.is_some() {
            self.last_end.clone_from(&bytes);
        }
        if !self.mute {
            self.down.push_back(Sent { bytes, note });
        }
    }

    /// The last end of a command once more, as it was or with a number of its own.
    pub(super) fn repeat_end(&mut self, fresh: bool) {
        let mut bytes = self.last_end.clone();
        if bytes.is_empty() || self.mute {
            return;
        }
        if fresh {
            let sn = self.status();
            bytes[24..28].copy_from_slice(&sn.stat_sn.0.to_be_bytes());
        }
        trace!("  < the last end again, fresh: {fresh}");
        let note = Note::default();
        self.down.push_back(Sent { bytes, note });
    }
}
