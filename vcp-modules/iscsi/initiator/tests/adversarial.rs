//! Targets that contradict themselves: each test changes one thing about one PDU,
//! and sees the connection end, the request not complete with what was wrong, and,
//! once the target behaves again, complete with what is right.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Action, Status};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::Status as ScsiStatus;
use vcp_iscsi_proto::{BHS_LEN, Lun, RESERVED_TAG};

const LENGTH: u32 = 16384;

/// Applies a change to the first PDU that it wants to change.
fn once(
    mut change: impl FnMut(&mut TargetPdu, &mut Vec<u8>) -> bool + 'static,
) -> Option<peer::Mangle> {
    let mut done = false;
    Some(Box::new(move |pdu, data| {
        if !done {
            done = change(pdu, data);
        }
        true
    }))
}

fn pair(settings: Settings) -> Pair {
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    pair.fill(0, LENGTH, 1);
    let tag = pair.write(0, LENGTH, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    pair
}

/// The connection must have ended over `why`, the request be open; then all is well.
fn ends_and_recovers(mut pair: Pair, tag: u64, why: &str) {
    pair.run();
    let suspended = pair.suspended();
    assert_eq!(
        suspended.len(),
        1,
        "the connection goes on: {:#?}",
        pair.actions
    );
    assert!(
        suspended[0].contains(why),
        "{:?} is not about {why:?}",
        suspended[0]
    );
    let closed = pair
        .actions
        .iter()
        .any(|a| matches!(a, Action::Close { abort: true }));
    assert!(closed, "the connection is closed");
    assert!(
        !pair.completed.contains_key(&tag),
        "the request counts as done"
    );
    pair.peer.mangle = None;
    pair.run_for(10 * SECOND);
    assert_eq!(
        pair.completed.get(&tag),
        Some(&Status::Ok),
        "{:#?}",
        pair.actions
    );
}

fn read_with(
    settings: Settings,
    why: &str,
    change: impl FnMut(&mut TargetPdu, &mut Vec<u8>) -> bool + 'static,
) {
    let mut pair = pair(settings);
    pair.peer.mangle = once(change);
    let tag = pair.read(0, LENGTH, 1 << 20);
    ends_and_recovers(pair, tag, why);
}

/// A read whose data comes in four PDUs.
fn in_four() -> Settings {
    Settings {
        data_in: 4096,
        ..Settings::default()
    }
}

fn data_in(why: &str, mut change: impl FnMut(&mut DataIn, &mut Vec<u8>) -> bool + 'static) {
    read_with(in_four(), why, move |pdu, data| match pdu {
        TargetPdu::DataIn(pdu) => change(pdu, data),
        _ => false,
    });
}

fn write_with(
    settings: Settings,
    why: &str,
    change: impl FnMut(&mut TargetPdu, &mut Vec<u8>) -> bool + 'static,
) {
    let mut pair = pair(settings);
    pair.peer.mangle = once(change);
    let tag = pair.write(0, LENGTH, 0);
    ends_and_recovers(pair, tag, why);
}

/// A write with four R2Ts, one at a time.
fn r2t(why: &str, mut change: impl FnMut(&mut R2t) -> bool + 'static) {
    let settings = Settings {
        max_burst: 4096,
        first_burst: 4096,
        immediate_data: false,
        ..Settings::default()
    };
    write_with(settings, why, move |pdu, _| match pdu {
        TargetPdu::R2t(r2t) => change(r2t),
        _ => false,
    });
}

#[test]
fn data_in_at_a_wrong_offset() {
    data_in("offset", |pdu, _| {
        pdu.offset += 512;
        true
    });
    data_in("offset", |pdu, _| {
        let second = pdu.data_sn == 1;
        if second {
            pdu.offset = 0;
        }
        second
    });
}

#[test]
fn data_in_with_a_wrong_data_sn() {
    data_in("DataSN", |pdu, _| {
        pdu.data_sn += 1;
        true
    });
    data_in("DataSN", |pdu, _| {
        let third = pdu.data_sn == 2;
        if third {
            pdu.data_sn = 1;
        }
        third
    });
}

#[test]
fn data_in_beyond_the_command() {
    data_in("beyond the end", |pdu, data| {
        let last = pdu.status.is_some();
        if last {
            data.extend([0; 512]);
            pdu.data_len += 512;
        }
        last
    });
}

#[test]
fn data_in_longer_than_max_recv_data_segment_length() {
    let mut pair = Pair::new(
        config(&[("max-recv-data-segment-length", "4096")]),
        Settings {
            data_in: 4096,
            ..Settings::default()
        },
        Disk::new(512, 1 << 20),
    )
    .ready();
    pair.peer.mangle = once(|pdu, data| match pdu {
        TargetPdu::DataIn(pdu) => {
            data.extend([0; 512]);
            pdu.data_len += 512;
            true
        }
        _ => false,
    });
    let tag = pair.read(0, LENGTH, 0);
    ends_and_recovers(pair, tag, "longer than agreed");
}

/// MaxBurstLength is the target's to keep, and not all do; the bytes have their
/// place all the same.
#[test]
fn data_in_sequences_may_be_long() {
    let settings = Settings {
        max_burst: 8192,
        first_burst: 8192,
        ..in_four()
    };
    let mut pair = pair(settings);
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::DataIn(pdu) = pdu {
            pdu.is_final = pdu.status.is_some();
        }
        true
    }));
    let tag = pair.read(0, LENGTH, 1 << 20);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.bytes(0, LENGTH) == pair.bytes(1 << 20, LENGTH));
}

#[test]
fn data_in_for_nobody() {
    data_in("not under way", |pdu, _| {
        pdu.itt ^= 0x1_0000;
        true
    });
    data_in("not under way", |pdu, _| {
        pdu.itt = 0x0000_1234;
        true
    });
}

#[test]
fn data_in_for_a_write() {
    let settings = Settings {
        immediate_data: false,
        ..Settings::default()
    };
    let mut pair = pair(settings);
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if !command.write {
            return false;
        }
        peer.intercept = Some(Box::new(|_, _, _| false));
        let sn = peer.numbers();
        let data = DataIn {
            is_final: true,
            acknowledge: false,
            status: None,
            data_len: 0,
            lun: Lun::default(),
            itt: command.itt,
            ttt: RESERVED_TAG,
            sn,
            data_sn: 0,
            offset: 0,
            residual: Residual::None,
        };
        peer.send(data, &[0; 512]);
        true
    }));
    let tag = pair.write(0, LENGTH, 0);
    ends_and_recovers(pair, tag, "reads nothing");
}

#[test]
fn data_in_that_wants_an_acknowledgement() {
    data_in("acknowledgement", |pdu, _| {
        pdu.acknowledge = true;
        true
    });
}

#[test]
fn read_that_ends_too_early() {
    // Status with the first quarter.
    data_in("due", |pdu, _| {
        pdu.is_final = true;
        pdu.status = Some(ScsiStatus::Good);
        true
    });
    // Status in a response, and the last quarter missing.
    let settings = Settings {
        status_in_data: false,
        ..in_four()
    };
    let mut pair = pair(settings);
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::ScsiResponse(response) = pdu {
            response.exp_data_sn = 0;
        }
        !matches!(pdu, TargetPdu::DataIn(pdu) if pdu.data_sn == 3)
    }));
    let tag = pair.read(0, LENGTH, 1 << 20);
    ends_and_recovers(pair, tag, "ended well with 12288 bytes");
}

#[test]
fn residual_that_does_not_add_up() {
    for residual in [Residual::Underflow(512), Residual::Underflow(LENGTH + 1)] {
        let why = if residual == Residual::Underflow(512) {
            "due"
        } else {
            "residual"
        };
        data_in(why, move |pdu, _| {
            let last = pdu.status.is_some();
            if last {
                pdu.residual = residual;
            }
            last
        });
    }
}

#[test]
fn response_that_counts_other_data_pdus() {
    let settings = Settings {
        status_in_data: false,
        ..in_four()
    };
    read_with(
        settings,
        "counts 5 data PDUs where there were 4",
        |pdu, _| match pdu {
            TargetPdu::ScsiResponse(pdu) => {
                pdu.exp_data_sn = 5;
                true
            }
            _ => false,
        },
    );
}

#[test]
fn response_to_nobody() {
    let settings = Settings {
        status_in_data: false,
        ..Settings::default()
    };
    read_with(settings, "not under way", |pdu, _| match pdu {
        TargetPdu::ScsiResponse(pdu) => {
            pdu.itt ^= 0x1_0000;
            true
        }
        _ => false,
    });
}

#[test]
fn second_answer_to_a_command() {
    let mut pair = pair(Settings::default());
    let before = pair.read(0, 512, 1 << 20);
    pair.run();
    let itt = pair.peer.seen.iter().rev().find_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(command.itt),
        _ => None,
    });
    assert_eq!(pair.completed[&before], Status::Ok);
    pair.peer
        .respond(itt.unwrap(), ScsiStatus::Good, None, 0, true);
    pair.run();
    assert_eq!(pair.suspended().len(), 1);
}

#[test]
fn status_out_of_order() {
    for delta in [1, u32::MAX] {
        data_in("StatSN", move |pdu, _| {
            let last = pdu.status.is_some();
            if last {
                pdu.sn.stat_sn = pdu.sn.stat_sn.add(delta);
            }
            last
        });
        let settings = Settings {
            status_in_data: false,
            ..Settings::default()
        };
        read_with(settings, "StatSN", move |pdu, _| match pdu {
            TargetPdu::ScsiResponse(pdu) => {
                pdu.sn.stat_sn = pdu.sn.stat_sn.add(delta);
                true
            }
            _ => false,
        });
    }
}

#[test]
fn acknowledgement_of_commands_never_sent() {
    data_in("never sent", |pdu, _| {
        pdu.sn.exp_cmd_sn = pdu.sn.exp_cmd_sn.add(1);
        true
    });
}

#[test]
fn r2t_with_a_wrong_number() {
    r2t("R2TSN", |pdu| {
        pdu.r2t_sn += 1;
        true
    });
    r2t("R2TSN", |pdu| {
        let second = pdu.r2t_sn == 1;
        if second {
            pdu.r2t_sn = 0;
        }
        second
    });
}

#[test]
fn r2t_at_a_wrong_offset() {
    r2t("offset", |pdu| {
        pdu.offset += 512;
        true
    });
    r2t("offset", |pdu| {
        let second = pdu.r2t_sn == 1;
        if second {
            pdu.offset = 0;
        }
        second
    });
}

#[test]
fn r2t_for_too_much() {
    r2t("MaxBurstLength", |pdu| {
        pdu.desired_len = 8192;
        true
    });
    r2t("beyond the end", |pdu| {
        let last = pdu.r2t_sn == 3;
        if last {
            pdu.desired_len = 4608;
        }
        last
    });
    r2t("beyond the end", |pdu| {
        pdu.desired_len = u32::MAX;
        true
    });
}

#[test]
fn more_r2ts_than_agreed() {
    let settings = Settings {
        max_burst: 4096,
        first_burst: 4096,
        immediate_data: false,
        ..Settings::default()
    };
    let mut pair = pair(settings);
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if !command.write || peer.logins > 1 {
            return false;
        }
        for r2t_sn in 0..2 {
            let sn = peer.numbers();
            peer.send(
                R2t {
                    data_len: 0,
                    lun: command.lun,
                    itt: command.itt,
                    ttt: 100 + r2t_sn,
                    sn,
                    r2t_sn,
                    offset: r2t_sn * 4096,
                    desired_len: 4096,
                },
                &[],
            );
        }
        peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        true
    }));
    let tag = pair.write(0, LENGTH, 0);
    ends_and_recovers(pair, tag, "MaxOutstandingR2T");
}

#[test]
fn r2t_for_another_unit_or_nobody() {
    r2t("another logical unit", |pdu| {
        pdu.lun = Lun::new(7).unwrap();
        true
    });
    r2t("not under way", |pdu| {
        pdu.itt ^= 0x1_0000;
        true
    });
}

#[test]
fn r2t_for_a_read() {
    let mut pair = pair(Settings::default());
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if peer.logins > 1 {
            return false;
        }
        let sn = peer.numbers();
        let (lun, itt) = (command.lun, command.itt);
        let r2t = R2t {
            data_len: 0,
            lun,
            itt,
            ttt: 1,
            sn,
            r2t_sn: 0,
            offset: 0,
            desired_len: 512,
        };
        peer.send(r2t, &[]);
        true
    }));
    let tag = pair.read(0, LENGTH, 1 << 20);
    ends_and_recovers(pair, tag, "writes nothing");
}

#[test]
fn write_that_ends_well_without_its_data() {
    let mut pair = pair(Settings {
        immediate_data: false,
        ..Settings::default()
    });
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if !command.write || peer.logins > 1 {
            return false;
        }
        peer.respond(command.itt, ScsiStatus::Good, None, 0, true);
        true
    }));
    let tag = pair.write(0, LENGTH, 0);
    ends_and_recovers(pair, tag, "before its data was sent");
}

#[test]
fn digest_errors_end_the_connection() {
    // Where in the stream a bit is turned over: header, header digest, data, data
    // digest of the first Data-In.
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

#[test]
fn sense_data_that_is_cut_short() {
    let mut pair = pair(Settings::default());
    pair.peer.disk.statuses = vec![ScsiStatus::CheckCondition];
    pair.peer.mangle = once(|pdu, data| match pdu {
        TargetPdu::ScsiResponse(pdu) => {
            data.extend([0, 200, 0x70]);
            pdu.data_len = 3;
            true
        }
        _ => false,
    });
    let tag = pair.read(0, LENGTH, 1 << 20);
    ends_and_recovers(pair, tag, "sense data");
}

/// Memory of a request that has ended is not sent any more, even when the target
/// gives up a write whose data is on its way.
#[test]
fn data_of_an_ended_write_is_not_sent() {
    let settings = Settings {
        immediate_data: false,
        max_recv: 65536,
        max_burst: 65536,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    pair.to_target = 1000;
    pair.memory.0[..65536].fill(0xaa);
    let tag = pair.write(0, 65536, 0);
    while !pair
        .peer
        .seen
        .iter()
        .any(|p| matches!(p, InitiatorPdu::ScsiCommand(c) if c.write))
    {
        pair.step();
    }
    // Some of the Data-Out is out.
    for _ in 0..10 {
        pair.step();
    }
    let itt = pair.peer.seen.iter().rev().find_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(command.itt),
        _ => None,
    });
    pair.peer
        .respond(itt.unwrap(), ScsiStatus::ReservationConflict, None, 0, true);
    while !pair.completed.contains_key(&tag) {
        pair.step();
    }
    assert_eq!(pair.completed[&tag], Status::NotPermitted);
    // Whatever lies there now must not get out.
    pair.memory.0[..65536].fill(0x55);
    let mut rest = vec![0; 1 << 20];
    let count = pair.initiator.transmit(pair.now, &mut rest, &pair.memory);
    assert!(count > 0 && rest[..count].iter().all(|&b| b == 0));
}
