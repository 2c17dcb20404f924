//! The transfer of reads' and writes' data, and the number of simultaneous commands.

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::pdu::{DataIn, InitiatorPdu, Residual};
use vcp_iscsi_proto::scsi::Status as ScsiStatus;
use vcp_iscsi_proto::{Lun, RESERVED_TAG};

use crate::pair::*;
use crate::{MIB, opcodes};

/// Writes and reads back with every combination of negotiable values for data. The
/// scripted target checks each Data-Out.
#[test]
fn data_goes_as_negotiated() {
    for bits in 0..32 {
        let bit = |n: u32| bits & 1 << n != 0;
        let settings = Settings {
            initial_r2t: bit(0),
            immediate_data: bit(1),
            max_outstanding_r2t: if bit(2) { 4 } else { 1 },
            first_burst: if bit(3) { 4096 } else { 65536 },
            max_burst: if bit(3) { 8192 } else { 262_144 },
            max_recv: if bit(4) { 1024 } else { 65536 },
            data_in: 3000,
            status_in_data: bit(2),
            digests: bit(4),
            ..Settings::default()
        };
        let policy = if bit(4) { "crc32c" } else { "none" };
        let config = config(&[("header-digest", policy), ("data-digest", policy)]);
        let mut pair = Pair::new(config, settings, Disk::new(512, 1 << 20)).ready();
        for (n, length) in [512, 1024, 4096, 65536, 200_704, MIB]
            .into_iter()
            .enumerate()
        {
            pair.fill(0, length, n as u8);
            let tag = pair.write(n as u64 * 4 * u64::from(MIB), length, 0);
            assert_eq!(
                pair.finish(tag),
                Status::Ok,
                "write of {length}, case {bits}"
            );
            let tag = pair.read(n as u64 * 4 * u64::from(MIB), length, 4 * MIB);
            assert_eq!(
                pair.finish(tag),
                Status::Ok,
                "read of {length}, case {bits}"
            );
            assert!(
                pair.bytes(0, length) == pair.bytes(4 * MIB, length),
                "case {bits}"
            );
        }
        assert!(pair.peer.longest_burst <= if bit(3) { 8192 } else { 262_144 });
        assert!(pair.peer.most_unsolicited <= if bit(3) { 4096 } else { 65536 });
        if !bit(1) && bit(0) {
            assert_eq!(pair.peer.most_unsolicited, 0);
        }
    }
}

/// A target that requires digests gets them without an offer, and one that prefers none
/// gets none.
#[test]
fn digests_of_a_target_that_insists() {
    for insists in [true, false] {
        let settings = Settings {
            insists_on_digests: insists,
            ..Settings::default()
        };
        let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
        pair.fill(0, MIB, 3);
        let tag = pair.write(0, MIB, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        let tag = pair.read(0, MIB, MIB);
        assert_eq!(pair.finish(tag), Status::Ok);
        assert!(pair.bytes(0, MIB) == pair.bytes(MIB, MIB));
        for key in ["HeaderDigest", "DataDigest"] {
            let agreed = if insists { "CRC32C" } else { "None" };
            assert_eq!(pair.peer.agreed(key), agreed, "{key}");
        }
    }
    // The operator's setting wins.
    let settings = Settings {
        insists_on_digests: true,
        ..Settings::default()
    };
    let none = config(&[("header-digest", "none"), ("data-digest", "none")]);
    let mut pair = Pair::new(none, settings, Disk::new(512, 1 << 20)).ready();
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.peer.agreed("DataDigest"), "Reject");
}

/// A target may accept segments of any length; each has whole words even so, except the
/// last of a sequence. The scripted target checks each PDU.
#[test]
fn segments_are_whole_words() {
    for max_recv in [512, 513, 514, 515, 516, 8191] {
        for (initial_r2t, immediate_data) in
            [(true, true), (true, false), (false, true), (false, false)]
        {
            let settings = Settings {
                max_recv,
                initial_r2t,
                immediate_data,
                first_burst: 4098,
                max_burst: 16_387,
                ..Settings::default()
            };
            let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
            pair.peer.seen.clear();
            pair.fill(0, 65536, 1);
            let tag = pair.write(0, 65536, 0);
            assert_eq!(pair.finish(tag), Status::Ok, "{max_recv}");
            let tag = pair.read(0, 65536, MIB);
            assert_eq!(pair.finish(tag), Status::Ok);
            assert!(pair.bytes(0, 65536) == pair.bytes(MIB, 65536));
            // They are as long as allowed, in whole words.
            let lengths = pair.peer.seen.iter().filter_map(|pdu| match pdu {
                InitiatorPdu::DataOut(data) if !data.is_final => Some(data.data_len),
                _ => None,
            });
            assert_eq!(lengths.max(), Some(max_recv & !3));
        }
    }
}

#[test]
fn many_requests_at_once() {
    let settings = Settings {
        window: 4,
        max_outstanding_r2t: 2,
        max_burst: 16384,
        first_burst: 16384,
        initial_r2t: false,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(4096, 1 << 20)).ready();
    pair.fill(0, 8 * MIB, 9);
    let writes: Vec<u64> = (0..64)
        .map(|n| pair.write(u64::from(n) * 131_072, 131_072, n * 131_072))
        .collect();
    pair.run();
    assert!(writes.iter().all(|tag| pair.completed[tag] == Status::Ok));
    let reads: Vec<u64> = (0..64)
        .map(|n| pair.read(u64::from(n) * 131_072, 131_072, 8 * MIB + n * 65536))
        .collect();
    pair.run();
    assert!(reads.iter().all(|tag| pair.completed[tag] == Status::Ok));
    assert!(pair.bytes(0, 65536) == pair.bytes(8 * MIB, 65536));
}

#[test]
fn commands_go_before_bulk_data() {
    let mut pair = Pair::plain().ready();
    pair.peer.seen.clear();
    pair.write(0, MIB, 0);
    // The target asks for the data.
    pair.step();
    pair.step();
    pair.read(8 << 20, 4096, MIB);
    pair.run();
    let read = opcodes(&pair).iter().position(|&op| op == 0x28).unwrap();
    assert_eq!(read, 1);
    let last_data = pair
        .peer
        .seen
        .iter()
        .rposition(|p| matches!(p, InitiatorPdu::DataOut(_)));
    let read = pair
        .peer
        .seen
        .iter()
        .position(|p| matches!(p, InitiatorPdu::ScsiCommand(c) if c.read));
    assert!(read < last_data);
}

#[test]
fn nothing_is_sent_outside_the_window() {
    let mut pair = Pair::plain().ready();
    // The scripted target checks each command's number.
    pair.peer.max_cmd_sn = Some(pair.peer.exp_cmd_sn.sub(1));
    let nop = |pair: &mut Pair| {
        let sn = pair.peer.numbers();
        let none = vcp_iscsi_proto::RESERVED_TAG;
        let pdu = vcp_iscsi_proto::pdu::NopIn {
            data_len: 0,
            lun: vcp_iscsi_proto::Lun::default(),
            itt: none,
            ttt: none,
            sn,
        };
        pair.peer.send(pdu, &[]);
    };
    // A window never shrinks: the promised part is still there.
    nop(&mut pair);
    pair.run();
    for n in 0..40 {
        pair.read(n * 4096, 4096, 0);
    }
    let last = pair.peer.exp_cmd_sn.add(3);
    pair.peer.max_cmd_sn = Some(last);
    let promised = 32;
    pair.peer.settings.window = promised;
    pair.peer.max_cmd_sn = None;
    pair.run();
    assert_eq!(pair.completed.len(), 40);
}

#[test]
fn closed_window_is_waited_for() {
    let settings = Settings {
        window: 1,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    let tags: Vec<u64> = (0..8).map(|n| pair.read(n * 512, 512, 0)).collect();
    pair.peer.seen.clear();
    pair.step();
    assert_eq!(opcodes(&pair).len(), 1);
    pair.run();
    assert!(tags.iter().all(|tag| pair.completed[tag] == Status::Ok));
}

/// A target has to set them to zero, and an initiator to ignore them.
#[test]
fn reserved_bits_are_ignored() {
    for status_in_data in [true, false] {
        let settings = Settings {
            status_in_data,
            ..Settings::default()
        };
        let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
        pair.peer.scribble = true;
        pair.fill(0, 65536, 4);
        let tag = pair.write(0, 65536, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        let tag = pair.read(0, 65536, MIB);
        assert_eq!(pair.finish(tag), Status::Ok);
        assert!(pair.bytes(0, 65536) == pair.bytes(MIB, 65536));
        // Pings are answered too.
        pair.run_for(60 * SECOND);
        assert_eq!(pair.suspended(), Vec::<String>::new());
    }
}

#[test]
fn empty_data_in_is_taken() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        for (data_sn, data) in [&[][..], &[7; 512], &[]].into_iter().enumerate() {
            let last = data_sn == 2;
            let sn = if last { peer.status() } else { peer.numbers() };
            let pdu = DataIn {
                is_final: last,
                acknowledge: false,
                status: last.then_some(ScsiStatus::Good),
                data_len: 0,
                lun: Lun::default(),
                itt: command.itt,
                ttt: RESERVED_TAG,
                sn,
                data_sn: data_sn as u32,
                offset: if last { 512 } else { 0 },
                residual: Residual::None,
            };
            peer.send(pdu, data);
        }
        true
    }));
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.bytes(0, 512), [7; 512]);
}
