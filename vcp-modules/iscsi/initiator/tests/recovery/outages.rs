//! Every way to lose a target that serves: requests wait, the caller is told once, and
//! all is well once the target is back.

use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::pdu::{AsyncEvent, AsyncMessage, InitiatorPdu};
use vcp_iscsi_proto::scsi::{Asc, SenseKey};
use vcp_iscsi_proto::{BHS_LEN, Lun};

use crate::pair::*;

const LENGTH: u32 = 8192;
const MIB: u32 = 1 << 20;

fn with_digests() -> Pair {
    let config = config(&[("header-digest", "crc32c"), ("data-digest", "crc32c")]);
    let settings = Settings {
        digests: true,
        ..Settings::default()
    };
    Pair::new(config, settings, Disk::new(512, 1 << 20)).ready()
}

/// Lets `lose` strike with requests under way and waiting, and `mend` after `away`
/// nanoseconds. Returns the messages about the outage.
fn outage(
    mut pair: Pair,
    lose: impl FnOnce(&mut Pair),
    away: u64,
    mend: impl FnOnce(&mut Pair),
) -> String {
    pair.fill(0, LENGTH, 3);
    let write = pair.write(0, LENGTH, 0);
    assert_eq!(pair.finish(write), Status::Ok);
    let mut tags = vec![
        pair.read(0, LENGTH, MIB),
        pair.write(1 << 20, LENGTH, 0),
        pair.submit(Operation::Flush, 0, 0, 0),
    ];
    lose(&mut pair);
    pair.run();
    tags.push(pair.read(1 << 20, LENGTH, 2 * MIB));
    pair.run_for(away);
    assert_eq!(
        pair.suspended().len(),
        1,
        "told once: {:?}",
        pair.suspended()
    );
    assert!(
        tags.iter()
            .all(|tag| pair.completed.get(tag).is_none_or(|s| *s == Status::Ok))
    );
    mend(&mut pair);
    // The next attempt is at most the longest delay and a hanging login away.
    pair.run_for(21 * SECOND);
    assert_eq!((pair.readies(), pair.failed()), (2, None));
    assert!(tags.iter().all(|tag| pair.completed[tag] == Status::Ok));
    assert!(pair.bytes(MIB, LENGTH) == pair.bytes(0, LENGTH));
    pair.suspended().remove(0)
}

#[test]
fn link_that_goes_down_and_comes_back() {
    let down = |pair: &mut Pair| pair.dark = true;
    let reason = outage(Pair::plain().ready(), down, 60 * SECOND, |pair| {
        pair.dark = false
    });
    assert!(reason.contains("no answer to a ping"), "{reason}");
}

#[test]
fn connection_that_is_reset() {
    let reset = |pair: &mut Pair| pair.cut("reset by peer");
    let reason = outage(Pair::plain().ready(), reset, 0, |_| {});
    assert!(
        reason.contains("connection lost: reset by peer"),
        "{reason}"
    );
}

#[test]
fn target_that_falls_silent() {
    let silence = |pair: &mut Pair| {
        pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
            peer.logins == 1 && !matches!(pdu, InitiatorPdu::LoginRequest(_))
        }));
    };
    let reason = outage(Pair::plain().ready(), silence, 11 * SECOND, |_| {});
    assert!(reason.contains("no answer to a ping"), "{reason}");
}

#[test]
fn target_that_is_restarted() {
    let stop = |pair: &mut Pair| {
        pair.reachable = false;
        pair.cut("closed by the target");
    };
    let start = |pair: &mut Pair| {
        pair.reachable = true;
        let attentions = [
            Asc::POWER_ON_OR_RESET,
            Asc::LUNS_CHANGED,
            Asc::MODE_PARAMETERS_CHANGED,
        ];
        pair.peer.disk.attention = attentions
            .map(|asc| (SenseKey::UnitAttention, asc))
            .to_vec();
    };
    let reason = outage(Pair::plain().ready(), stop, 30 * SECOND, start);
    assert!(reason.contains("closed by the target"), "{reason}");
}

#[test]
fn target_that_asks_for_a_logout() {
    let ask = |pair: &mut Pair| {
        let sn = pair.peer.status();
        let event = AsyncEvent::LogoutRequest { within: 5 };
        let lun = Lun::default();
        pair.peer.send(
            AsyncMessage {
                event,
                data_len: 0,
                lun,
                sn,
            },
            &[],
        );
        pair.run();
    };
    let reason = outage(Pair::plain().ready(), ask, SECOND, |_| {});
    assert!(
        reason.contains("logged out as the target asked"),
        "{reason}"
    );
}

#[test]
fn digests_that_are_wrong() {
    for (at, what) in [
        (17, "wrong header digest"),
        (BHS_LEN + 4 + 100, "wrong data digest"),
    ] {
        let corrupt = |pair: &mut Pair| {
            let mut buffer = vec![0; 1 << 16];
            let count = pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
            pair.peer.receive(&buffer[..count]);
            pair.peer.out[at] ^= 0x10;
        };
        let reason = outage(with_digests(), corrupt, SECOND, |_| {});
        assert!(reason.contains(what), "{reason}");
    }
}

#[test]
fn target_that_takes_connections_and_answers_no_login() {
    let deaf = |pair: &mut Pair| {
        pair.peer.intercept = Some(Box::new(|_, pdu, _| {
            matches!(pdu, InitiatorPdu::LoginRequest(_))
        }));
        pair.cut("reset by peer");
    };
    let pair = Pair::plain().ready();
    let reason = outage(pair, deaf, 100 * SECOND, |pair| pair.peer.intercept = None);
    assert!(reason.contains("reset by peer"), "{reason}");
}

/// Each hanging attempt is given up, and the delays between them grow.
#[test]
fn attempts_that_hang_are_given_up() {
    let mut pair = Pair::plain().ready();
    pair.dark = true;
    pair.cut("reset by peer");
    let start = pair.now;
    let mut times = Vec::new();
    while times.len() < 4 {
        let before = pair.connects.len();
        let deadline = pair.initiator.next_deadline().unwrap();
        pair.run_until(deadline);
        if pair.connects.len() > before {
            times.push((pair.now - start) / MS);
        }
    }
    // The attempts are 100, 200, 400 and 800 ms after a loss, and take 15 s each.
    assert_eq!(times, [100, 15_300, 30_700, 46_500]);
}
