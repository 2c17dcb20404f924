//! Link-local addresses (RFC 4291 §2.5.6), as gateways and as peers.

mod sim;
#[expect(dead_code, reason = "one file for several tests")]
mod traffic;

use std::net::SocketAddr;

use sim::{Crossing, Wire, config};
use traffic::{PORT, open, transfer};
use vcp_netstack::{Config, ConfigError, ConnectError, Handle, Stack, State};

/// The addresses that the ends of a wire make for themselves.
const MADE: [&str; 2] = ["fe80::ff:fe00:1", "fe80::ff:fe00:2"];

/// Two hosts of different networks, each of which has the other as a gateway.
fn far(gateways: [Option<&str>; 2]) -> [Config; 2] {
    [("fd07::1", 0), ("2001:db8::2", 1)].map(|(own, end)| {
        let mut config = config(end, false);
        config.addresses = vec![(own.parse().unwrap(), 64)];
        config.gateways = gateways[end].iter().map(|g| g.parse().unwrap()).collect();
        config
    })
}

fn connect(wire: &mut Wire, remote: &str) -> [Handle; 2] {
    wire.ends[1].listen(PORT).unwrap();
    let remote = SocketAddr::new(remote.parse().unwrap(), PORT);
    let client = wire.ends[0].connect(remote, wire.now).unwrap();
    for _ in 0..1000 {
        wire.step();
        if wire.ends[0].state(client) == State::Open
            && let Some(server) = wire.ends[1].accept(PORT)
        {
            return [client, server];
        }
    }
    panic!("no connection: {:?}", wire.ends[0].state(client));
}

#[test]
fn a_link_local_gateway_leads_to_other_networks() {
    let gateways = [Some(MADE[1]), Some(MADE[0])];
    let mut wire = Wire::new(far(gateways), Crossing::Wire, 3);
    let handles = connect(&mut wire, "2001:db8::2");
    transfer(&mut wire, handles, [300_000, 300_000]);
    // The source is an address that the peer can answer to, not the link-local one.
    let local = wire.ends[0].export(handles[0]).unwrap().local;
    assert_eq!(local.ip().to_string(), "fd07::1");
}

#[test]
fn without_a_gateway_there_is_no_way() {
    let mut wire = Wire::new(far([None, None]), Crossing::Wire, 3);
    let remote = "[2001:db8::2]:3260".parse().unwrap();
    let refused = wire.ends[0].connect(remote, 0);
    assert_eq!(refused, Err(ConnectError::NoRoute(remote)));
}

#[test]
fn a_link_local_gateway_is_of_ipv6() {
    let [mut config, _] = far([Some("fe80::9"), None]);
    assert!(Stack::new(config.clone(), 0).is_ok());
    config.addresses = vec![("10.7.0.1".parse().unwrap(), 24)];
    let gateway = config.gateways[0];
    assert_eq!(
        Stack::new(config.clone(), 0).err(),
        Some(ConfigError::GatewayOffLink(gateway))
    );
    // No other address outside of every subnet can be a gateway either.
    let gateway = "fec0::9".parse().unwrap();
    config.addresses = vec![("fd07::1".parse().unwrap(), 64)];
    config.gateways = vec![gateway];
    assert_eq!(
        Stack::new(config, 0).err(),
        Some(ConfigError::GatewayOffLink(gateway))
    );
}

#[test]
fn a_link_local_peer_is_spoken_to_from_such_an_address() {
    let mut wire = Wire::new([config(0, false), config(1, false)], Crossing::Wire, 3);
    let handles = connect(&mut wire, MADE[1]);
    transfer(&mut wire, handles, [300_000, 300_000]);
    let state = wire.ends[0].export(handles[0]).unwrap();
    assert_eq!(state.local.ip().to_string(), MADE[0]);
    // A successor resumes it.
    let mut next = Stack::new(config(0, false), wire.now).unwrap();
    let handle = next.import(wire.now, &state).unwrap();
    assert_eq!(next.export(handle).as_ref(), Ok(&state));
}

/// A given link-local address is used, and no other is made.
#[test]
fn a_given_link_local_address_is_the_one() {
    let own = [("fe80::1", 0), ("fe80::2", 1)].map(|(own, end)| {
        let mut config = config(end, false);
        config.addresses.push((own.parse().unwrap(), 64));
        config
    });
    let mut wire = Wire::new(own, Crossing::Wire, 3);
    let handles = connect(&mut wire, "fe80::2");
    transfer(&mut wire, handles, [1000, 1000]);
    let local = wire.ends[0].export(handles[0]).unwrap().local;
    assert_eq!(local.ip().to_string(), "fe80::1");
    let absent = SocketAddr::new(MADE[1].parse().unwrap(), PORT);
    let absent = wire.ends[0].connect(absent, wire.now).unwrap();
    for _ in 0..1000 {
        wire.step();
    }
    assert_ne!(wire.ends[0].state(absent), State::Open);
}

/// Global addresses are reached as before.
#[test]
fn other_peers_are_spoken_to_from_the_address_of_their_network() {
    let mut wire = Wire::new([config(0, false), config(1, false)], Crossing::Wire, 3);
    let handles = open(&mut wire, true);
    transfer(&mut wire, handles, [1000, 1000]);
    let local = wire.ends[0].export(handles[0]).unwrap().local;
    assert_eq!(local.ip().to_string(), "fd07::1");
}
