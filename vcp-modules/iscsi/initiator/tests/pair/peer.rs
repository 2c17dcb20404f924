//! A scripted target: plain by default, and as odd as a test makes it. Knows one
//! disk, keeps the numbers, and shows every PDU it is about to send to `mangle`.

use std::collections::{BTreeMap, VecDeque};

use vcp_iscsi_proto::bhs::{BHS_LEN, Bhs, RESERVED_TAG};
use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::{Asc, Sense, SenseKey, Status};
use vcp_iscsi_proto::text::{Key, KeyKind, Writer, pairs, value};
use vcp_iscsi_proto::{Crc32c, Lun, Serial};

use super::disk::{Disk, Reply};

/// What a test does to a PDU on its way out: changes it, drops it (`false`), or has
/// others sent too.
pub type Mangle = Box<dyn FnMut(&mut TargetPdu, &mut Vec<u8>) -> bool>;
/// What a test does about a PDU that came in; `true`: all that is to be done.
pub type Intercept = Box<dyn FnMut(&mut Peer, &InitiatorPdu, &[u8]) -> bool>;

/// How a target negotiates and behaves. Its own values in the negotiation.
#[derive(Debug)]
pub struct Settings {
    pub max_burst: u32,
    pub first_burst: u32,
    pub initial_r2t: bool,
    pub immediate_data: bool,
    pub max_outstanding_r2t: u32,
    pub max_recv: u32,
    pub digests: bool,
    pub time2wait: u32,
    /// Commands that fit in the window.
    pub window: u32,
    /// Status in the last Data-In instead of a SCSI Response.
    pub status_in_data: bool,
    /// Bytes in a Data-In.
    pub data_in: u32,
    /// Keys offered by the target in its first answer.
    pub extra_keys: Vec<(&'static str, &'static str)>,
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
            time2wait: 0,
            window: 32,
            status_in_data: true,
            data_in: 65_536,
            extra_keys: Vec::new(),
        }
    }
}

/// A command whose data is still coming.
struct Writing {
    command: ScsiCommand,
    data: Vec<u8>,
    /// Bytes without asking for which no R2T is needed, and whether they are all there.
    unsolicited: bool,
    asked: u32,
    r2t_sn: u32,
    open: VecDeque<(u32, u32, u32)>,
    next_in_burst: u32,
    data_sn: u32,
}

pub struct Peer {
    pub settings: Settings,
    pub disk: Disk,
    pub mangle: Option<Mangle>,
    pub intercept: Option<Intercept>,
    /// Everything that came in, headers only.
    pub seen: Vec<InitiatorPdu>,
    /// Bytes to be sent.
    pub out: VecDeque<u8>,
    pub logins: u32,
    pub stat_sn: Serial,
    pub exp_cmd_sn: Serial,
    /// Longest solicited or unsolicited sequence seen, and bytes without asking.
    pub longest_burst: u32,
    pub most_unsolicited: u32,
    /// Overrides ExpCmdSN + window.
    pub max_cmd_sn: Option<Serial>,
    input: Vec<u8>,
    full_feature: bool,
    negotiated: BTreeMap<&'static str, String>,
    writing: BTreeMap<u32, Writing>,
    next_ttt: u32,
    /// Of the command whose unsolicited data came last.
    unsolicited_of: Option<Serial>,
    /// Commands that came before their turn.
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
            input: Vec::new(),
            full_feature: false,
            negotiated: BTreeMap::new(),
            writing: BTreeMap::new(),
            next_ttt: 1,
            unsolicited_of: None,
            early: Vec::new(),
        }
    }

    /// A new TCP connection.
    pub fn accept(&mut self) {
        self.input.clear();
        self.out.clear();
        self.full_feature = false;
        self.negotiated.clear();
        self.writing.clear();
        self.early.clear();
        self.unsolicited_of = None;
        self.max_cmd_sn = None;
        self.stat_sn = self.stat_sn.add(0x100);
    }

    /// The login is over.
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

    pub fn yes(&self, key: Key) -> bool {
        self.negotiated.get(key.name()).is_none_or(|v| v == "Yes")
    }

    fn digest(&self, key: Key) -> bool {
        self.full_feature
            && self
                .negotiated
                .get(key.name())
                .is_some_and(|v| v == "CRC32C")
    }

    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        loop {
            let Some(header) = self.input.first_chunk::<BHS_LEN>().copied() else {
                return;
            };
            let bhs = Bhs::parse(&header);
            let layout = bhs.layout(self.digest(Key::HeaderDigest), self.digest(Key::DataDigest));
            if self.input.len() < layout.total {
                return;
            }
            let pdu: Vec<u8> = self.input.drain(..layout.total).collect();
            if layout.data_start > layout.header_len {
                let digest = Crc32c::of(&pdu[..layout.header_len]);
                assert_eq!(
                    pdu[layout.header_len..layout.data_start],
                    digest,
                    "header digest"
                );
            }
            if layout.has_data_digest() {
                let digest = Crc32c::of(&pdu[layout.data_start..layout.data_end()]);
                assert_eq!(pdu[layout.data_end()..], digest, "data digest");
            }
            let data = &pdu[layout.data_start..layout.data_start + layout.data_len];
            let padding = &pdu[layout.data_start + layout.data_len..layout.data_end()];
            assert!(padding.iter().all(|&b| b == 0), "padding");
            let parsed = InitiatorPdu::parse(&header).expect("a PDU of an initiator");
            self.take(parsed, data.to_vec());
        }
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

    pub fn send(&mut self, pdu: impl Into<TargetPdu>, data: &[u8]) {
        let mut pdu = pdu.into();
        let mut data = data.to_vec();
        set_len(&mut pdu, data.len() as u32);
        if let Some(mangle) = &mut self.mangle
            && !mangle(&mut pdu, &mut data)
        {
            return;
        }
        let mut header = [0; BHS_LEN];
        pdu.emit(&mut header);
        self.send_raw(&header, &data);
    }

    /// A header and data segment as they are, with what the connection adds.
    pub fn send_raw(&mut self, header: &[u8; BHS_LEN], data: &[u8]) {
        self.out.extend(header);
        if self.digest(Key::HeaderDigest) {
            self.out.extend(Crc32c::of(header));
        }
        let mut data = data.to_vec();
        let has_data = !data.is_empty();
        data.resize(data.len().next_multiple_of(4), 0);
        self.out.extend(&data);
        if has_data && self.digest(Key::DataDigest) {
            self.out.extend(Crc32c::of(&data));
        }
    }

    fn login(&mut self, request: &LoginRequest, data: &[u8]) {
        if self.negotiated.is_empty() && request.stage == Stage::Security {
            self.exp_cmd_sn = request.sn.cmd_sn;
            self.logins += 1;
        }
        assert!(!request.is_continued, "login text fits into one PDU");
        let mut answer = Writer::new();
        if request.stage == Stage::Operational
            && !self.negotiated.contains_key(Key::MaxBurstLength.name())
        {
            for (key, value) in core::mem::take(&mut self.settings.extra_keys) {
                answer.put(key, value);
            }
        }
        for pair in pairs(data) {
            let pair = pair.unwrap();
            let Some(key) = Key::from_name(pair.key) else {
                continue;
            };
            let result = self.negotiate(key, pair.value);
            self.negotiated
                .insert(key.name(), result.clone().unwrap_or(pair.value.into()));
            if let Some(result) = result {
                answer.put(key.name(), result);
            }
        }
        if request.stage == Stage::Operational && self.negotiated.len() > 4 {
            answer.put("MaxRecvDataSegmentLength", self.settings.max_recv);
        }
        let done = request.transit == Some(Stage::FullFeature);
        let sn = self.status();
        self.send(
            LoginResponse {
                transit: request.transit,
                is_continued: false,
                stage: request.stage,
                version_max: 0,
                version_active: 0,
                data_len: 0,
                isid: request.isid,
                tsih: if done { 77 } else { 0 },
                itt: request.itt,
                sn,
                status: LoginStatus::Success,
            },
            answer.as_bytes(),
        );
        self.full_feature = done;
    }

    fn negotiate(&self, key: Key, offered: &str) -> Option<String> {
        let s = &self.settings;
        let number = match key {
            Key::MaxBurstLength => s.max_burst,
            Key::FirstBurstLength => s.first_burst,
            Key::MaxOutstandingR2T => s.max_outstanding_r2t,
            Key::DefaultTime2Wait => s.time2wait,
            Key::MaxConnections => 1,
            _ => 0,
        };
        match key.spec().kind {
            KeyKind::Number { function, .. } => {
                let offered = value::number(offered).unwrap() as u32;
                Some(function.select(offered, number).to_string())
            }
            KeyKind::Boolean { function, .. } => {
                let own = match key {
                    Key::InitialR2T => s.initial_r2t,
                    Key::ImmediateData => s.immediate_data,
                    _ => true,
                };
                let result = function.select(offered == "Yes", own);
                Some(value::boolean_str(result).to_string())
            }
            KeyKind::List { .. } => {
                let pick = if s.digests && offered.starts_with("CRC32C") {
                    "CRC32C"
                } else {
                    "None"
                };
                Some(pick.to_string())
            }
            _ => None,
        }
    }

    fn command(&mut self, command: ScsiCommand, data: &[u8]) {
        if !command.write {
            assert!(command.is_final);
            return self.execute(&command, &[]);
        }
        assert!(data.is_empty() || self.yes(Key::ImmediateData));
        assert!(data.len() as u32 <= self.settings.max_recv);
        let first = self.number(Key::FirstBurstLength).min(command.expected_len);
        assert!(
            data.len() as u32 <= first,
            "more immediate data than FirstBurstLength"
        );
        let unsolicited = !command.is_final;
        assert!(
            !unsolicited || !self.yes(Key::InitialR2T),
            "unsolicited data"
        );
        let asked = if unsolicited {
            first
        } else {
            data.len() as u32
        };
        self.most_unsolicited = self.most_unsolicited.max(asked);
        self.writing.insert(
            command.itt,
            Writing {
                command,
                data: data.to_vec(),
                unsolicited,
                asked,
                r2t_sn: 0,
                open: VecDeque::new(),
                next_in_burst: data.len() as u32,
                data_sn: 0,
            },
        );
        self.go_on(command.itt);
    }

    fn data_out(&mut self, pdu: &DataOut, data: &[u8]) {
        assert!(
            data.len() as u32 <= self.settings.max_recv,
            "a Data-Out too long"
        );
        let Some(writing) = self.writing.get_mut(&pdu.itt) else {
            return;
        };
        assert_eq!(pdu.offset as usize, writing.data.len(), "data out of order");
        assert_eq!(pdu.data_sn, writing.data_sn, "DataSN");
        writing.data.extend_from_slice(data);
        writing.data_sn = if pdu.is_final { 0 } else { pdu.data_sn + 1 };
        if pdu.ttt == RESERVED_TAG {
            let cmd_sn = writing.command.sn.cmd_sn;
            assert!(
                self.unsolicited_of.is_none_or(|last| last.le(cmd_sn)),
                "unsolicited data in the order of the commands"
            );
            self.unsolicited_of = Some(cmd_sn);
            assert!(
                writing.unsolicited,
                "unsolicited data that was not announced"
            );
            assert!(writing.data.len() as u32 <= writing.asked);
            if pdu.is_final {
                assert_eq!(writing.data.len() as u32, writing.asked);
                writing.unsolicited = false;
                writing.next_in_burst = writing.asked;
            }
        } else {
            let &(ttt, offset, length) = writing.open.front().expect("an R2T");
            assert_eq!(pdu.ttt, ttt, "R2Ts answered in order");
            assert_eq!(pdu.lun, writing.command.lun, "LUN of the R2T");
            let end = offset + length;
            assert!(writing.data.len() as u32 <= end, "more data than asked for");
            let burst = writing.data.len() as u32 - offset;
            self.longest_burst = self.longest_burst.max(burst);
            assert_eq!(pdu.is_final, writing.data.len() as u32 == end);
            if pdu.is_final {
                writing.open.pop_front();
            }
        }
        if pdu.is_final {
            self.go_on(pdu.itt);
        }
    }

    /// Asks for more data, or carries the command out.
    fn go_on(&mut self, itt: u32) {
        let max_burst = self.number(Key::MaxBurstLength);
        let most = self.number(Key::MaxOutstandingR2T) as usize;
        let mut r2ts = Vec::new();
        let writing = self.writing.get_mut(&itt).unwrap();
        if writing.unsolicited {
            return;
        }
        let length = writing.command.expected_len;
        while writing.asked < length && writing.open.len() < most {
            let desired_len = (length - writing.asked).min(max_burst);
            let ttt = self.next_ttt;
            self.next_ttt += 1;
            writing.open.push_back((ttt, writing.asked, desired_len));
            r2ts.push((ttt, writing.r2t_sn, writing.asked, desired_len));
            writing.r2t_sn += 1;
            writing.asked += desired_len;
        }
        let (lun, done) = (writing.command.lun, writing.data.len() as u32 == length);
        for (ttt, r2t_sn, offset, desired_len) in r2ts {
            let sn = self.numbers();
            self.send(
                R2t {
                    data_len: 0,
                    lun,
                    itt,
                    ttt,
                    sn,
                    r2t_sn,
                    offset,
                    desired_len,
                },
                &[],
            );
        }
        if done && let Some(writing) = self.writing.remove(&itt) {
            self.execute(&writing.command, &writing.data);
        }
    }

    /// Carries a command out whose data is there.
    pub fn execute(&mut self, command: &ScsiCommand, data: &[u8]) {
        let reply = self.disk.execute(command.lun, &command.cdb, data);
        match reply {
            Reply::Data(data) => self.send_data(command, &data),
            Reply::Good => {
                self.respond(command.itt, Status::Good, None, command.expected_len, true)
            }
            Reply::Sense(key, asc) => self.check_condition(command, key, asc),
            Reply::Status(status) => self.respond(command.itt, status, None, 0, true),
        }
    }

    pub fn check_condition(&mut self, command: &ScsiCommand, key: SenseKey, asc: Asc) {
        let sense = Sense::new(key, asc).emit_fixed();
        self.respond(command.itt, Status::CheckCondition, Some(&sense), 0, true);
    }

    pub fn respond(
        &mut self,
        itt: u32,
        status: Status,
        sense: Option<&[u8]>,
        _moved: u32,
        _exact: bool,
    ) {
        let sn = self.status();
        let mut data = Vec::new();
        if let Some(sense) = sense {
            data.extend((sense.len() as u16).to_be_bytes());
            data.extend(sense);
        }
        self.send(
            ScsiResponse {
                response: ResponseCode::Completed,
                status,
                data_len: 0,
                itt,
                snack_tag: 0,
                sn,
                exp_data_sn: 0,
                bidi_residual: Residual::None,
                residual: Residual::None,
            },
            &data,
        );
    }

    fn send_data(&mut self, command: &ScsiCommand, data: &[u8]) {
        let length = (data.len() as u32).min(command.expected_len);
        let residual = match command.expected_len - length {
            0 => Residual::None,
            rest => Residual::Underflow(rest),
        };
        let max_burst = self.number(Key::MaxBurstLength);
        let segment = self
            .settings
            .data_in
            .min(self.number(Key::MaxRecvDataSegmentLength));
        let (mut offset, mut in_burst, mut data_sn) = (0, 0, 0);
        while offset < length {
            let count = (length - offset).min(segment).min(max_burst - in_burst);
            in_burst += count;
            let last = offset + count == length;
            let is_final = last || in_burst == max_burst;
            if is_final {
                in_burst = 0;
            }
            let status = (last && self.settings.status_in_data).then_some(Status::Good);
            let sn = if status.is_some() {
                self.status()
            } else {
                self.numbers()
            };
            let range = offset as usize..(offset + count) as usize;
            self.send(
                DataIn {
                    is_final,
                    acknowledge: false,
                    status,
                    data_len: count,
                    lun: Lun::default(),
                    itt: command.itt,
                    ttt: RESERVED_TAG,
                    sn,
                    data_sn,
                    offset,
                    residual: if status.is_some() {
                        residual
                    } else {
                        Residual::None
                    },
                },
                &data[range],
            );
            offset += count;
            data_sn += 1;
        }
        if length == 0 || !self.settings.status_in_data {
            let sn = self.status();
            self.send(
                ScsiResponse {
                    response: ResponseCode::Completed,
                    status: Status::Good,
                    data_len: 0,
                    itt: command.itt,
                    snack_tag: 0,
                    sn,
                    exp_data_sn: data_sn,
                    bidi_residual: Residual::None,
                    residual,
                },
                &[],
            );
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

fn set_len(pdu: &mut TargetPdu, length: u32) {
    match pdu {
        TargetPdu::NopIn(p) => p.data_len = length,
        TargetPdu::ScsiResponse(p) => p.data_len = length,
        TargetPdu::TaskResponse(p) => p.data_len = length,
        TargetPdu::LoginResponse(p) => p.data_len = length,
        TargetPdu::TextResponse(p) => p.data_len = length,
        TargetPdu::DataIn(p) => p.data_len = length,
        TargetPdu::LogoutResponse(p) => p.data_len = length,
        TargetPdu::R2t(p) => p.data_len = length,
        TargetPdu::AsyncMessage(p) => p.data_len = length,
        TargetPdu::Reject(p) => p.data_len = length,
    }
}
