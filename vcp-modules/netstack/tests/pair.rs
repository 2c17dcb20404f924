//! Stack against stack in virtual time: opening, bulk data both ways under loss
//! and with buffers of every size, closing, refusing, timing out.

mod sim;
mod traffic;

use std::net::SocketAddr;

use sim::{Crossing, Wire, address, config};
use traffic::{PORT, SECOND, open, reach, transfer};
use vcp_netstack::{Config, ConfigError, ConnectError, End, Stack, State};

#[test]
fn loss_and_buffer_matrix() {
    matrix([false; 2]);
}

#[test]
fn loss_and_buffer_matrix_with_data_taken_directly() {
    let copied = matrix([true, false]);
    let both = matrix([true; 2]);
    assert!(copied > 1000 && both > copied, "{copied} {both}");
}

/// Returns how many segments were taken directly by the ends that do so.
fn matrix(directly: [bool; 2]) -> u64 {
    let mut taken = 0;
    for ipv6 in [false, true] {
        for (segmenting, crossing) in [
            (false, Crossing::Wire),
            (true, Crossing::Wire),
            (true, Crossing::Memory),
        ] {
            for (losses, loss) in [0, 1, 10, 50].into_iter().enumerate() {
                for buffer in [4 << 10, 64 << 10, 1 << 20] {
                    let configs = [0, 1].map(|end| {
                        let mut config = config(end, segmenting);
                        config.receive_buffer = buffer;
                        config.send_buffer = buffer;
                        config.timeout = 600 * SECOND;
                        config.connect_timeout = 600 * SECOND;
                        config
                    });
                    let mut wire = Wire::new(configs, crossing, 1 + loss + buffer as u64);
                    wire.loss_per_mille = loss;
                    wire.duplicate_per_mille = loss;
                    let handles = open(&mut wire, ipv6);
                    wire.direct = [0, 1].map(|end| directly[end].then_some(handles[end]));
                    transfer(&mut wire, handles, [200_000, 150_000]);
                    taken += wire.directly;
                    // The limits allow one window each 100 µs; each loss costs a timeout
                    // of a second.
                    let most = [200_000_000, 3 * SECOND, 30 * SECOND, 90 * SECOND];
                    assert!(wire.now < most[losses], "{} ms", wire.now / 1_000_000);
                    println!(
                        "ipv6 {ipv6} tso {segmenting} {crossing:?} loss {loss}‰ buffer {buffer}: {} frames, largest {}, {} ms",
                        wire.frames,
                        wire.largest,
                        wire.now / 1_000_000
                    );
                }
            }
        }
    }
    taken
}

#[test]
fn super_frames_are_large_and_whole_segments() {
    for ipv6 in [false, true] {
        let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Memory, 3);
        let handles = open(&mut wire, ipv6);
        transfer(&mut wire, handles, [8 << 20, 0]);
        let headers = if ipv6 { 74 } else { 54 };
        assert!(wire.largest > 62_000, "largest frame {}", wire.largest);
        assert_eq!((wire.largest - headers) % (1514 - headers), 0);
    }
}

#[test]
fn a_peer_with_a_smaller_mtu_gets_smaller_segments() {
    for ipv6 in [false, true] {
        let mut small = config(1, true);
        small.mtu = 1280;
        let mut wire = Wire::new([config(0, true), small], Crossing::Wire, 5);
        let handles = open(&mut wire, ipv6);
        transfer(&mut wire, handles, [300_000, 300_000]);
        assert_eq!(
            wire.largest, 1294,
            "frames of the larger end keep to the smaller MTU"
        );
    }
}

#[test]
fn frames_may_be_as_small_as_500_bytes() {
    for segmenting in [false, true] {
        let configs = [0, 1].map(|end| Config {
            mtu: 500,
            addresses: vec![(address(end, false), 24)],
            ..config(end, segmenting)
        });
        let mut wire = Wire::new(configs, Crossing::Wire, 5);
        let handles = open(&mut wire, false);
        transfer(&mut wire, handles, [300_000, 300_000]);
        assert_eq!(wire.largest, 514);
    }
}

#[test]
fn frames_smaller_than_that_are_refused() {
    for (least, addresses) in [(500, 1), (1280, 2)] {
        let mut config = config(0, false);
        config.addresses.truncate(addresses);
        config.mtu = least - 1;
        let refused = Stack::new(config.clone(), 0).err().unwrap();
        let mtu = config.mtu;
        assert_eq!(refused, ConfigError::Mtu { mtu, least });
        config.mtu = least;
        assert!(Stack::new(config, 0).is_ok());
    }
}

#[test]
fn closes_in_order_both_ways() {
    let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Wire, 9);
    let [client, server] = open(&mut wire, false);
    wire.ends[0].send(client, |room| {
        room[..3].copy_from_slice(b"bye");
        3
    });
    wire.ends[0].close(client);
    reach(&mut wire, 1, server, State::PeerClosed);
    assert_eq!(wire.ends[1].readable(server), 3);
    wire.ends[1].close(server);
    reach(&mut wire, 1, server, State::Closed(End::Finished));
    assert_eq!(
        wire.ends[1].recv(server, |bytes| bytes.len()),
        3,
        "readable after the end"
    );
    reach(&mut wire, 0, client, State::Closed(End::Finished));
}

#[test]
fn reset_is_told_from_refusal() {
    let mut wire = Wire::new([config(0, false), config(1, false)], Crossing::Wire, 9);
    let [client, server] = open(&mut wire, true);
    let now = wire.now;
    wire.ends[1].abort(server, now);
    let nobody = wire.ends[0]
        .connect(SocketAddr::new(address(1, true), 9), now)
        .unwrap();
    for _ in 0..100 {
        wire.step();
    }
    assert_eq!(wire.ends[0].state(client), State::Closed(End::Reset));
    assert_eq!(wire.ends[0].state(nobody), State::Closed(End::Refused));
}

#[test]
fn silence_ends_a_connection() {
    let mut wire = Wire::new([config(0, false), config(1, false)], Crossing::Wire, 9);
    let [client, _server] = open(&mut wire, false);
    // Keep-alives hold the idle connection.
    while wire.now < 120 * SECOND {
        assert!(wire.step());
    }
    assert_eq!(wire.ends[0].state(client), State::Open);
    wire.loss_per_mille = 1000;
    reach(&mut wire, 0, client, State::Closed(End::TimedOut));
}

#[test]
fn connecting_to_nobody() {
    let mut wire = Wire::new([config(0, false), config(1, false)], Crossing::Wire, 9);
    let absent = wire.ends[0]
        .connect("10.7.0.99:3260".parse().unwrap(), 0)
        .unwrap();
    let far = "192.0.2.1:3260".parse().unwrap();
    assert_eq!(
        wire.ends[0].connect(far, 0),
        Err(ConnectError::NoRoute(far))
    );
    let zero = "10.7.0.2:0".parse().unwrap();
    assert_eq!(
        wire.ends[0].connect(zero, 0),
        Err(ConnectError::Unaddressable(zero))
    );
    reach(&mut wire, 0, absent, State::Closed(End::Unreachable));
    assert!(wire.now >= 10 * SECOND);
}

#[test]
fn an_absent_host_does_not_hold_up_another() {
    for ipv6 in [false, true] {
        let mut wire = Wire::new([config(0, false), config(1, false)], Crossing::Wire, 9);
        let absent = if ipv6 { "[fd07::99]:1" } else { "10.7.0.99:1" };
        wire.ends[0].connect(absent.parse().unwrap(), 0).unwrap();
        for _ in 0..3 {
            wire.step();
        }
        let begin = wire.now;
        open(&mut wire, ipv6);
        assert!(wire.now - begin < SECOND / 100, "{} ns", wire.now - begin);
    }
}

#[test]
fn connections_have_a_limit_and_give_their_place_back() {
    let mut server = config(1, false);
    server.max_connections = 2;
    let mut wire = Wire::new([config(0, false), server], Crossing::Wire, 9);
    wire.ends[1].listen(PORT).unwrap();
    let remote = SocketAddr::new(address(1, false), PORT);
    let clients = [0; 4].map(|_| wire.ends[0].connect(remote, 0).unwrap());
    for _ in 0..200 {
        wire.step();
    }
    let open = |wire: &Wire| {
        clients
            .iter()
            .filter(|&&c| wire.ends[0].state(c) == State::Open)
            .count()
    };
    assert_eq!(open(&wire), 2);
    let accepted = [
        wire.ends[1].accept(PORT).unwrap(),
        wire.ends[1].accept(PORT).unwrap(),
    ];
    assert_eq!(wire.ends[1].accept(PORT), None);
    let now = wire.now;
    wire.ends[1].abort(accepted[0], now);
    for _ in 0..100 {
        wire.step();
    }
    assert_eq!(open(&wire), 1);
    let now = wire.now;
    let late = wire.ends[0].connect(remote, now).unwrap();
    for _ in 0..100 {
        wire.step();
    }
    assert_eq!(wire.ends[0].state(late), State::Open);
    assert_eq!(
        wire.ends[1].state(accepted[0]),
        State::Closed(End::Aborted),
        "a stale handle is dead"
    );
}

#[test]
fn leaving_resets_every_peer() {
    let mut wire = Wire::new([config(0, true), config(1, true)], Crossing::Memory, 9);
    let [_, server] = open(&mut wire, true);
    let now = wire.now;
    wire.ends[0].abort_all(now);
    for _ in 0..100 {
        wire.step();
    }
    assert_eq!(wire.ends[1].state(server), State::Closed(End::Reset));
}
