//! Makes PDUs of an initiator from a script: mostly sound ones, with numbers that fit,
//! and a byte of the script that says what is wrong with them.

use vcp_iscsi_proto::bhs::padded;
use vcp_iscsi_proto::login::Stage;
use vcp_iscsi_proto::pdu::{
    DataOut, InitiatorSn, LoginRequest, LogoutRequest, NopOut, ScsiCommand, Snack, TaskAttribute,
    TaskRequest, TextRequest,
};
use vcp_iscsi_proto::scsi::{Command, Extent, LunSelection, ModeForm, PageControl, emit_unmap};
use vcp_iscsi_proto::{BHS_LEN, InitiatorPdu, Isid, Lun, RESERVED_TAG, Serial};

use super::Peer;
use crate::script::Script;
use crate::unit;

/// The texts of a login, and what is wrong with them.
const LOGINS: &[&str] = &[
    "InitiatorName=iqn.2026-11.example:host\0SessionType=Normal\0TargetName=iqn.2026-11.example:disk\0",
    "InitiatorName=iqn.2026-11.example:host\0SessionType=Normal\0TargetName=iqn.2026-11.example:disk\0\
     HeaderDigest=None\0DataDigest=None\0MaxConnections=1\0InitialR2T=No\0\
     ImmediateData=Yes\0MaxRecvDataSegmentLength=4096\0MaxBurstLength=16384\0\
     FirstBurstLength=8192\0DefaultTime2Wait=2\0DefaultTime2Retain=0\0MaxOutstandingR2T=4\0\
     DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0ErrorRecoveryLevel=0\0",
    "InitiatorName=iqn.2026-11.example:host\0SessionType=Discovery\0",
    "InitiatorName=iqn.2026-11.example:host\0SessionType=Normal\0TargetName=iqn.2026-11.example:none\0",
    "MaxBurstLength=16384\0IFMarker=No\0X-example=1\0TaskReporting=RFC3720\0",
    "InitiatorName=iqn.2026-11.example:host\0MaxBurst",
    "",
];

/// A PDU with its data and padding.
pub(super) fn make(step: u8, script: &mut Script<'_>, peer: &mut Peer) -> Vec<u8> {
    let twist = script.byte();
    match step {
        0 | 1 => login(twist, script, peer),
        2..=4 => command(twist, script, peer),
        5 | 6 => data_out(twist, script, peer),
        7 => text(twist, script, peer),
        8 => small(twist, script, peer),
        _ => raw(script),
    }
}

fn emit(pdu: impl Into<InitiatorPdu>, ahs: &[u8], data: &[u8]) -> Vec<u8> {
    let mut header = [0; BHS_LEN];
    pdu.into().emit(&mut header);
    let mut bytes = [&header, ahs, data].concat();
    bytes.resize(BHS_LEN + ahs.len() + padded(data.len()), 0);
    bytes
}

/// The numbers of a request that uses one up unless it is immediate.
fn numbers(immediate: bool, twist: u8, peer: &mut Peer) -> InitiatorSn {
    let cmd_sn = peer.cmd_sn.wrapping_add(if twist == 0xf1 { 1 } else { 0 });
    if !immediate && twist != 0xf2 {
        peer.cmd_sn = peer.cmd_sn.wrapping_add(1);
    }
    let exp_stat_sn = Serial(peer.answers.exp_stat_sn());
    InitiatorSn {
        cmd_sn: Serial(cmd_sn),
        exp_stat_sn,
    }
}

fn tag(twist: u8, peer: &mut Peer) -> u32 {
    let itt = if twist == 0xf3 {
        peer.next_itt - 1
    } else {
        peer.next_itt
    };
    peer.next_itt += 1;
    itt
}

fn login(twist: u8, script: &mut Script<'_>, peer: &mut Peer) -> Vec<u8> {
    let which = usize::from(script.byte());
    let text = LOGINS
        .get(which)
        .map_or_else(|| script.bytes(), |text| text.as_bytes());
    let (stage, transit) = match twist % 8 {
        0 | 1 => (Stage::Operational, Some(Stage::FullFeature)),
        2 => (Stage::Security, Some(Stage::Operational)),
        3 => (Stage::Security, Some(Stage::FullFeature)),
        4 => (Stage::Security, None),
        5 => (Stage::Operational, None),
        6 => (Stage::FullFeature, Some(Stage::Security)),
        _ => (Stage::Operational, Some(Stage::Operational)),
    };
    let text = &text[..text.len().min(8192)];
    let request = LoginRequest {
        transit,
        is_continued: transit.is_none() && twist & 0x80 != 0,
        stage,
        version_max: twist >> 6 & 1,
        version_min: twist >> 5 & twist >> 6 & 1,
        data_len: text.len() as u32,
        isid: Isid::random(0, u16::from(twist >> 4 & 1)),
        tsih: if twist == 0xf4 { script.short() } else { 0 },
        itt: 0,
        cid: 0,
        sn: InitiatorSn {
            cmd_sn: Serial(peer.cmd_sn),
            exp_stat_sn: Serial(peer.answers.exp_stat_sn()),
        },
    };
    emit(request, &[], text)
}

fn command(twist: u8, script: &mut Script<'_>, peer: &mut Peer) -> Vec<u8> {
    let command = choose(script);
    let sized = u32::from(script.short());
    let immediate = twist == 0xf0;
    let unmap = emit_unmap(&[Extent {
        lba: u64::from(sized),
        blocks: sized,
    }]);
    let data = match command {
        Command::Write { .. } | Command::WriteSame { .. } => script.bytes(),
        Command::Unmap { .. } => &unmap,
        _ => &[],
    };
    let data = if twist & 1 == 0 { data } else { &[] };
    let data = &data[..data.len().min(4096)];
    let write = matches!(
        command,
        Command::Write { .. } | Command::WriteSame { .. } | Command::Unmap { .. }
    );
    let expected_len = if twist & 2 == 0 {
        natural_len(&command)
    } else {
        sized
    };
    let ahs = if twist == 0xf5 {
        &[0, 1, 9, 0][..]
    } else {
        &[]
    };
    let request = ScsiCommand {
        immediate,
        is_final: twist & 4 == 0,
        read: !write || twist == 0xf6,
        write: write || twist == 0xf7,
        attribute: if twist & 8 == 0 {
            TaskAttribute::Simple
        } else {
            TaskAttribute::Ordered
        },
        ahs_len: ahs.len() as u16,
        data_len: data.len() as u32,
        lun: Lun::new(if twist & 0x30 == 0x30 { 0 } else { 1 }).expect("a small number"),
        itt: tag(twist, peer),
        expected_len,
        sn: numbers(immediate, twist, peer),
        cdb: if twist == 0xf8 {
            *script.take(16).first_chunk().unwrap_or(&[0; 16])
        } else {
            command.emit()
        },
    };
    emit(request, ahs, data)
}

/// What a command moves, with blocks of 512 bytes.
fn natural_len(command: &Command) -> u32 {
    match *command {
        Command::Read { blocks, .. } | Command::Write { blocks, .. } => blocks.saturating_mul(512),
        Command::WriteSame { no_data, .. } => {
            if no_data {
                0
            } else {
                512
            }
        }
        Command::Unmap { list_len, .. } => list_len.into(),
        Command::ReadCapacity10 => 8,
        _ => 255,
    }
}

fn choose(script: &mut Script<'_>) -> Command {
    let (kind, lba, blocks) = (
        script.byte(),
        u64::from(script.short()),
        u32::from(script.byte()),
    );
    let (fua, dpo) = (kind & 0x80 != 0, false);
    match kind % 16 {
        0 => Command::TestUnitReady,
        1 => Command::RequestSense {
            descriptor: fua,
            alloc_len: blocks as u8,
        },
        2 => Command::Inquiry {
            vpd: None,
            alloc_len: blocks as u16,
        },
        3 => Command::Inquiry {
            vpd: Some(lba as u8),
            alloc_len: 255,
        },
        4 => Command::ReportLuns {
            select: LunSelection::All,
            alloc_len: 16 + blocks,
        },
        5 => Command::ReadCapacity10,
        6 => Command::ReadCapacity16 { alloc_len: blocks },
        7 => Command::ModeSense {
            form: if fua { ModeForm::Ten } else { ModeForm::Six },
            no_block_descriptors: lba & 1 != 0,
            control: PageControl::Current,
            page: (lba >> 1) as u8 & 0x3f,
            subpage: 0,
            alloc_len: blocks as u16,
        },
        8 => Command::SynchronizeCache {
            lba,
            blocks,
            immediate: fua,
        },
        9 => Command::Unmap {
            anchor: fua,
            list_len: 24,
        },
        10 => Command::WriteSame {
            lba,
            blocks,
            unmap: fua,
            anchor: false,
            no_data: kind & 0x40 != 0,
        },
        11 => Command::GetLbaStatus {
            lba,
            alloc_len: blocks,
        },
        12 | 13 => Command::Read {
            lba,
            blocks,
            fua,
            dpo,
        },
        _ => Command::Write {
            lba,
            blocks,
            fua,
            dpo,
        },
    }
}

/// Answers an R2T, or sends data that nobody asked for.
fn data_out(twist: u8, script: &mut Script<'_>, peer: &mut Peer) -> Vec<u8> {
    let fill = script.byte();
    let exp_stat_sn = Serial(peer.answers.exp_stat_sn());
    let r2ts = &mut peer.answers.r2ts;
    if r2ts.is_empty() || twist == 0xf0 {
        let data = vec![fill; usize::from(script.short() % 4097)];
        let request = DataOut {
            is_final: twist & 1 == 0,
            data_len: data.len() as u32,
            lun: Lun(0x0001_0000_0000_0000),
            itt: peer.next_itt - 1,
            ttt: if twist & 2 == 0 {
                RESERVED_TAG
            } else {
                fill.into()
            },
            exp_stat_sn,
            data_sn: (twist >> 2 & 3).into(),
            offset: u32::from(script.byte()) * 512,
        };
        return emit(request, &[], &data);
    }
    // All that is asked for, in PDUs no longer than any target here takes.
    let r2t = r2ts.remove(usize::from(twist) % r2ts.len());
    let len = if twist == 0xf1 {
        r2t.desired_len + 512
    } else {
        r2t.desired_len
    };
    let mut bytes = Vec::new();
    for (n, at) in (0..len).step_by(512).enumerate() {
        let part = (len - at).min(512);
        let request = DataOut {
            is_final: at + part == len && twist != 0xf2,
            data_len: part,
            lun: r2t.lun,
            itt: r2t.itt,
            ttt: r2t.ttt ^ u32::from(twist == 0xf3),
            exp_stat_sn,
            data_sn: n as u32 + u32::from(twist == 0xf4),
            offset: r2t
                .offset
                .wrapping_add(at)
                .wrapping_add(u32::from(twist == 0xf5)),
        };
        bytes.extend(emit(request, &[], &vec![fill; part as usize]));
    }
    bytes
}

fn text(twist: u8, script: &mut Script<'_>, peer: &mut Peer) -> Vec<u8> {
    let own = format!("SendTargets={}\0", unit::NAME);
    let text: &[u8] = match twist % 5 {
        0 => b"SendTargets=All\0",
        1 => b"SendTargets=\0",
        2 => own.as_bytes(),
        3 => b"",
        _ => script.bytes(),
    };
    let text = &text[..text.len().min(4096)];
    let request = TextRequest {
        immediate: twist & 0x40 != 0,
        is_final: twist & 0x20 == 0,
        is_continued: twist & 0x30 == 0x30,
        data_len: text.len() as u32,
        lun: Lun(0),
        itt: tag(twist, peer),
        ttt: peer
            .answers
            .ttt
            .filter(|_| twist & 0x80 != 0)
            .unwrap_or(RESERVED_TAG),
        sn: numbers(twist & 0x40 != 0, twist, peer),
    };
    emit(request, &[], text)
}

/// Requests that have no data to speak of.
fn small(twist: u8, script: &mut Script<'_>, peer: &mut Peer) -> Vec<u8> {
    let kind = script.byte();
    let immediate = twist & 1 == 0;
    let lun = Lun::new(1).expect("a small number");
    match kind % 8 {
        0..=2 => {
            let data = &script.bytes();
            let data = &data[..data.len().min(512)];
            let answer = peer.answers.ttt.filter(|_| twist & 2 != 0);
            let silent = answer.is_some() || twist & 4 != 0;
            let itt = if silent {
                RESERVED_TAG
            } else {
                tag(twist, peer)
            };
            let ttt = answer.unwrap_or(RESERVED_TAG);
            let sn = numbers(immediate, twist, peer);
            emit(
                NopOut {
                    immediate,
                    data_len: data.len() as u32,
                    lun,
                    itt,
                    ttt,
                    sn,
                },
                &[],
                data,
            )
        }
        3..=5 => {
            let request = TaskRequest {
                immediate,
                function: (script.byte() % 10).into(),
                data_len: 0,
                lun,
                itt: tag(twist, peer),
                ref_itt: peer.next_itt.saturating_sub(2),
                sn: numbers(immediate, twist, peer),
                ref_cmd_sn: Serial(peer.cmd_sn.wrapping_sub(2)),
                exp_data_sn: 0,
            };
            emit(request, &[], &[])
        }
        6 => {
            let request = Snack {
                kind: (twist & 3).into(),
                data_len: 0,
                lun,
                itt: peer.next_itt - 1,
                ttt: RESERVED_TAG,
                exp_stat_sn: Serial(peer.answers.exp_stat_sn()),
                begin: 0,
                run_len: 0,
            };
            emit(request, &[], &[])
        }
        _ => {
            let request = LogoutRequest {
                immediate,
                reason: (script.byte() % 4).into(),
                data_len: 0,
                itt: tag(twist, peer),
                cid: u16::from(twist & 2),
                sn: numbers(immediate, twist, peer),
            };
            emit(request, &[], &[])
        }
    }
}

/// Any header, with as much data as it says.
fn raw(script: &mut Script<'_>) -> Vec<u8> {
    let mut header = [0; BHS_LEN];
    let given = script.take(BHS_LEN);
    header[..given.len()].copy_from_slice(given);
    header[5] = 0;
    header[6] &= 0x0f;
    let len = usize::from(header[4]) * 4
        + padded(usize::from(u16::from_be_bytes([header[6], header[7]])));
    let mut bytes = header.to_vec();
    bytes.resize(BHS_LEN + len, 0x5a);
    bytes
}
