//! R2Ts for other data than what is due.

use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::pdu::*;

use crate::pair::*;
use crate::{LENGTH, ends_and_recovers, once, pair};

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
