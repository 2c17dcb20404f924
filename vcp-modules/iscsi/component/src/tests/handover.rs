//! Successive versions on one session: no new login, no lost byte.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use vcp_sdk::{Handover, Processor};

use vcp_target::config::{DigestPolicy, TargetConfig};

use super::lab::{Lab, instance, nothing, target};
use super::network::Way;

const DIGESTS: [(&str, &str); 2] = [("header-digest", "crc32c"), ("data-digest", "crc32c")];

/// Replaces the VCP many times under load, and checks that there was only one login.
fn many(way: Way, keys: &[(&str, &str)]) -> Lab {
    let mut lab = Lab::ready(way, keys);
    for round in 0..200 {
        for _ in 0..round % 17 {
            lab.busy();
        }
        lab.hand_over();
    }
    lab.drain();
    lab.assert_one_session();
    assert!(lab.load.done > 5_000, "{}", lab.load.done);
    lab
}

#[test]
fn two_hundred_versions_on_one_session_over_frames() {
    many(Way::frames(false), &[]);
    many(Way::frames(true), &DIGESTS);
}

/// Digests that only the target required stay in use.
#[test]
fn versions_at_a_target_that_insists_on_digests() {
    let insists = |config: &mut TargetConfig| {
        config.policy.header_digest = DigestPolicy::Required;
        config.policy.data_digest = DigestPolicy::Required;
    };
    for way in [Way::frames(true), Way::streams()] {
        let mut lab = Lab::at(target(insists), way, &[]).served();
        for _ in 0..20 {
            lab.busy();
            lab.busy();
            lab.hand_over();
        }
        lab.drain();
        lab.assert_one_session();
    }
}

#[test]
fn two_hundred_versions_on_one_session_over_streams() {
    let mut lab = many(Way::streams(), &DIGESTS);
    // All sent bytes came back as credit, whichever version had sent them.
    for _ in 0..4 {
        lab.call(Vec::new());
    }
    let (transport, _) = lab.vcp.inside();
    let held = format!("{:?}", transport.hold().unwrap());
    assert_eq!(held, "Streams { stream: 1, credit: 1048576 }");
}

#[test]
fn what_the_target_says_meanwhile_is_answered_by_the_successor() {
    for way in [Way::frames(false), Way::streams()] {
        let mut lab = Lab::ready(way, &[]);
        let state = lab.snapshot();
        // The ping stays on the link or with the host.
        lab.target.ping();
        if let Way::Frames(way) = &mut lab.way {
            way.serve(lab.now, &lab.target);
        }
        lab.resume(&state);
        lab.drain();
        // Without an answer the connection would have ended by now.
        lab.now += 6_000_000_000;
        for _ in 0..20 {
            lab.busy();
        }
        lab.drain();
        lab.assert_one_session();
    }
}

#[test]
fn nothing_is_handed_over_while_a_request_is_under_way() {
    let mut lab = Lab::ready(Way::frames(false), &[]);
    lab.busy();
    assert!(lab.load.outstanding() > 0);
    let why = lab.vcp.snapshot(lab.now).unwrap_err();
    assert!(why.contains("under way"), "{why}");
    lab.hand_over();
    lab.drain();
    lab.assert_one_session();
}

#[test]
fn without_the_state_the_successor_logs_in_again() {
    let mut lab = Lab::ready(Way::frames(false), &[]);
    let _unused = lab.snapshot();
    lab.vcp = lab.next();
    lab.until(|lab| !lab.notices.is_empty());
    let sessions = lab.target.sessions();
    let handles: Vec<_> = sessions.iter().map(|session| session.tsih).collect();
    assert_eq!(handles, [2]);
}

#[test]
fn every_truncated_or_changed_state_is_harmless() {
    for way in [Way::frames(false), Way::streams()] {
        let mut lab = Lab::ready(way, &[]);
        let state = lab.snapshot();
        for length in 0..state.len() {
            let why = lab.next().restore(lab.now, &state[..length]).unwrap_err();
            assert!(!why.is_empty() && !why.contains('\n'), "{why:?}");
        }
        let long = [&state[..], &[0]].concat();
        assert!(lab.next().restore(lab.now, &long).is_err());
        for bit in 0..state.len() * 8 {
            let mut state = state.clone();
            state[bit / 8] ^= 1 << (bit % 8);
            let mut next = lab.next();
            if next.restore(lab.now, &state).is_ok() {
                for step in 1..4 {
                    next.process(&nothing(lab.now + step * 10_000_000_000));
                }
            }
        }
    }
}

#[test]
fn a_state_from_elsewhere_is_refused_in_one_line() {
    let mut lab = Lab::ready(Way::frames(false), &[]);
    let state = lab.snapshot();
    let refused = |way: &Way, key: &str, value: &str| {
        let mut config = lab.config.clone();
        config.retain(|(other, _)| other != key);
        config.push((key.to_string(), value.to_string()));
        let mut next = instance(2, &config, way).unwrap();
        next.restore(lab.now, &state).unwrap_err()
    };
    let frames = Way::frames(false);
    let why = refused(&frames, "lun", "1");
    assert!(why.contains("another configuration"), "{why}");
    let why = refused(&Way::streams(), "lun", "0");
    assert!(why.contains("another kind of network"), "{why}");
    let why = lab.next().restore(lab.now, b"\x7fELF").unwrap_err();
    assert_eq!(why, "not the state of an iSCSI disk");
}

#[test]
fn only_a_disk_with_a_session_has_something_to_hand_over() {
    let mut lab = Lab::new(Way::frames(false), &[]);
    assert!(lab.vcp.snapshot(lab.now).is_err());
    lab.call(Vec::new());
    assert!(lab.vcp.snapshot(lab.now).is_err());
    let look = [("portal", "10.0.0.1"), ("discover", "true")];
    let look = look.map(|(key, value)| (key.to_string(), value.to_string()));
    let mut look = instance(1, &look, &lab.way).unwrap();
    assert!(look.snapshot(lab.now).is_err());
    look.process(&nothing(lab.now));
    let why = look.snapshot(lab.now).unwrap_err();
    assert!(why.contains("look for targets"), "{why}");
}
