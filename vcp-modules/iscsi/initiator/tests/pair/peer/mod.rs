//! A scripted target: plain by default, and as odd as a test makes it. It has one disk,
//! keeps the numbers, and passes every PDU before sending it to `mangle`.

mod answers;
mod login;
mod wire;
mod writes;

use std::collections::{BTreeMap, VecDeque};

use vcp_iscsi_proto::bhs::RESERVED_TAG;
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::text::{Key, KeyKind, value};
use vcp_iscsi_proto::{Lun, Serial};

use super::disk::Disk;
use writes::Writing;

/// A test's treatment of an outgoing PDU: it changes it, drops it (`false`), or has
/// others sent too.
pub type Mangle = Box<dyn FnMut(&mut TargetPdu, &mut Vec<u8>) -> bool>;
/// A test's treatment of an incoming PDU; `true` if it is then done with.
pub type Intercept = Box<dyn FnMut(&mut Peer, &InitiatorPdu, &[u8]) -> bool>;

/// A target's negotiation values and behaviour.
#[derive(Debug)]
pub struct Settings {
    pub max_burst: u32,
    pub first_burst: u32,
    pub initial_r2t: bool,
    pub immediate_data: bool,
    pub max_outstanding_r2t: u32,
    pub max_recv: u32,
    pub digests: bool,
    /// Whether to require CRC32C wherever it is offered.
    pub insists_on_digests: bool,
    pub time2wait: u32,
    /// The number of commands that fit in the window.
    pub window: u32,
    /// Whether the status is in the last Data-In instead of a SCSI Response.
    pub status_in_data: bool,
    /// The number of bytes in a Data-In.
    pub data_in: u32,
    /// Keys offered by the target in its first answer.
    pub extra_keys: Vec<(&'static str, &'static str)>,
    /// TargetPortalGroupTag.
    pub portal_group: Option<u16>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_burst: 262_144,
            first_burst: 65_536,
            initial_r2t: true,
            immediate_data: true,
            max_outstanding_r2t: 1,
            max_recv: 8192,
            digests: false,
            insists_on_digests: false,
            time2wait: 0,
            window: 32,
            status_in_data: true,
            data_in: 65_536,
            extra_keys: Vec::new(),
            portal_group: Some(1),
        }
    }
}

pub struct Peer {
    pub settings: Settings,
    pub disk: Disk,
    pub mangle: Option<Mangle>,
    pub intercept: Option<Intercept>,
    /// All received PDUs, headers only.
    pub seen: Vec<InitiatorPdu>,
    /// Bytes to be sent.
    pub out: VecDeque<u8>,
    pub logins: u32,
    pub stat_sn: Serial,
    pub exp_cmd_sn: Serial,
    /// The longest solicited or unsolicited sequence seen, and bytes sent without an R2T.
    pub longest_burst: u32,
    pub most_unsolicited: u32,
    /// Overrides ExpCmdSN + window.
    pub max_cmd_sn: Option<Serial>,
    /// Sets bits that an initiator has to ignore.
    pub scribble: bool,
    /// The CmdSN of the last command.
    pub last_cmd_sn: Option<Serial>,
    input: Vec<u8>,
    full_feature: bool,
    login_itt: Option<u32>,
    negotiated: BTreeMap<&'static str, String>,
    writing: BTreeMap<u32, Writing>,
    next_ttt: u32,
    /// The CmdSN of the command whose unsolicited data came last.
    unsolicited_of: Option<Serial>,
    /// Commands that came out of order.
    early: Vec<(InitiatorPdu, Vec<u8>)>,
}

impl Peer {
    pub fn new(settings: Settings, disk: Disk) -> Self {
        Self {
            settings,
            disk,
            mangle: None,
            intercept: None,
            seen: Vec::new(),
            out: VecDeque::new(),
            logins: 0,
            stat_sn: Serial(0x1000),
            exp_cmd_sn: Serial(0),
            longest_burst: 0,
            most_unsolicited: 0,
            max_cmd_sn: None,
            scribble: false,
            last_cmd_sn: None,
            input: Vec::new(),
            full_feature: false,
            login_itt: None,
            negotiated: BTreeMap::new(),
            writing: BTreeMap::new(),
            next_ttt: 1,
            unsolicited_of: None,
            early: Vec::new(),
        }
    }

    /// Accepts a new TCP connection.
    pub fn accept(&mut self) {
        self.input.clear();
        self.out.clear();
        self.full_feature = false;
        self.login_itt = None;
        self.negotiated.clear();
        self.writing.clear();
        self.early.clear();
        self.unsolicited_of = None;
        self.max_cmd_sn = None;
        self.last_cmd_sn = None;
        self.stat_sn = self.stat_sn.add(0x100);
    }

    /// Whether the login is over.
    pub fn is_full_feature(&self) -> bool {
        self.full_feature
    }

    fn number(&self, key: Key) -> u32 {
        match self.negotiated.get(key.name()) {
            Some(text) => value::number(text).unwrap() as u32,
            None => match key.spec().kind {
                KeyKind::Number { default, .. } => default,
                _ => 8192,
            },
        }
    }

    /// The negotiated value of a key.
    pub fn agreed(&self, key: &str) -> &str {
        &self.negotiated[key]
    }

    pub fn yes(&self, key: Key) -> bool {
        self.negotiated.get(key.name()).is_none_or(|v| v == "Yes")
    }

    fn take(&mut self, pdu: InitiatorPdu, data: Vec<u8>) {
        self.seen.push(pdu);
        let login = matches!(pdu, InitiatorPdu::LoginRequest(_));
        assert_ne!(
            login,
            self.full_feature,
            "{:?} has no place here",
            pdu.opcode()
        );
        self.check_expected_status(&pdu);
        if let InitiatorPdu::ScsiCommand(command) = &pdu {
            let last = self.last_cmd_sn.replace(command.sn.cmd_sn);
            assert!(!command.immediate, "commands are delivered in order");
            assert!(
                last.is_none_or(|last| last.lt(command.sn.cmd_sn)),
                "commands in increasing order of CmdSN"
            );
        }
        if let Some(mut intercept) = self.intercept.take() {
            let done = intercept(self, &pdu, &data);
            self.intercept.get_or_insert(intercept);
            if done {
                return;
            }
        }
        let ordered = match &pdu {
            InitiatorPdu::ScsiCommand(p) if !p.immediate => Some(p.sn.cmd_sn),
            InitiatorPdu::NopOut(p) if !p.immediate => Some(p.sn.cmd_sn),
            _ => None,
        };
        if let Some(cmd_sn) = ordered {
            assert!(cmd_sn.le(self.max_cmd()), "a command outside the window");
            if cmd_sn != self.exp_cmd_sn {
                self.early.push((pdu, data));
                return;
            }
            self.exp_cmd_sn = self.exp_cmd_sn.next();
        }
        self.act(pdu, &data);
        while let Some(at) = self
            .early
            .iter()
            .position(|(p, _)| cmd_sn(p) == self.exp_cmd_sn)
        {
            let (pdu, data) = self.early.remove(at);
            self.exp_cmd_sn = self.exp_cmd_sn.next();
            self.act(pdu, &data);
        }
    }

    fn check_expected_status(&self, pdu: &InitiatorPdu) {
        let exp = match pdu {
            InitiatorPdu::ScsiCommand(p) => p.sn.exp_stat_sn,
            InitiatorPdu::DataOut(p) => p.exp_stat_sn,
            _ => return,
        };
        assert!(
            exp.le(self.stat_sn),
            "a status acknowledged that was never sent"
        );
    }

    fn act(&mut self, pdu: InitiatorPdu, data: &[u8]) {
        match pdu {
            InitiatorPdu::LoginRequest(p) => self.login(&p, data),
            InitiatorPdu::ScsiCommand(p) => self.command(p, data),
            InitiatorPdu::DataOut(p) => self.data_out(&p, data),
            InitiatorPdu::NopOut(p) => {
                if p.itt != RESERVED_TAG {
                    self.echo(p.itt);
                }
            }
            InitiatorPdu::LogoutRequest(p) => {
                assert!(p.immediate);
                assert_eq!(p.reason, LogoutReason::CloseSession);
                let sn = self.status();
                self.send(
                    LogoutResponse {
                        code: LogoutCode::Closed,
                        data_len: 0,
                        itt: p.itt,
                        sn,
                        time2wait: 0,
                        time2retain: 0,
                    },
                    &[],
                );
            }
            InitiatorPdu::TaskRequest(p) => {
                assert_eq!(p.function, TaskFunction::AbortTask);
                self.writing.remove(&p.ref_itt);
                let sn = self.status();
                let code = TaskCode::Complete;
                self.send(
                    TaskResponse {
                        code,
                        data_len: 0,
                        itt: p.itt,
                        sn,
                    },
                    &[],
                );
            }
            InitiatorPdu::TextRequest(p) => {
                let sn = self.status();
                self.send(
                    TextResponse {
                        is_final: true,
                        is_continued: false,
                        data_len: 0,
                        lun: Lun::default(),
                        itt: p.itt,
                        ttt: RESERVED_TAG,
                        sn,
                    },
                    &[],
                );
            }
            InitiatorPdu::Snack(_) => panic!("a SNACK at error recovery level 0"),
        }
    }

    pub fn echo(&mut self, itt: u32) {
        let sn = self.status();
        let ttt = RESERVED_TAG;
        self.send(
            NopIn {
                data_len: 0,
                lun: Lun::default(),
                itt,
                ttt,
                sn,
            },
            &[],
        );
    }

    fn max_cmd(&self) -> Serial {
        self.max_cmd_sn
            .unwrap_or(self.exp_cmd_sn.add(self.settings.window).sub(1))
    }

    /// Numbers for a PDU that carries a status.
    pub fn status(&mut self) -> TargetSn {
        let sn = self.numbers();
        self.stat_sn = self.stat_sn.next();
        sn
    }

    /// Numbers for a PDU that carries none.
    pub fn numbers(&self) -> TargetSn {
        TargetSn {
            stat_sn: self.stat_sn,
            exp_cmd_sn: self.exp_cmd_sn,
            max_cmd_sn: self.max_cmd(),
        }
    }
}

fn cmd_sn(pdu: &InitiatorPdu) -> Serial {
    match pdu {
        InitiatorPdu::ScsiCommand(p) => p.sn.cmd_sn,
        InitiatorPdu::NopOut(p) => p.sn.cmd_sn,
        _ => unreachable!("only these are kept"),
    }
}
