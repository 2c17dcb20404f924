//! Windows of every width, and numbers that begin just before they wrap.

use vcp_iscsi_initiator::{Initiator, Status};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::{Lun, RESERVED_TAG, Serial};

use crate::pair::*;

/// The widest window that serial numbers allow.
const WIDEST: u32 = (1 << 31) - 1;

/// A seed with which the first CmdSN is 36 before the last number, found by trying.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&134_244_533_u64.to_be_bytes());
    seed
}

fn command_numbers(pair: &Pair) -> Vec<u32> {
    let numbers = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(command.sn.cmd_sn.0),
        _ => None,
    });
    numbers.collect()
}

/// Writes and reads back more than the window has room for.
fn traffic(pair: &mut Pair) {
    pair.fill(0, 1 << 20, 5);
    let writes: Vec<u64> = (0..64)
        .map(|n| pair.write(n * 16384, 16384, n as u32 * 16384))
        .collect();
    pair.run();
    assert!(writes.iter().all(|tag| pair.completed[tag] == Status::Ok));
    let reads: Vec<u64> = (0..64)
        .map(|n| pair.read(n * 16384, 16384, (1 << 20) + n as u32 * 16384))
        .collect();
    pair.run();
    assert!(reads.iter().all(|tag| pair.completed[tag] == Status::Ok));
    assert!(pair.bytes(0, 1 << 20) == pair.bytes(1 << 20, 1 << 20));
    assert_eq!((pair.peer.logins, pair.suspended().len()), (1, 0));
}

#[test]
fn widest_window_is_used() {
    let settings = Settings {
        window: WIDEST,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    // All commands are sent before any is answered.
    pair.peer.seen.clear();
    pair.peer.intercept = Some(Box::new(|_, pdu, _| {
        matches!(pdu, InitiatorPdu::ScsiCommand(_))
    }));
    (0..200).for_each(|n| {
        pair.read(n * 512, 512, 0);
    });
    pair.run();
    assert_eq!(command_numbers(&pair).len(), 200);

    let settings = Settings {
        window: WIDEST,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    traffic(&mut pair);
}

/// A window wider than serial numbers allow is invalid: MaxCmdSN is then before ExpCmdSN,
/// and both are ignored (RFC 7143 §4.2.2.1).
#[test]
fn window_beyond_the_widest_is_ignored() {
    for (width, sent) in [(WIDEST, 200), (WIDEST + 2, 32)] {
        let mut pair = Pair::plain().ready();
        pair.peer.seen.clear();
        pair.peer.intercept = Some(Box::new(|_, pdu, _| {
            matches!(pdu, InitiatorPdu::ScsiCommand(_))
        }));
        let mut sn = pair.peer.numbers();
        sn.max_cmd_sn = sn.exp_cmd_sn.add(width).sub(1);
        let news = NopIn {
            data_len: 0,
            lun: Lun::default(),
            itt: RESERVED_TAG,
            ttt: RESERVED_TAG,
            sn,
        };
        pair.peer.send(news, &[]);
        (0..200).for_each(|n| {
            pair.read(n * 512, 512, 0);
        });
        pair.run();
        assert_eq!(command_numbers(&pair).len(), sent);
    }
}

#[test]
fn command_numbers_wrap_end_to_end() {
    for (window, initial_r2t) in [(1, false), (4, true), (32, false), (WIDEST, false)] {
        let settings = Settings {
            window,
            initial_r2t,
            ..Settings::default()
        };
        let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20));
        pair.initiator = Initiator::new(config(&[]), seed(), SECOND);
        pair.peer.stat_sn = Serial(u32::MAX - 0x100 - 60);
        let mut pair = pair.ready();
        assert_eq!(command_numbers(&pair)[0], u32::MAX - 36);
        // There are pings before and after the wrap.
        for _ in 0..50 {
            let tag = pair.read(0, 512, 0);
            assert_eq!(pair.finish(tag), Status::Ok);
            pair.run_for(6 * SECOND);
        }
        traffic(&mut pair);
        let numbers = command_numbers(&pair);
        let wrap = numbers.iter().position(|&n| n == u32::MAX).unwrap();
        assert_eq!(numbers[wrap + 1], 0);
        assert!(numbers.len() > 150 && pair.peer.stat_sn.0 < 10_000);
    }
}
