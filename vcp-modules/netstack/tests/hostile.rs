//! Frames that no well-behaved peer sends: the stack drops them, answers where the RFCs
//! require it, and goes on working.

mod sim;

use std::net::SocketAddr;

use proptest::prelude::*;
use sim::{Crossing, Random, Wire, address, config, sum16};
use vcp_netstack::{Checksum, State};

/// A wire with an open connection, and the frames that opened it and carried data.
fn recorded(ipv6: bool) -> (Wire, Vec<Vec<u8>>) {
    let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Memory, 3);
    wire.keep = true;
    wire.ends[1].listen(3260).unwrap();
    let client = wire.ends[0]
        .connect(SocketAddr::new(address(1, ipv6), 3260), 0)
        .unwrap();
    for _ in 0..20 {
        wire.step();
    }
    wire.ends[0].send(client, |room| {
        room[..3000].fill(7);
        3000
    });
    for _ in 0..20 {
        wire.step();
    }
    assert_eq!(wire.ends[0].state(client), State::Open);
    let kept = std::mem::take(&mut wire.kept);
    (wire, kept)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn mangled_frames_do_no_harm(ipv6 in any::<bool>(), seed in 1u64..) {
        let (mut wire, kept) = recorded(ipv6);
        let mut random = Random(seed);
        for _ in 0..200 {
            let mut frame = kept[random.next() as usize % kept.len()].clone();
            for _ in 0..random.next() % 4 {
                let at = random.next() as usize % frame.len().min(90);
                frame[at] = random.next() as u8;
            }
            if random.chance(300) {
                frame.truncate(random.next() as usize % frame.len());
            }
            if random.chance(100) {
                frame.resize(frame.len() + random.next() as usize % 70_000, 0xff);
            }
            // The header checksums are right, so that the mangled parts are examined.
            if frame.len() >= 34 && frame[12] == 8 && frame[14] == 0x45 {
                frame[24..26].fill(0);
                let check = !sum16(&frame[14..34]);
                frame[24..26].copy_from_slice(&check.to_be_bytes());
            }
            let end = (random.next() & 1) as usize;
            wire.ends[end].receive(wire.now, &frame, Checksum::Partial);
            wire.step();
        }
    }
}

#[test]
fn wrong_checksums_are_counted_and_dropped() {
    for ipv6 in [false, true] {
        let (mut wire, _) = recorded(ipv6);
        wire.crossing = Crossing::Wire;
        let client = wire.ends[0]
            .connect(SocketAddr::new(address(1, ipv6), 3260), wire.now)
            .unwrap();
        wire.keep = true;
        wire.loss_per_mille = 1000;
        wire.step();
        let mut syn = wire.kept.pop().unwrap();
        let last = syn.len() - 1;
        syn[last] ^= 1;
        wire.ends[1].receive(wire.now, &syn, Checksum::Unverified);
        assert_eq!(wire.ends[1].counters().bad_checksum, 1);
        wire.ends[1].poll(wire.now);
        assert!(
            wire.ends[1].outgoing().1.is_empty(),
            "a frame with a wrong checksum was answered"
        );
        syn[last] ^= 1;
        wire.ends[1].receive(wire.now, &syn, Checksum::Unverified);
        wire.ends[1].poll(wire.now);
        assert_eq!(
            wire.ends[1].outgoing().1.len(),
            1,
            "the intact SYN was not answered"
        );
        assert_eq!(wire.ends[0].state(client), State::Connecting);
    }
}

#[test]
fn segments_of_no_connection_are_reset() {
    let (mut wire, kept) = recorded(false);
    let now = wire.now;
    wire.ends[1].abort_all(now);
    wire.ends[1].poll(now);
    wire.ends[1].clear_outgoing();
    let data = kept.iter().find(|frame| frame.len() > 1000).unwrap();
    wire.ends[1].receive(now, data, Checksum::Partial);
    let (arena, frames) = wire.ends[1].outgoing();
    assert_eq!(frames.len(), 1);
    assert_eq!(arena[frames[0].offset + 47] & 0x04, 0x04, "RST");
}

#[test]
fn a_full_arena_drops_replies_and_recovers() {
    let (mut wire, kept) = recorded(false);
    let now = wire.now;
    let stray = kept.iter().find(|frame| frame.len() > 1000).unwrap();
    let mut stray = stray.clone();
    stray[36..38].copy_from_slice(&9u16.to_be_bytes());
    for _ in 0..200_000 {
        wire.ends[1].receive(now, &stray, Checksum::Partial);
    }
    let (arena, frames) = wire.ends[1].outgoing();
    assert!(frames.len() <= 4096 && arena.len() <= 512 << 10);
    assert!(wire.ends[1].counters().arena_full > 0);
    wire.ends[1].clear_outgoing();
    wire.ends[1].receive(now, &stray, Checksum::Partial);
    assert_eq!(wire.ends[1].outgoing().1.len(), 1);
}

#[test]
fn pings_are_answered() {
    let (mut wire, _) = recorded(false);
    let mut ping = vec![0; 14 + 20 + 8 + 56];
    ping[..6].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    ping[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    ping[12..14].copy_from_slice(&[8, 0]);
    ping[14] = 0x45;
    ping[16..18].copy_from_slice(&84u16.to_be_bytes());
    ping[22..24].copy_from_slice(&[64, 1]);
    ping[26..34].copy_from_slice(&[10, 7, 0, 1, 10, 7, 0, 2]);
    let check = !sum16(&ping[14..34]);
    ping[24..26].copy_from_slice(&check.to_be_bytes());
    ping[34] = 8;
    ping[42..].fill(0xa5);
    let check = !sum16(&ping[34..]);
    ping[36..38].copy_from_slice(&check.to_be_bytes());
    wire.ends[1].receive(wire.now, &ping, Checksum::Unverified);
    let (arena, frames) = wire.ends[1].outgoing();
    let reply = &arena[frames[0].offset..frames[0].offset + frames[0].length];
    assert_eq!((reply[34], &reply[42..]), (0, &ping[42..]));
    assert_eq!(sum16(&reply[34..]), 0xffff);
    assert_eq!(frames[0].checksum_start, 0);
}
