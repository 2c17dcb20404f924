//! Connections that are resumed in another stack: bytes before and after, both ways,
//! under loss, with numbers that wrap; when a hand-over has to wait; its cost.

mod sim;
mod traffic;

use std::time::Instant;

use sim::{Crossing, Wire, config};
use traffic::{SECOND, open, pattern, reach, transfer};
use vcp_netstack::{Checksum, Config, ConnectionState, End, ExportError, Handle, Stack, State};

const WAYS: [(bool, Crossing); 3] = [
    (false, Crossing::Wire),
    (true, Crossing::Wire),
    (true, Crossing::Memory),
];

/// A configuration like that of `end`, with another seed.
fn successor(end: usize, segmenting: bool, seed: u64) -> Config {
    let mut config = config(end, segmenting);
    config.seed = seed;
    config
}

/// Waits until the connection can be handed over, and has another stack resume it. The
/// description goes through serde on the way.
fn hand_over(wire: &mut Wire, end: usize, handle: Handle, config: Config) -> Handle {
    let state = loop {
        match wire.ends[end].export(handle) {
            Ok(state) => break state,
            Err(ExportError::NotOpen) => panic!("{:?}", wire.ends[end].state(handle)),
            Err(_) => assert!(wire.step()),
        }
    };
    let text = serde_json::to_string(&state).unwrap();
    let state: ConnectionState = serde_json::from_str(&text).unwrap();
    let mut fresh = Stack::new(config, wire.now).unwrap();
    let handle = fresh.import(wire.now, &state).unwrap();
    assert_eq!(fresh.export(handle), Ok(state), "hand-overs compose");
    assert_eq!(fresh.state(handle), State::Open);
    wire.ends[end] = fresh;
    handle
}

#[test]
fn connections_go_on_again_and_again() {
    for (ipv6, direct) in [(false, false), (true, false), (false, true), (true, true)] {
        for (segmenting, crossing) in WAYS {
            let configs = [0, 1].map(|end| config(end, segmenting));
            let mut wire = Wire::new(configs, crossing, 11);
            wire.prefers_direct = direct;
            let mut handles = open(&mut wire, ipv6);
            for round in 0..6 {
                transfer(&mut wire, handles, [70_000, 50_000]);
                let end = round % 2;
                let config = successor(end, segmenting, 100 + round as u64);
                handles[end] = hand_over(&mut wire, end, handles[end], config);
            }
            transfer(&mut wire, handles, [300_000, 300_000]);
            assert!(wire.now < SECOND, "a retransmission timer ran");
            wire.ends[0].close(handles[0]);
            reach(&mut wire, 1, handles[1], State::PeerClosed);
            wire.ends[1].close(handles[1]);
            reach(&mut wire, 1, handles[1], State::Closed(End::Finished));
            reach(&mut wire, 0, handles[0], State::Closed(End::Finished));
        }
    }
}

#[test]
fn lost_and_overtaken_frames_are_made_good_after_a_hand_over() {
    for (ipv6, direct) in [(false, false), (true, false), (false, true), (true, true)] {
        for (segmenting, crossing) in WAYS {
            let configs = [0, 1].map(|end| {
                let mut config = config(end, segmenting);
                config.timeout = 600 * SECOND;
                config
            });
            let mut wire = Wire::new(configs, crossing, 5);
            wire.prefers_direct = direct;
            let mut handles = open(&mut wire, ipv6);
            wire.loss_per_mille = 20;
            wire.duplicate_per_mille = 20;
            wire.jitter = 200_000;
            for round in 0..10 {
                transfer(&mut wire, handles, [40_000, 60_000]);
                let end = round % 2;
                let mut config = successor(end, segmenting, 200 + round as u64);
                config.timeout = 600 * SECOND;
                handles[end] = hand_over(&mut wire, end, handles[end], config);
            }
            transfer(&mut wire, handles, [200_000, 200_000]);
        }
    }
}

/// Reads and checks the received bytes.
fn drain(stack: &mut Stack, handle: Handle, at: &mut usize) {
    while stack.recv(handle, |bytes| {
        for (index, &byte) in bytes.iter().enumerate() {
            assert_eq!(byte, pattern(1, *at + index), "byte {}", *at + index);
        }
        *at += bytes.len();
        bytes.len()
    }) > 0
    {}
}

#[test]
fn a_stream_from_the_peer_does_not_stop_for_it() {
    for (segmenting, crossing) in WAYS {
        let configs = [0, 1].map(|end| config(end, segmenting));
        let mut wire = Wire::new(configs, crossing, 11);
        let [mut client, server] = open(&mut wire, false);
        let (mut sent, mut read, mut handed) = (0, 0, 0);
        while read < 4 << 20 {
            sent += wire.ends[1].send(server, |room| {
                let bytes = room.iter_mut().enumerate();
                bytes.for_each(|(index, byte)| *byte = pattern(1, sent + index));
                room.len()
            });
            drain(&mut wire.ends[0], client, &mut read);
            if wire.ends[0].export(client).is_ok() {
                handed += 1;
                let config = successor(0, segmenting, handed);
                client = hand_over(&mut wire, 0, client, config);
            }
            assert!(wire.step());
        }
        assert!(handed > 20, "{handed} hand-overs");
        assert!(wire.now < SECOND, "a retransmission timer ran");
    }
}

/// Resumes both ends with other numbers.
fn renumber(wire: &mut Wire, handles: [Handle; 2], numbers: [u32; 2]) -> [Handle; 2] {
    [0, 1].map(|end| {
        let mut state = wire.ends[end].export(handles[end]).unwrap();
        (state.send_next, state.receive_next) = (numbers[end], numbers[1 - end]);
        let mut fresh = Stack::new(successor(end, true, 77), wire.now).unwrap();
        let handle = fresh.import(wire.now, &state).unwrap();
        wire.ends[end] = fresh;
        handle
    })
}

#[test]
fn sequence_numbers_wrap() {
    // The first byte of either side, and bytes before and after a hand-over.
    let before = [0u32, 1, 1000, 29_999, 30_000, 30_001, 45_000];
    for (before, direct) in before.into_iter().flat_map(|b| [(b, false), (b, true)]) {
        let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Wire, 11);
        wire.prefers_direct = direct;
        let handles = open(&mut wire, before % 2 == 0);
        transfer(&mut wire, handles, [1, 1]);
        while (0..2).any(|end| wire.ends[end].export(handles[end]).is_err()) {
            wire.step();
        }
        let numbers = [before.wrapping_neg(), before.wrapping_neg().wrapping_sub(7)];
        let mut handles = renumber(&mut wire, handles, numbers);
        for round in 0..3 {
            transfer(&mut wire, handles, [30_000, 30_000]);
            handles = [0, 1].map(|end| {
                let config = successor(end, true, round + 3);
                hand_over(&mut wire, end, handles[end], config)
            });
        }
        let state = wire.ends[0].export(handles[0]).unwrap();
        assert_eq!(state.send_next, numbers[0].wrapping_add(90_000));
        assert_eq!(state.receive_next, numbers[1].wrapping_add(90_000));
        assert!(wire.now < SECOND, "a retransmission timer ran");
    }
}

#[test]
fn not_while_anything_is_under_way() {
    let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Wire, 11);
    let [client, server] = open(&mut wire, false);
    assert!(wire.ends[0].export(client).is_ok());
    let absent = "10.7.0.99:1".parse().unwrap();
    let absent = wire.ends[0].connect(absent, wire.now).unwrap();
    assert_eq!(wire.ends[0].export(absent), Err(ExportError::NotOpen));
    wire.ends[0].send(client, |room| room[..500].len());
    assert_eq!(
        wire.ends[0].export(client),
        Err(ExportError::Unacknowledged(500))
    );
    while wire.ends[1].readable(server) == 0 {
        assert!(wire.ends[0].export(client).is_err());
        wire.step();
    }
    assert_eq!(wire.ends[1].export(server), Err(ExportError::Unread(500)));
    wire.ends[1].recv(server, |bytes| bytes.len());
    while wire.ends[0].export(client).is_err() {
        wire.step();
    }
    wire.ends[1].close(server);
    assert_eq!(wire.ends[1].export(server), Err(ExportError::NotOpen));
    reach(&mut wire, 0, client, State::PeerClosed);
    assert_eq!(wire.ends[0].export(client), Err(ExportError::NotOpen));
    wire.ends[0].abort(client, wire.now);
    assert_eq!(wire.ends[0].export(client), Err(ExportError::NotOpen));
}

#[test]
fn not_with_a_hole_in_what_was_received() {
    let mut wire = Wire::new([config(0, false), config(1, false)], Crossing::Wire, 11);
    let [client, server] = open(&mut wire, false);
    wire.ends[1].send(server, |room| room[..5000].len());
    wire.ends[1].poll(wire.now);
    let (arena, frames) = wire.ends[1].outgoing();
    let second = arena[frames[1].offset..frames[1].offset + frames[1].length].to_vec();
    wire.ends[0].receive(wire.now, &second, Checksum::Verified);
    assert_eq!(wire.ends[0].readable(client), 0);
    assert_eq!(wire.ends[0].export(client), Err(ExportError::Missing));
}

#[test]
fn an_attackers_segments_do_not_change_the_description() {
    let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Memory, 11);
    wire.keep = true;
    let [client, server] = open(&mut wire, false);
    wire.ends[1].send(server, |room| room[..10].len());
    while wire.ends[0].readable(client) == 0 {
        wire.step();
    }
    wire.ends[0].recv(client, |bytes| bytes.len());
    let state = wire.ends[0].export(client).unwrap();
    let data = wire.kept.iter().find(|frame| frame.len() == 64).unwrap();
    // The acknowledgement and sequence numbers are out of range, with another window.
    for (at, value) in [(38, 0x7f), (38, 0x80), (42, 0x7f), (42, 0x80)] {
        let mut frame = data.clone();
        frame[at] ^= value;
        frame[48..50].copy_from_slice(&[0, 1]);
        wire.ends[0].receive(wire.now, &frame, Checksum::Partial);
        assert_eq!(wire.ends[0].export(client), Ok(state.clone()), "byte {at}");
    }
}

#[test]
fn the_old_stack_goes_without_a_word_and_the_new_one_says_one() {
    for ipv6 in [false, true] {
        let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Memory, 11);
        let [client, server] = open(&mut wire, ipv6);
        transfer(&mut wire, [client, server], [10_000, 10_000]);
        while wire.ends[0].export(client).is_err() {
            wire.step();
        }
        let state = wire.ends[0].export(client).unwrap();
        wire.ends[0].forget(client);
        wire.ends[0].abort_all(wire.now);
        wire.ends[0].poll(wire.now);
        assert!(wire.ends[0].outgoing().1.is_empty());
        assert_eq!(
            wire.ends[0].state(client),
            State::Closed(End::Aborted),
            "the handle is dead"
        );
        let mut fresh = Stack::new(successor(0, true, 1), wire.now).unwrap();
        let client = fresh.import(wire.now, &state).unwrap();
        assert!(fresh.outgoing().1.is_empty(), "nothing before the poll");
        assert_eq!(fresh.next_deadline(wire.now), Some(wire.now));
        fresh.clear_outgoing();
        fresh.poll(wire.now);
        let (arena, frames) = fresh.outgoing();
        assert_eq!(frames.len(), 1);
        let tcp = if ipv6 { 54 } else { 34 };
        let frame = &arena[frames[0].offset..frames[0].offset + frames[0].length];
        assert_eq!(frame[..6], state.neighbor);
        assert_eq!(frame[tcp + 4..tcp + 8], state.send_next.to_be_bytes());
        assert_eq!(frame[tcp + 8..tcp + 12], state.receive_next.to_be_bytes());
        assert_eq!((frame[tcp + 12], frame[tcp + 13]), (5 << 4, 0x10));
        assert!(fresh.next_deadline(wire.now) > Some(wire.now));
        // Data is sent without asking for the peer's address.
        fresh.clear_outgoing();
        fresh.send(client, |room| room[..100].len());
        fresh.poll(wire.now);
        assert_eq!(fresh.outgoing().1[0].length, tcp + 20 + 100);
    }
}

#[test]
fn a_fresh_stack_connects_in_two_round_trips() {
    for ipv6 in [false, true] {
        let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Memory, 9);
        // A spare waits long before it is used.
        wire.now = 600 * SECOND;
        let begin = wire.now;
        let [client, _] = open(&mut wire, ipv6);
        let took = wire.now - begin;
        // One round trip is for the peer's address, and one and a half for the handshake,
        // after which the server's side is open.
        assert!(took < 5 * wire.latency + 10_000, "{took} ns");
        // The frames are question and answer, SYN, SYN-ACK, ACK.
        assert_eq!(wire.frames, 5);
        assert_eq!(wire.ends[0].state(client), State::Open);
    }
}

/// Every reload waits for this; it must not dominate the pause.
#[test]
fn a_hand_over_takes_well_below_a_millisecond() {
    let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Memory, 11);
    let handles = open(&mut wire, false);
    transfer(&mut wire, handles, [1000, 1000]);
    while wire.ends[0].export(handles[0]).is_err() {
        wire.step();
    }
    let mut times = [0; 101].map(|_| {
        let mut fresh = Stack::new(successor(0, true, 1), wire.now).unwrap();
        let begin = Instant::now();
        let state = wire.ends[0].export(handles[0]).unwrap();
        let exported = begin.elapsed();
        fresh.import(wire.now, &state).unwrap();
        (begin.elapsed(), exported)
    });
    times.sort();
    println!("both {:?}, of it export {:?}", times[50].0, times[50].1);
    assert!(times[50].0.as_micros() < 500, "{times:?}");
}
