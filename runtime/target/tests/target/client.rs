//! A raw initiator for tests: it sends the given PDUs, right or wrong, and shows the
//! answers.

use std::sync::Arc;
use std::time::Duration;

use vcp_iscsi_proto::login::Stage;
use vcp_iscsi_proto::pdu::{
    DataOut, InitiatorSn, LoginRequest, LogoutReason, LogoutRequest, ScsiCommand, TaskAttribute,
    TaskFunction, TaskRequest, TextRequest,
};
use vcp_iscsi_proto::{
    BHS_LEN, Bhs, BhsBytes, InitiatorPdu, Isid, Lun, RESERVED_TAG, Serial, TargetPdu,
};
use vcp_target::config::{TargetConfig, TargetNode};
use vcp_target::disk::SparseMemory;
use vcp_target::lun::{LogicalUnit, Node, UnitOptions};
use vcp_target::{Connection, End, Target};

pub(crate) const NAME: &str = "iqn.2026-11.example:disk";
pub(crate) const INITIATOR: &str = "iqn.2026-11.example:client";

/// A change to one case of a table, often to make it wrong.
pub(crate) type Change<T> = fn(&mut T);

/// The transport of bytes to a target and back.
pub(crate) trait Transport {
    fn send(&mut self, bytes: &[u8]);
    /// The bytes that have come; empty when none will come without more being sent.
    fn receive(&mut self) -> Vec<u8>;
}

/// A connection that is called directly, in virtual time.
pub(crate) struct Direct {
    pub(crate) connection: Connection,
    pub(crate) now: Duration,
    /// The number of bytes given at a time.
    pub(crate) pieces: usize,
}

impl Direct {
    pub(crate) fn new(target: &Arc<Target>) -> Self {
        let now = Duration::ZERO;
        let connection = Connection::new(Arc::clone(target), "192.0.2.1:3260", "test", now);
        Self {
            connection,
            now,
            pieces: usize::MAX,
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += by;
        self.connection.tick(self.now);
    }
}

impl Transport for Direct {
    fn send(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.pieces.max(1)) {
            if self.pieces == 1 {
                // This exercises the other way of input.
                self.connection.spare()[0] = piece[0];
                self.connection.received(self.now, 1);
            } else {
                self.connection.receive(self.now, piece);
            }
        }
    }

    fn receive(&mut self) -> Vec<u8> {
        self.connection.tick(self.now);
        let output = self.connection.output();
        let count = output.len().min(self.pieces.saturating_mul(1000));
        let bytes = output[..count].to_vec();
        self.connection.sent(count);
        bytes
    }
}

/// An initiator's state, as far as it has any.
pub(crate) struct Client<T> {
    pub(crate) transport: T,
    incoming: Vec<u8>,
    pub(crate) digests: bool,
    pub(crate) cmd_sn: u32,
    pub(crate) exp_stat_sn: u32,
    pub(crate) next_itt: u32,
    pub(crate) isid: Isid,
}

pub(crate) fn unit(size: u64) -> Arc<LogicalUnit> {
    let options = UnitOptions {
        attention_on_login: false,
        ..UnitOptions::default()
    };
    Arc::new(LogicalUnit::new(Box::new(SparseMemory::new(size)), options).unwrap())
}

/// A target with one node and one unit, number 0.
pub(crate) fn target_of(
    unit: &Arc<LogicalUnit>,
    change: impl FnOnce(&mut TargetConfig),
) -> Arc<Target> {
    let mut units = Node::default();
    units.insert(0, Arc::clone(unit));
    let mut config = TargetConfig::default();
    config.nodes.push(TargetNode::new(NAME, units));
    change(&mut config);
    Target::new(config)
}

pub(crate) fn keys(pairs: &[(&str, &str)]) -> Vec<u8> {
    pairs
        .iter()
        .flat_map(|(key, value)| format!("{key}={value}\0").into_bytes())
        .collect()
}

/// The keys that tell its identity and the target.
pub(crate) const INTRODUCTION: [(&str, &str); 2] =
    [("InitiatorName", INITIATOR), ("TargetName", NAME)];

impl<T: Transport> Client<T> {
    pub(crate) fn new(transport: T) -> Self {
        Self {
            transport,
            incoming: Vec::new(),
            digests: false,
            cmd_sn: 1,
            exp_stat_sn: 0,
            next_itt: 1,
            isid: Isid::random(1, 1),
        }
    }

    pub(crate) fn sn(&self) -> InitiatorSn {
        InitiatorSn {
            cmd_sn: Serial(self.cmd_sn),
            exp_stat_sn: Serial(self.exp_stat_sn),
        }
    }

    pub(crate) fn itt(&mut self) -> u32 {
        self.next_itt += 1;
        self.next_itt
    }

    /// A PDU as it is on the wire.
    pub(crate) fn encode(&self, pdu: &InitiatorPdu, data: &[u8]) -> Vec<u8> {
        let mut header: BhsBytes = [0; BHS_LEN];
        pdu.emit(&mut header);
        let mut bytes = header.to_vec();
        if self.digests {
            bytes.extend_from_slice(&crc32c::crc32c(&header).to_le_bytes());
        }
        let mut data = data.to_vec();
        data.resize(data.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(&data);
        if self.digests && !data.is_empty() {
            bytes.extend_from_slice(&crc32c::crc32c(&data).to_le_bytes());
        }
        bytes
    }

    pub(crate) fn send(&mut self, pdu: impl Into<InitiatorPdu>, data: &[u8]) {
        let bytes = self.encode(&pdu.into(), data);
        self.transport.send(&bytes);
    }

    /// The next PDU, or `None` when the target is silent.
    pub(crate) fn next(&mut self) -> Option<(TargetPdu, Vec<u8>)> {
        loop {
            if let Some((pdu, data)) = self.cut() {
                let counts = match &pdu {
                    TargetPdu::DataIn(data) => data.status.is_some(),
                    TargetPdu::R2t(_) => false,
                    TargetPdu::NopIn(nop) => nop.itt != RESERVED_TAG,
                    _ => true,
                };
                if counts {
                    self.exp_stat_sn = pdu.sn().stat_sn.0.wrapping_add(1);
                }
                return Some((pdu, data));
            }
            let bytes = self.transport.receive();
            if bytes.is_empty() {
                return None;
            }
            self.incoming.extend(bytes);
        }
    }

    fn cut(&mut self) -> Option<(TargetPdu, Vec<u8>)> {
        let header = *self.incoming.first_chunk::<BHS_LEN>()?;
        let layout = Bhs::parse(&header).layout(self.digests, self.digests);
        if self.incoming.len() < layout.total {
            return None;
        }
        let bytes: Vec<u8> = self.incoming.drain(..layout.total).collect();
        let pdu = TargetPdu::parse(&header).unwrap();
        Some((pdu, bytes[layout.data_start..][..layout.data_len].to_vec()))
    }

    /// The rest of the stream, even if it is not a whole PDU.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let more = self.transport.receive();
        self.incoming.extend(more);
        std::mem::take(&mut self.incoming)
    }

    pub(crate) fn login_request(
        &self,
        stage: Stage,
        transit: Option<Stage>,
        text: &[u8],
    ) -> LoginRequest {
        LoginRequest {
            transit,
            is_continued: false,
            stage,
            version_max: 0,
            version_min: 0,
            data_len: text.len() as u32,
            isid: self.isid,
            tsih: 0,
            itt: 1,
            cid: 0,
            sn: self.sn(),
        }
    }

    /// One round of a login: the response and its keys.
    pub(crate) fn login_round(
        &mut self,
        stage: Stage,
        transit: Option<Stage>,
        pairs: &[(&str, &str)],
    ) -> (vcp_iscsi_proto::pdu::LoginResponse, Vec<(String, String)>) {
        let text = keys(pairs);
        self.send(self.login_request(stage, transit, &text), &text);
        self.login_answer()
    }

    pub(crate) fn login_answer(
        &mut self,
    ) -> (vcp_iscsi_proto::pdu::LoginResponse, Vec<(String, String)>) {
        match self.next() {
            Some((TargetPdu::LoginResponse(response), data)) => (response, parse(&data)),
            other => panic!("{other:?}"),
        }
    }

    /// Logs in in one round with these keys besides the introduction; returns the
    /// target's answer.
    pub(crate) fn login(&mut self, pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = [&INTRODUCTION[..], pairs].concat();
        let (response, answer) =
            self.login_round(Stage::Operational, Some(Stage::FullFeature), &pairs);
        assert_eq!(
            response.transit,
            Some(Stage::FullFeature),
            "{response:?} {answer:?}"
        );
        answer
    }

    pub(crate) fn command(&mut self, cdb: &[u8], expected: u32, write: bool) -> ScsiCommand {
        let mut padded = [0; 16];
        padded[..cdb.len()].copy_from_slice(cdb);
        let itt = self.itt();
        let command = ScsiCommand {
            immediate: false,
            is_final: true,
            read: !write && expected > 0,
            write,
            attribute: TaskAttribute::Simple,
            ahs_len: 0,
            data_len: 0,
            lun: Lun(0),
            itt,
            expected_len: expected,
            sn: self.sn(),
            cdb: padded,
        };
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        command
    }

    /// READ (10) of 512-byte blocks.
    pub(crate) fn read(&mut self, lba: u32, blocks: u16) -> ScsiCommand {
        let [l0, l1, l2, l3] = lba.to_be_bytes();
        let [b0, b1] = blocks.to_be_bytes();
        self.command(
            &[0x28, 0, l0, l1, l2, l3, 0, b0, b1, 0],
            u32::from(blocks) * 512,
            false,
        )
    }

    /// WRITE (10) of 512-byte blocks.
    pub(crate) fn write(&mut self, lba: u32, blocks: u16) -> ScsiCommand {
        let [l0, l1, l2, l3] = lba.to_be_bytes();
        let [b0, b1] = blocks.to_be_bytes();
        self.command(
            &[0x2A, 0, l0, l1, l2, l3, 0, b0, b1, 0],
            u32::from(blocks) * 512,
            true,
        )
    }

    pub(crate) fn data_out(
        &self,
        command: &ScsiCommand,
        ttt: u32,
        offset: u32,
        length: u32,
    ) -> DataOut {
        DataOut {
            is_final: true,
            data_len: length,
            lun: if ttt == RESERVED_TAG {
                Lun(0)
            } else {
                command.lun
            },
            itt: command.itt,
            ttt,
            exp_stat_sn: Serial(self.exp_stat_sn),
            data_sn: 0,
            offset,
        }
    }

    pub(crate) fn logout_request(&mut self) -> LogoutRequest {
        let itt = self.itt();
        LogoutRequest {
            immediate: true,
            reason: LogoutReason::CloseSession,
            data_len: 0,
            itt,
            cid: 0,
            sn: self.sn(),
        }
    }

    pub(crate) fn task_request(&mut self, function: TaskFunction, of: &ScsiCommand) -> TaskRequest {
        let itt = self.itt();
        TaskRequest {
            immediate: true,
            function,
            data_len: 0,
            lun: of.lun,
            itt,
            ref_itt: if function == TaskFunction::AbortTask {
                of.itt
            } else {
                RESERVED_TAG
            },
            sn: self.sn(),
            ref_cmd_sn: of.sn.cmd_sn,
            exp_data_sn: 0,
        }
    }

    pub(crate) fn text_request(&mut self, text: &[u8]) -> TextRequest {
        let itt = self.itt();
        let request = TextRequest {
            immediate: false,
            is_final: true,
            is_continued: false,
            data_len: text.len() as u32,
            lun: Lun(0),
            itt,
            ttt: RESERVED_TAG,
            sn: self.sn(),
        };
        self.cmd_sn = self.cmd_sn.wrapping_add(1);
        request
    }

    /// Sends a read and joins its data, in order; returns that and the status.
    pub(crate) fn read_all(&mut self, lba: u32, blocks: u16) -> (Vec<u8>, u8) {
        let command = self.read(lba, blocks);
        self.send(command, b"");
        let mut all = Vec::new();
        loop {
            match self.next() {
                Some((TargetPdu::DataIn(pdu), data)) => {
                    assert_eq!((pdu.itt, pdu.offset as usize), (command.itt, all.len()));
                    all.extend(data);
                    if let Some(status) = pdu.status {
                        return (all, status.into());
                    }
                }
                Some((TargetPdu::ScsiResponse(pdu), _)) => return (all, pdu.status.into()),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Writes whole blocks: nothing immediate, all by R2T. Returns the status.
    pub(crate) fn write_all(&mut self, lba: u32, data: &[u8]) -> u8 {
        let command = self.write(lba, (data.len() / 512) as u16);
        self.send(command, b"");
        loop {
            match self.next() {
                Some((TargetPdu::R2t(r2t), _)) => {
                    let (start, end) = (r2t.offset, r2t.offset + r2t.desired_len);
                    let starts = (start..end).step_by(8192);
                    for (data_sn, offset) in starts.enumerate() {
                        let length = 8192.min(end - offset);
                        let mut pdu = self.data_out(&command, r2t.ttt, offset, length);
                        pdu.data_sn = data_sn as u32;
                        pdu.is_final = offset + length == end;
                        self.send(pdu, &data[offset as usize..][..length as usize]);
                    }
                }
                Some((TargetPdu::ScsiResponse(pdu), _)) => return pdu.status.into(),
                other => panic!("{other:?}"),
            }
        }
    }
}

impl Client<Direct> {
    pub(crate) fn direct(target: &Arc<Target>) -> Self {
        Self::new(Direct::new(target))
    }

    /// A client that has logged in with these keys.
    pub(crate) fn ready(target: &Arc<Target>, pairs: &[(&str, &str)]) -> Self {
        let mut client = Self::direct(target);
        client.login(pairs);
        client
    }

    pub(crate) fn end(&self) -> Option<&End> {
        self.transport.connection.end()
    }
}

pub(crate) fn parse(text: &[u8]) -> Vec<(String, String)> {
    let text = std::str::from_utf8(text).unwrap();
    let pairs = text
        .split_terminator('\0')
        .map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(k, _)| k == key)
        .map(|(_, v)| v.as_str())
}

/// Bytes that depend on their position.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at / 512) as u8 ^ (at as u8).wrapping_mul(31))
        .collect()
}
