//! Connections between the two ends of a wire, and checked transfers over them.

use std::net::SocketAddr;

use vcp_netstack::{Handle, State};

use crate::sim::{Wire, address};

pub(crate) const PORT: u16 = 3260;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// Byte `at` of the stream that `end` sends.
pub(crate) fn pattern(end: usize, at: usize) -> u8 {
    (at.wrapping_mul(31) ^ (at >> 9) ^ (end * 0x55)) as u8
}

pub(crate) fn open(wire: &mut Wire, ipv6: bool) -> [Handle; 2] {
    wire.ends[1].listen(PORT).unwrap();
    let now = wire.now;
    let remote = SocketAddr::new(address(1, ipv6), PORT);
    let client = wire.ends[0].connect(remote, now).unwrap();
    for _ in 0..10_000 {
        wire.step();
        if wire.ends[0].state(client) == State::Open
            && let Some(server) = wire.ends[1].accept(PORT)
        {
            return [client, server];
        }
    }
    panic!("no connection: {:?}", wire.ends[0].state(client));
}

/// Steps until `end`'s connection is in `state`.
pub(crate) fn reach(wire: &mut Wire, end: usize, handle: Handle, state: State) {
    let limit = wire.now + 100 * SECOND;
    while wire.ends[end].state(handle) != state {
        let more = wire.step();
        let found = wire.ends[end].state(handle);
        assert!(
            more && wire.now < limit || found == state,
            "{found:?}, not {state:?}"
        );
    }
}

/// Moves `totals` bytes in each direction; panics on a wrong byte.
pub(crate) fn transfer(wire: &mut Wire, handles: [Handle; 2], totals: [usize; 2]) {
    if wire.prefers_direct {
        wire.direct = handles.map(Some);
    }
    let (mut sent, mut taken) = ([0; 2], [0; 2]);
    while taken != [totals[1], totals[0]] {
        for end in 0..2 {
            let handle = handles[end];
            loop {
                let at = sent[end];
                let written = wire.ends[end].send(handle, |room| {
                    let count = room.len().min(totals[end] - at);
                    let bytes = room[..count].iter_mut().enumerate();
                    bytes.for_each(|(index, byte)| *byte = pattern(end, at + index));
                    count
                });
                sent[end] += written;
                if written == 0 {
                    break;
                }
            }
            let mut at = taken[end];
            // Data that was taken directly precedes the data in the buffer.
            for byte in wire.taken[end].drain(..) {
                assert_eq!(byte, pattern(1 - end, at), "byte {at}, taken directly");
                at += 1;
            }
            while wire.ends[end].recv(handle, |bytes| {
                for (index, &byte) in bytes.iter().enumerate() {
                    assert_eq!(byte, pattern(1 - end, at + index), "byte {}", at + index);
                }
                at += bytes.len();
                bytes.len()
            }) > 0
            {}
            taken[end] = at;
        }
        assert!(wire.step(), "stalled with {taken:?} of {totals:?}");
        assert!(
            wire.now < 3600 * SECOND,
            "stuck with {taken:?} of {totals:?}"
        );
    }
}
