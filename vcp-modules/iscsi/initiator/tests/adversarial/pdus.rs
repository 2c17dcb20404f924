//! Bytes that are not a PDU, and PDUs that are not allowed where they come.

use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::{BHS_LEN, Lun, RESERVED_TAG};

use crate::pair::*;
use crate::{LENGTH, ends_and_recovers, pair};

#[test]
fn digest_errors_end_the_connection() {
    // These are the places in the stream where a bit is flipped: header, header digest,
    // data, data digest of the first Data-In.
    for at in [
        17,
        BHS_LEN + 1,
        BHS_LEN + 100,
        BHS_LEN + 4 + LENGTH as usize + 2,
    ] {
        let config = config(&[("header-digest", "crc32c"), ("data-digest", "crc32c")]);
        let settings = Settings {
            digests: true,
            ..Settings::default()
        };
        let mut pair = Pair::new(config, settings, Disk::new(512, 1 << 20)).ready();
        let tag = pair.read(0, LENGTH, 1 << 20);
        let mut buffer = [0; 4096];
        let count = pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
        pair.peer.receive(&buffer[..count]);
        pair.peer.out[at] ^= 0x10;
        ends_and_recovers(pair, tag, "digest");
    }
}

#[test]
fn opcodes_that_no_target_sends() {
    for opcode in [0x01, 0x05, 0x1c, 0x2f, 0x3c] {
        let mut pair = pair(Settings::default());
        let mut header = [0; BHS_LEN];
        header[0] = opcode;
        pair.peer.send_raw(&header, &[]);
        pair.run();
        assert_eq!(pair.suspended().len(), 1, "opcode {opcode:#04x}");
    }
}

#[test]
fn pdus_out_of_place() {
    let sn = |pair: &mut Pair| pair.peer.status();
    let mut login = pair(Settings::default());
    let numbers = sn(&mut login);
    login.peer.send(
        LoginResponse {
            transit: None,
            is_continued: false,
            stage: vcp_iscsi_proto::login::Stage::Operational,
            version_max: 0,
            version_active: 0,
            data_len: 0,
            isid: Default::default(),
            tsih: 1,
            itt: 0,
            sn: numbers,
            status: vcp_iscsi_proto::login::LoginStatus::Success,
        },
        &[],
    );
    login.run();
    assert_eq!(login.suspended().len(), 1);

    let mut logout = pair(Settings::default());
    let sn_of = sn(&mut logout);
    let code = LogoutCode::Closed;
    logout.peer.send(
        LogoutResponse {
            code,
            data_len: 0,
            itt: 1,
            sn: sn_of,
            time2wait: 0,
            time2retain: 0,
        },
        &[],
    );
    logout.run();
    assert_eq!(logout.suspended().len(), 1);

    let mut task = pair(Settings::default());
    let sn_of = sn(&mut task);
    task.peer.send(
        TaskResponse {
            code: TaskCode::Complete,
            data_len: 0,
            itt: 1,
            sn: sn_of,
        },
        &[],
    );
    task.run();
    assert_eq!(task.suspended().len(), 1);

    let mut text = pair(Settings::default());
    let sn_of = sn(&mut text);
    text.peer.send(
        TextResponse {
            is_final: true,
            is_continued: false,
            data_len: 0,
            lun: Lun::default(),
            itt: 1,
            ttt: RESERVED_TAG,
            sn: sn_of,
        },
        &[],
    );
    text.run();
    assert_eq!(text.suspended().len(), 1);

    let mut nop = pair(Settings::default());
    let sn_of = sn(&mut nop);
    let pdu = NopIn {
        data_len: 0,
        lun: Lun::default(),
        itt: 0x1234,
        ttt: RESERVED_TAG,
        sn: sn_of,
    };
    nop.peer.send(pdu, &[]);
    nop.run();
    assert_eq!(nop.suspended().len(), 1);
}
