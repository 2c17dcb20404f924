//! One PDU of each kind, login texts, values, CDBs and parameter data.

use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::*;
use vcp_iscsi_proto::{
    BHS_LEN, InitiatorPdu, Isid, Lun, RESERVED_TAG, Serial, TargetPdu, scsi,
};

use super::Seeds;

pub(crate) fn write(seeds: &Seeds) {
    for pdu in from_initiator() {
        let mut b = [0; BHS_LEN];
        pdu.emit(&mut b);
        seeds.add(&format!("pdu-{:02x}", b[0] & 0x3f), &[&[0], &b]);
    }
    for pdu in from_target() {
        let mut b = [0; BHS_LEN];
        pdu.emit(&mut b);
        let sense = Sense::new(SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET).emit_fixed();
        seeds.add(&format!("pdu-{:02x}", b[0]), &[&[0], &b, &[0, 18], &sense]);
    }
    long_command(seeds);
    texts(seeds);
    commands(seeds);
    parameters(seeds);
    seeds.add("digest", &[&[5], &[0; 32], &[0xff; 32]]);
}

const LUN: Lun = Lun(0x0001_0000_0000_0000);
const ITT: u32 = 0x10;

fn from_initiator() -> [InitiatorPdu; 8] {
    let sn = InitiatorSn {
        cmd_sn: Serial(5),
        exp_stat_sn: Serial(7),
    };
    [
        NopOut {
            immediate: true,
            data_len: 0,
            lun: LUN,
            itt: ITT,
            ttt: RESERVED_TAG,
            sn,
        }
        .into(),
        command(sn, 0).into(),
        TaskRequest {
            immediate: true,
            function: TaskFunction::AbortTask,
            data_len: 0,
            lun: LUN,
            itt: ITT,
            ref_itt: 9,
            sn,
            ref_cmd_sn: Serial(4),
            exp_data_sn: 0,
        }
        .into(),
        LoginRequest {
            transit: Some(Stage::FullFeature),
            is_continued: false,
            stage: Stage::Operational,
            version_max: 0,
            version_min: 0,
            data_len: 300,
            isid: Isid::random(0x12_3456, 1),
            tsih: 0,
            itt: ITT,
            cid: 0,
            sn,
        }
        .into(),
        TextRequest {
            immediate: false,
            is_final: true,
            is_continued: false,
            data_len: 16,
            lun: Lun(0),
            itt: ITT,
            ttt: RESERVED_TAG,
            sn,
        }
        .into(),
        DataOut {
            is_final: true,
            data_len: 512,
            lun: LUN,
            itt: ITT,
            ttt: 3,
            exp_stat_sn: Serial(7),
            data_sn: 0,
            offset: 8192,
        }
        .into(),
        LogoutRequest {
            immediate: true,
            reason: LogoutReason::CloseSession,
            data_len: 0,
            itt: ITT,
            cid: 0,
            sn,
        }
        .into(),
        Snack {
            kind: SnackType::DataAck,
            data_len: 0,
            lun: LUN,
            itt: ITT,
            ttt: 3,
            exp_stat_sn: Serial(7),
            begin: 0,
            run_len: 1,
        }
        .into(),
    ]
}

fn command(sn: InitiatorSn, ahs_len: u16) -> ScsiCommand {
    ScsiCommand {
        immediate: false,
        is_final: true,
        read: false,
        write: true,
        attribute: TaskAttribute::Simple,
        ahs_len,
        data_len: 512,
        lun: LUN,
        itt: ITT,
        expected_len: 4096,
        sn,
        cdb: Command::Write {
            lba: 8,
            blocks: 8,
            fua: true,
            dpo: false,
        }
        .emit(),
    }
}

fn from_target() -> [TargetPdu; 10] {
    let sn = TargetSn {
        stat_sn: Serial(7),
        exp_cmd_sn: Serial(6),
        max_cmd_sn: Serial(38),
    };
    [
        NopIn {
            data_len: 0,
            lun: LUN,
            itt: RESERVED_TAG,
            ttt: 3,
            sn,
        }
        .into(),
        ScsiResponse {
            response: ResponseCode::Completed,
            status: Status::CheckCondition,
            data_len: 20,
            itt: ITT,
            snack_tag: 0,
            sn,
            exp_data_sn: 1,
            bidi_residual: Residual::None,
            residual: Residual::Underflow(512),
        }
        .into(),
        TaskResponse {
            code: TaskCode::NoTask,
            data_len: 0,
            itt: ITT,
            sn,
        }
        .into(),
        LoginResponse {
            transit: None,
            is_continued: true,
            stage: Stage::Security,
            version_max: 0,
            version_active: 0,
            data_len: 40,
            isid: Isid::random(0x12_3456, 1),
            tsih: 1,
            itt: ITT,
            sn,
            status: LoginStatus::Success,
        }
        .into(),
        TextResponse {
            is_final: false,
            is_continued: true,
            data_len: 64,
            lun: Lun(0),
            itt: ITT,
            ttt: 4,
            sn,
        }
        .into(),
        DataIn {
            is_final: true,
            acknowledge: false,
            status: Some(Status::Good),
            data_len: 4096,
            lun: Lun(0),
            itt: ITT,
            ttt: RESERVED_TAG,
            sn,
            data_sn: 0,
            offset: 0,
            residual: Residual::Overflow(1),
        }
        .into(),
        LogoutResponse {
            code: LogoutCode::Closed,
            data_len: 0,
            itt: ITT,
            sn,
            time2wait: 2,
            time2retain: 20,
        }
        .into(),
        R2t {
            data_len: 0,
            lun: LUN,
            itt: ITT,
            ttt: 3,
            sn,
            r2t_sn: 0,
            offset: 8192,
            desired_len: 65536,
        }
        .into(),
        AsyncMessage {
            event: AsyncEvent::DropConnection {
                cid: 0,
                time2wait: 2,
                time2retain: 20,
            },
            data_len: 0,
            lun: LUN,
            sn,
        }
        .into(),
        Reject {
            reason: RejectReason::ProtocolError,
            data_len: 48,
            sn,
            data_sn: 0,
        }
        .into(),
    ]
}

fn long_command(seeds: &Seeds) {
    // RFC 7143 §11.2.2: the rest of a long CDB, a read length, and a type that is unknown.
    let long = [&[0, 17, 1, 0][..], &[1; 16]].concat();
    let read = [0, 5, 2, 0, 0, 0, 0x10, 0];
    let ahs = [&long[..], &read, &[0, 3, 9, 0, 1, 2, 0, 0]].concat();
    let mut b = [0; BHS_LEN];
    command(InitiatorSn::default(), ahs.len() as u16).emit(&mut b);
    seeds.add("pdu-ahs", &[&[0], &b, &ahs, &[0x5a; 64]]);
}

fn texts(seeds: &Seeds) {
    let login = b"InitiatorName=iqn.2026-11.example:host\0TargetName=iqn.2026-11.example:disk\0\
        SessionType=Normal\0HeaderDigest=CRC32C,None\0DataDigest=None\0MaxConnections=1\0\
        InitialR2T=No\0ImmediateData=Yes\0MaxRecvDataSegmentLength=262144\0\
        MaxBurstLength=16776192\0FirstBurstLength=65536\0DefaultTime2Wait=2\0\
        DefaultTime2Retain=0\0MaxOutstandingR2T=8\0DataPDUInOrder=Yes\0\
        DataSequenceInOrder=Yes\0ErrorRecoveryLevel=0\0iSCSIProtocolLevel=1\0IFMarker=No\0";
    seeds.add("text-login", &[&[1], login]);
    let chap = b"CHAP_A=5,7\0CHAP_N=user\0CHAP_I=0x7f\0CHAP_C=0bAQIDBA==\0\
        CHAP_R=0x00112233445566778899aabbccddeeff\0X-com.example.key=?\0\0\0";
    seeds.add("text-chap", &[&[1], chap]);
    for (name, value) in [
        ("value-number", "0x1000"),
        ("value-range", "2048~8192"),
        ("value-list", "CHAP,KRB5,None"),
        ("value-hex", "0x0123456789abcdef0123456789abcdef"),
        ("value-base64", "0bAAECAwQFBgcICQoLDA0ODw=="),
        ("value-iqn", "iqn.2026-11.com.example:disk_1"),
        ("value-eui", "eui.02004567A425678D"),
        ("value-naa", "naa.52004567BA64678D0123456789ABCDEF"),
    ] {
        seeds.add(name, &[&[2], value.as_bytes()]);
    }
}

fn commands(seeds: &Seeds) {
    let mode = |form| Command::ModeSense {
        form,
        no_block_descriptors: true,
        control: PageControl::Changeable,
        page: 8,
        subpage: 0,
        alloc_len: 252,
    };
    for command in [
        Command::TestUnitReady,
        Command::RequestSense {
            descriptor: true,
            alloc_len: 252,
        },
        Command::Inquiry {
            vpd: Some(page::BLOCK_LIMITS),
            alloc_len: 255,
        },
        Command::ReportLuns {
            select: LunSelection::All,
            alloc_len: 8192,
        },
        mode(ModeForm::Six),
        mode(ModeForm::Ten),
        Command::ReadCapacity10,
        Command::ReadCapacity16 { alloc_len: 32 },
        Command::Read {
            lba: 1 << 33,
            blocks: 1 << 20,
            fua: false,
            dpo: true,
        },
        Command::Write {
            lba: 8,
            blocks: 8,
            fua: true,
            dpo: false,
        },
        Command::SynchronizeCache {
            lba: 0,
            blocks: 0,
            immediate: true,
        },
        Command::Unmap {
            anchor: false,
            list_len: 24,
        },
        Command::WriteSame {
            lba: 0,
            blocks: 64,
            unmap: true,
            anchor: true,
            no_data: true,
        },
    ] {
        let cdb = command.emit();
        seeds.add(&format!("cdb-{:02x}", cdb[0]), &[&[3], &cdb]);
    }
    let status = Command::GetLbaStatus {
        lba: 1,
        alloc_len: 24,
    };
    seeds.add("cdb-lba-status", &[&[3], &status.emit()]);
    seeds.add("cdb-read6", &[&[3], &[8, 0x1f, 0xff, 0xff, 0], &[0; 11]]);
}

fn parameters(seeds: &Seeds) {
    let sense = Sense {
        information: Some(4096),
        ..Sense::new(SenseKey::MediumError, Asc::UNRECOVERED_READ_ERROR)
    };
    seeds.add("sense-fixed", &[&[4], &sense.emit_fixed()]);
    seeds.add("sense-descriptor", &[&[4], &sense.emit_descriptor()]);
    let inquiry = Inquiry {
        qualifier: PeripheralQualifier::Connected,
        device_type: Inquiry::DIRECT_ACCESS,
        removable: false,
        version: 6,
        command_queue: true,
        vendor: Inquiry::ascii("VCP"),
        product: Inquiry::ascii("disk"),
        revision: Inquiry::ascii("1"),
    };
    seeds.add("inquiry", &[&[4], &inquiry.emit()]);
    let capacity = Capacity16 {
        last_lba: 0x1_7fff_ffff,
        block_len: 512,
        protection: false,
        physical_exponent: 3,
        provisioning: true,
        reads_zeros: true,
        lowest_aligned: 0,
    };
    seeds.add("capacity", &[&[4], &capacity.emit()]);
    let caching = Some(CachingPage {
        write_cache: true,
        no_read_cache: false,
    });
    let mode = ModeParameters {
        write_protected: true,
        fua: true,
        caching,
    };
    for (name, form) in [("mode-6", ModeForm::Six), ("mode-10", ModeForm::Ten)] {
        seeds.add(
            name,
            &[&[4], &mode.emit(form, &[0x0a, 2, 0, 0, 0x48, 1, 0, 1, 0])],
        );
    }
    pages(seeds);
    let extent = Extent { lba: 8, blocks: 64 };
    seeds.add("unmap", &[&[4], &emit_unmap(&[extent, extent])]);
    let status = LbaStatus {
        extent,
        state: LbaState::Deallocated,
    };
    seeds.add("lba-status", &[&[4], &emit_lba_status(&[status])]);
    seeds.add("luns", &[&[4], &emit_luns(&[Lun(0), LUN])]);
}

fn pages(seeds: &Seeds) {
    let mut designators = Vec::new();
    let naa = Designator {
        code_set: 1,
        association: 0,
        kind: 3,
        id: &[0x60; 16],
    };
    let name = Designator {
        code_set: 3,
        association: 2,
        kind: 8,
        id: b"iqn.2026-11.example:disk",
    };
    naa.emit(&mut designators);
    name.emit(&mut designators);
    let limits = BlockLimits {
        max_transfer: 8192,
        max_unmap_blocks: u32::MAX,
        max_unmap_descriptors: 256,
        unmap_granularity: 8,
        unmap_alignment: Some(0),
        max_write_same: 1 << 20,
        ..BlockLimits::default()
    };
    let thin = LogicalBlockProvisioning {
        unmap: true,
        reads_zeros: true,
        kind: LogicalBlockProvisioning::THIN,
        ..LogicalBlockProvisioning::default()
    };
    for (page, data) in [
        (
            scsi::page::SUPPORTED_PAGES,
            &[0, 0x80, 0x83, 0xb0, 0xb2][..],
        ),
        (scsi::page::SERIAL_NUMBER, b"0123456789"),
        (scsi::page::DEVICE_IDENTIFICATION, &designators),
        (scsi::page::BLOCK_LIMITS, &limits.emit()),
        (scsi::page::LOGICAL_BLOCK_PROVISIONING, &thin.emit()),
    ] {
        let mut out = vec![4];
        Vpd {
            peripheral: 0,
            page,
            data,
        }
        .emit(&mut out);
        seeds.add(&format!("vpd-{page:02x}"), &[&out]);
    }
}
