//! A target that lies: faults of its own, PDUs that nobody asked for, bytes that
//! change on the way.

use vcp_iscsi_proto::bhs::{BhsBytes, padded};
use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::{BHS_LEN, Bhs, InitiatorPdu, Isid, Lun, Opcode, RESERVED_TAG, TargetPdu};
use vcp_target::script::{Fault, Misbehaviour};

use super::world::World;
use crate::script::Script;
use crate::trace::trace;

/// Up to three things that the target does wrong.
pub(super) fn faults(script: &mut Script<'_>) -> Vec<Fault> {
    (0..script.byte() % 4).map(|_| fault(script)).collect()
}

fn fault(script: &mut Script<'_>) -> Fault {
    const PDUS: [Opcode; 10] = [
        Opcode::DataIn,
        Opcode::R2t,
        Opcode::ScsiResponse,
        Opcode::LoginResponse,
        Opcode::NopIn,
        Opcode::LogoutResponse,
        Opcode::TaskResponse,
        Opcode::ScsiCommand,
        Opcode::DataOut,
        Opcode::NopOut,
    ];
    let (pdu, nth, act) = (script.byte(), script.byte(), script.byte());
    let delta = i32::from(script.byte() as i8);
    let act = match act % 20 {
        0 => Misbehaviour::Offset(delta * 512),
        1 => Misbehaviour::Length(delta * 4),
        2 => Misbehaviour::LengthField(delta),
        3 => Misbehaviour::DesiredLength(delta * 512),
        4 => Misbehaviour::DataSn(delta),
        5 => Misbehaviour::Itt(delta),
        6 => Misbehaviour::Ttt(delta),
        7 => Misbehaviour::StatSn(delta),
        8 => Misbehaviour::CmdSn(delta),
        9 => Misbehaviour::Opcode(delta as u8),
        10 => Misbehaviour::FlipByte {
            at: script.byte() % 48,
            mask: delta as u8,
        },
        11 => Misbehaviour::HeaderDigest,
        12 => Misbehaviour::DataDigest,
        13 => Misbehaviour::Residual(delta as u32),
        14 => Misbehaviour::StatusEarly,
        15 => Misbehaviour::Omit,
        16 => Misbehaviour::Twice,
        17 => Misbehaviour::Drop {
            after: delta.unsigned_abs() as usize,
        },
        18 => Misbehaviour::Silence,
        _ => Misbehaviour::Reject((delta as u8).into()),
    };
    let pdu = PDUS[usize::from(pdu) % PDUS.len()];
    Fault {
        pdu,
        nth: u64::from(nth & 0x7f).max(1),
        onwards: nth & 0x80 != 0,
        act,
    }
}

/// Knows the numbers in use from what goes over the wire, until digests or lies make it
/// lose its place.
#[derive(Default)]
pub(super) struct Sniffer {
    up: Lane,
    down: Lane,
    /// Tags of the last requests.
    itts: Vec<u32>,
    sn: TargetSn,
}

/// One direction.
#[derive(Default)]
struct Lane {
    partial: Vec<u8>,
    lost: bool,
}

impl Sniffer {
    pub(super) fn up(&mut self, bytes: &[u8]) {
        let itts = &mut self.itts;
        self.up.read(bytes, |header| {
            trace!("  {:?}", InitiatorPdu::parse(header));
            itts.push(Bhs::parse(header).itt);
            InitiatorPdu::parse(header).is_ok()
        });
    }

    pub(super) fn down(&mut self, bytes: &[u8]) {
        let sn = &mut self.sn;
        self.down.read(bytes, |header| {
            let pdu = TargetPdu::parse(header);
            trace!("  {pdu:?}");
            *sn = pdu.map_or(*sn, |pdu| pdu.sn());
            pdu.is_ok()
        });
    }
}

impl Lane {
    /// Hands over the headers of whole PDUs, as long as they are understood.
    fn read(&mut self, bytes: &[u8], mut take: impl FnMut(&BhsBytes) -> bool) {
        if self.lost {
            return;
        }
        self.partial.extend_from_slice(bytes);
        let mut used = 0;
        while let Some(header) = self.partial[used..].first_chunk::<BHS_LEN>() {
            let total = Bhs::parse(header).layout(false, false).total;
            if self.partial.len() - used < total {
                break;
            }
            self.lost |= !take(header);
            used += total;
            if self.lost {
                return;
            }
        }
        self.partial.drain(..used);
    }
}

impl World {
    /// Puts something on the wire to the initiator that the target didn't say, or
    /// changes what it said.
    pub(super) fn forge(&mut self, script: &mut Script<'_>) {
        if !self.hostile {
            return;
        }
        match script.byte() % 8 {
            0 => {
                let (at, mask) = (usize::from(script.short()), script.byte());
                let len = self.down.len().max(1);
                if let Some(byte) = self.down.get_mut(at % len) {
                    *byte ^= mask;
                }
            }
            1 => {
                let bytes = script.bytes();
                self.down.extend_from_slice(bytes);
            }
            _ => {
                let (pdu, data) = pdu(&self.sniffer, script);
                trace!("  forged: {pdu:?}");
                let mut header = [0; BHS_LEN];
                pdu.emit(&mut header);
                self.down.extend_from_slice(&header);
                self.down.extend_from_slice(&data);
                self.down
                    .resize(self.down.len() + padded(data.len()) - data.len(), 0);
            }
        }
        self.carry_down(usize::MAX);
    }
}

fn pdu(sniffer: &Sniffer, script: &mut Script<'_>) -> (TargetPdu, Vec<u8>) {
    let (kind, twist) = (script.byte(), script.byte());
    let back = usize::from(script.byte());
    let itt = sniffer
        .itts
        .iter()
        .rev()
        .nth(back)
        .copied()
        .unwrap_or(RESERVED_TAG);
    let mut sn = sniffer.sn;
    sn.stat_sn = sn.stat_sn.add(u32::from(twist & 3));
    if twist & 4 != 0 {
        sn.max_cmd_sn = sn.max_cmd_sn.add(script.short().into());
    }
    let data = match script.bytes() {
        text if twist & 8 != 0 => text.to_vec(),
        text => vec![twist; text.len()],
    };
    let data_len = data.len() as u32;
    let (offset, length) = (
        u32::from(script.byte()) * 512,
        u32::from(script.byte()) * 512,
    );
    let number = u32::from(script.byte());
    let ttt = if twist & 16 != 0 {
        RESERVED_TAG
    } else {
        number
    };
    let lun = Lun::new(1).expect("a small number");
    let residual = match twist >> 6 {
        0 | 1 => Residual::None,
        2 => Residual::Underflow(length),
        _ => Residual::Overflow(length),
    };
    let pdu = match kind % 12 {
        0 | 1 => DataIn {
            is_final: twist & 32 != 0,
            acknowledge: twist & 3 == 3,
            status: (twist & 48 == 48).then(|| (number as u8).into()),
            data_len,
            lun,
            itt,
            ttt: RESERVED_TAG,
            sn,
            data_sn: number,
            offset,
            residual,
        }
        .into(),
        2 | 3 => R2t {
            data_len: 0,
            lun,
            itt,
            ttt,
            sn,
            r2t_sn: number,
            offset,
            desired_len: length,
        }
        .into(),
        4 => ScsiResponse {
            response: (twist >> 3 & 1).into(),
            status: (number as u8).into(),
            data_len,
            itt,
            snack_tag: 0,
            sn,
            exp_data_sn: offset / 512,
            bidi_residual: Residual::None,
            residual,
        }
        .into(),
        5 => NopIn {
            data_len,
            lun,
            itt: if twist & 32 != 0 { itt } else { RESERVED_TAG },
            ttt,
            sn,
        }
        .into(),
        6 => AsyncMessage {
            event: event(number, script),
            data_len,
            lun,
            sn,
        }
        .into(),
        7 => Reject {
            reason: (number as u8).into(),
            data_len,
            sn,
            data_sn: 0,
        }
        .into(),
        8 => LogoutResponse {
            code: (number as u8 % 5).into(),
            data_len,
            itt,
            sn,
            time2wait: script.short(),
            time2retain: script.short(),
        }
        .into(),
        9 => TaskResponse {
            code: (number as u8).into(),
            data_len,
            itt,
            sn,
        }
        .into(),
        10 => TextResponse {
            is_final: twist & 32 != 0,
            is_continued: twist & 48 == 16,
            data_len,
            lun,
            itt,
            ttt,
            sn,
        }
        .into(),
        _ => LoginResponse {
            transit: (twist & 32 != 0).then_some(Stage::FullFeature),
            is_continued: twist & 48 == 16,
            stage: if twist & 64 != 0 {
                Stage::Security
            } else {
                Stage::Operational
            },
            version_max: 0,
            version_active: number as u8 & 1,
            data_len,
            isid: Isid::random(0, 0),
            tsih: number as u16,
            itt,
            sn,
            status: LoginStatus::new((offset / 512) as u8 & 3, (length / 512) as u8),
        }
        .into(),
    };
    // An R2T has no data.
    let data = if matches!(pdu, TargetPdu::R2t(_)) {
        Vec::new()
    } else {
        data
    };
    (pdu, data)
}

fn event(number: u32, script: &mut Script<'_>) -> AsyncEvent {
    let within = script.byte().into();
    match number % 7 {
        0 => AsyncEvent::Scsi,
        1 => AsyncEvent::LogoutRequest { within },
        2 => AsyncEvent::DropConnection {
            cid: 0,
            time2wait: within,
            time2retain: 0,
        },
        3 => AsyncEvent::DropSession {
            time2wait: within,
            time2retain: 0,
        },
        4 => AsyncEvent::Negotiate { within },
        5 => AsyncEvent::TasksTerminated,
        _ => AsyncEvent::Other {
            event: number as u8,
            vendor_code: 0,
            parameters: [within; 3],
        },
    }
}
