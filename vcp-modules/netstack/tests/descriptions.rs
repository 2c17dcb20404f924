//! Descriptions of connections from elsewhere: they are refused with a message, or
//! resumed.

#[expect(dead_code, reason = "no wire is needed here")]
mod sim;

use std::net::SocketAddr;

use proptest::prelude::*;
use sim::config;
use vcp_netstack::{ConnectionState, ImportError, Scales, Stack};

const SECOND: u64 = 1_000_000_000;

#[test]
fn a_gateway_is_no_peer() {
    let mut far = config(0, true);
    far.gateways = vec!["10.7.0.254".parse().unwrap(), "fd07::fe".parse().unwrap()];
    for remote in ["192.0.2.1:3260", "[2001:db8::1]:3260"] {
        let mut state = sample();
        state.remote = remote.parse().unwrap();
        if state.remote.is_ipv6() {
            state.local = "[fd07::1]:50000".parse().unwrap();
            state.receive_mss = 1440;
        }
        let mut stack = Stack::new(far.clone(), 0).unwrap();
        stack.import(0, &state).unwrap();
        stack.poll(0);
        let (arena, frames) = stack.outgoing();
        assert_eq!(frames.len(), 1);
        assert_eq!(arena[..6], state.neighbor);
        let mut stack = Stack::new(config(0, true), 0).unwrap();
        assert_eq!(
            stack.import(0, &state),
            Err(ImportError::Unreachable(state.remote))
        );
    }
}

/// A description that the first end of a wire accepts.
fn sample() -> ConnectionState {
    ConnectionState {
        local: "10.7.0.1:50000".parse().unwrap(),
        remote: SocketAddr::new("10.7.0.2".parse().unwrap(), 3260),
        send_next: 0xffff_fff0,
        receive_next: 17,
        send_window: 65_535 << 5,
        scales: Some(Scales {
            send: 5,
            receive: 5,
        }),
        send_mss: 1460,
        receive_mss: 1460,
        sack_permitted: true,
        neighbor: [2, 0, 0, 0, 0, 2],
    }
}

#[test]
fn descriptions_that_do_not_fit_are_refused() {
    type Change = fn(&mut ConnectionState);
    let cases: [(Change, &str); 16] = [
        (
            |s| s.local.set_ip("10.7.0.9".parse().unwrap()),
            "no address of this stack",
        ),
        (|s| s.local.set_port(0), "no address of this stack"),
        (|s| s.remote.set_port(0), "cannot be reached"),
        (
            |s| s.remote.set_ip("224.0.0.1".parse().unwrap()),
            "cannot be reached",
        ),
        (
            |s| s.remote.set_ip("0.0.0.0".parse().unwrap()),
            "cannot be reached",
        ),
        (
            |s| s.remote.set_ip("10.7.0.1".parse().unwrap()),
            "cannot be reached",
        ),
        (
            |s| s.remote.set_ip("192.0.2.1".parse().unwrap()),
            "cannot be reached",
        ),
        (
            |s| s.remote.set_ip("fd07::2".parse().unwrap()),
            "different families",
        ),
        (
            |s| s.remote.set_ip("10.7.0.255".parse().unwrap()),
            "did not take",
        ),
        (|s| s.scales.as_mut().unwrap().receive = 4, "scaled by 4"),
        (|s| s.scales.as_mut().unwrap().send = 15, "above 14"),
        (|s| s.send_window += 1, "larger than its scale"),
        (|s| s.receive_mss = 1461, "the link carries 1460"),
        (|s| s.send_mss = 47, "smaller than any"),
        (|s| s.neighbor = [3, 0, 0, 0, 0, 2], "no unicast"),
        (|s| s.neighbor = [2, 0, 0, 0, 0, 1], "ours"),
    ];
    for (change, expected) in cases {
        let mut stack = Stack::new(config(0, true), 0).unwrap();
        let mut state = sample();
        change(&mut state);
        let error = stack.import(0, &state).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} of {state:?}");
        stack.poll(0);
        assert!(stack.outgoing().1.is_empty());
        stack.import(0, &sample()).unwrap();
        assert_eq!(
            stack.import(0, &sample()),
            Err(ImportError::InUse(sample().local))
        );
    }
    let mut one = config(0, true);
    one.max_connections = 1;
    let mut stack = Stack::new(one, 0).unwrap();
    stack.import(0, &sample()).unwrap();
    let mut second = sample();
    second.local.set_port(50_001);
    assert_eq!(stack.import(0, &second), Err(ImportError::Exhausted(1)));
}

fn any_state() -> impl Strategy<Value = ConnectionState> {
    let ip = prop_oneof![
        4 => (0u8..8, any::<bool>()).prop_map(|(host, v6)| if v6 {
            format!("fd07::{host}").parse().unwrap()
        } else {
            format!("10.7.0.{host}").parse().unwrap()
        }),
        1 => any::<std::net::IpAddr>(),
    ];
    let end = move || (ip.clone(), any::<u16>()).prop_map(SocketAddr::from);
    let scales = prop_oneof![
        Just(None),
        (0u8..16, Just(5)).prop_map(Some),
        any::<(u8, u8)>().prop_map(Some),
    ];
    let numbers = (any::<u32>(), any::<u32>(), 0u32..(1 << 20), scales);
    let rest = (any::<u16>(), 0u16..1500, any::<bool>(), any::<u8>());
    (end(), end(), numbers, rest).prop_map(|(local, remote, numbers, rest)| ConnectionState {
        local,
        remote,
        send_next: numbers.0,
        receive_next: numbers.1,
        send_window: numbers.2,
        scales: numbers.3.map(|(send, receive)| Scales { send, receive }),
        send_mss: rest.0,
        receive_mss: rest.1,
        sack_permitted: rest.2,
        neighbor: [rest.3, 0, 0, 0, 0, 9],
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_description_is_refused_or_taken_as_it_is(
        states in proptest::collection::vec(any_state(), 1..4),
        segmenting in any::<bool>(),
    ) {
        let mut stack = Stack::new(config(0, segmenting), 0).unwrap();
        for state in states {
            match stack.import(0, &state) {
                Ok(handle) => {
                    let out = stack.export(handle).unwrap();
                    prop_assert_eq!(out.send_next, state.send_next);
                    prop_assert_eq!(out.receive_next, state.receive_next);
                    stack.send(handle, |room| room.len());
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
            stack.poll(0);
            stack.clear_outgoing();
            stack.poll(2 * SECOND);
            stack.clear_outgoing();
        }
    }

    /// Numbers of every kind, as smoltcp draws them.
    #[test]
    fn every_sequence_number_can_be_gone_on_from(send_next in any::<u32>(), receive_next in any::<u32>()) {
        let mut stack = Stack::new(config(0, true), 0).unwrap();
        let state = ConnectionState { send_next, receive_next, ..sample() };
        let handle = stack.import(0, &state);
        prop_assert_eq!(handle.map(|handle| stack.export(handle)), Ok(Ok(state)));
    }
}

/// With the first seed that is tried for this number, smoltcp rejects the value that it
/// draws for another purpose, and draws another.
#[test]
fn a_number_that_is_not_drawn_at_once_can_be_gone_on_from() {
    let mut stack = Stack::new(config(0, true), 0).unwrap();
    let state = ConnectionState {
        send_next: 761_194_772,
        ..sample()
    };
    let handle = stack.import(0, &state).expect("it is taken over");
    assert_eq!(stack.export(handle), Ok(state));
}
