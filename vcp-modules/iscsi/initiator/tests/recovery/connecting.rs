//! Portals that cannot be reached or do not answer, and logins that are refused.

use vcp_iscsi_initiator::{Action, Initiator};
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::{InitiatorPdu, Reject, RejectReason, TargetPdu};
use vcp_iscsi_proto::{BHS_LEN, RESERVED_TAG};

use crate::pair::*;

#[test]
fn refused_before_the_first_ready_is_the_end() {
    let mut pair = Pair::plain();
    pair.reachable = false;
    pair.run();
    let line = pair.failed().unwrap();
    assert_eq!(
        line,
        "target iqn.2026-11.example:disk at 10.0.0.1:3260: cannot connect: connection refused"
    );
    assert_eq!(pair.initiator.next_deadline(), None);
}

#[test]
fn unreachable_before_the_first_ready_is_the_end() {
    let mut initiator = Initiator::new(config(&[("login-timeout", "3s")]), [1; 32], 0);
    assert!(matches!(
        initiator.poll_action(),
        Some(Action::Connect { .. })
    ));
    assert_eq!(initiator.next_deadline(), Some(3 * SECOND));
    initiator.handle_timeout(3 * SECOND);
    assert_eq!(initiator.poll_action(), Some(Action::Close { abort: true }));
    let Some(Action::Failed(line)) = initiator.poll_action() else {
        panic!("not failed")
    };
    assert!(
        line.ends_with("cannot connect: no answer within 3000 ms"),
        "{line}"
    );
}

#[test]
fn silent_target_during_login_is_the_end() {
    let mut pair = Pair::plain();
    pair.peer.intercept = Some(Box::new(|_, _, _| true));
    pair.run_for(16 * SECOND);
    assert!(pair.failed().unwrap().contains("no answer to the login"));
}

#[test]
fn silent_unit_is_the_end() {
    let mut pair = Pair::plain();
    pair.peer.intercept = Some(Box::new(|_, pdu, _| {
        matches!(pdu, InitiatorPdu::ScsiCommand(_))
    }));
    pair.run_for(16 * SECOND);
    assert!(
        pair.failed()
            .unwrap()
            .contains("no answer from the logical unit")
    );
}

fn login_status(status: LoginStatus) -> Pair {
    let mut pair = Pair::plain();
    pair.peer.mangle = Some(Box::new(move |pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.status = status;
        }
        true
    }));
    pair
}

#[test]
fn refused_login_says_why() {
    for (status, why) in [
        (LoginStatus::NotFound, "there is no such target here"),
        (
            LoginStatus::AuthenticationFailure,
            "authentication failure; check user and password",
        ),
        (LoginStatus::AuthorizationFailure, "authorization failure"),
        (LoginStatus::TargetRemoved, "target removed"),
    ] {
        let mut pair = login_status(status);
        pair.run();
        let line = pair.failed().unwrap();
        assert!(line.contains(why), "{line}");
        assert!(
            line.contains("iqn.2026-11.example:disk at 10.0.0.1:3260"),
            "{line}"
        );
    }
}

#[test]
fn busy_target_is_tried_again() {
    let mut pair = login_status(LoginStatus::ServiceUnavailable);
    pair.run_for(SECOND);
    assert_eq!(pair.failed(), None);
    assert!(pair.peer.logins > 2);
    pair.peer.mangle = None;
    pair.run_for(6 * SECOND);
    pair.geometry();

    let mut pair = login_status(LoginStatus::OutOfResources);
    pair.run_for(30 * SECOND);
    assert!(pair.failed().unwrap().contains("out of resources"));
}

/// A pair that is redirected once, by the first portal.
fn moved(status: LoginStatus) -> Pair {
    let mut pair = Pair::plain();
    let mut done = false;
    pair.peer.mangle = Some(Box::new(move |pdu, data| {
        if let TargetPdu::LoginResponse(response) = pdu
            && !core::mem::replace(&mut done, true)
        {
            response.status = status;
            *data = b"TargetAddress=10.0.0.2:3261,1\0".to_vec();
            response.data_len = data.len() as u32;
        }
        true
    }));
    pair.ready()
}

#[test]
fn temporary_redirection_holds_for_one_connection() {
    let mut pair = moved(LoginStatus::TargetMovedTemporarily);
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    let ports: Vec<u16> = pair.connects.iter().map(|a| a.port()).collect();
    assert_eq!(ports, [3260, 3261, 3260]);
}

/// Portals may be in different groups; each must stay in its own.
#[test]
fn portals_of_different_groups() {
    let mut pair = moved(LoginStatus::TargetMovedTemporarily);
    pair.cut("reset by peer");
    pair.peer.settings.portal_group = Some(7);
    pair.run_for(SECOND);
    assert_eq!(pair.readies(), 2);
}

#[test]
fn permanent_redirection_is_remembered() {
    let mut pair = moved(LoginStatus::TargetMovedPermanently);
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    let ports: Vec<u16> = pair.connects.iter().map(|a| a.port()).collect();
    assert_eq!(ports, [3260, 3261, 3261]);
}

/// A permanent redirection can be undone: a dead portal can't redirect any further.
#[test]
fn permanent_redirection_to_a_dead_portal_is_undone() {
    let mut pair = moved(LoginStatus::TargetMovedPermanently);
    let there = *pair.connects.last().unwrap();
    pair.dead = Some(there);
    pair.connects.clear();
    pair.cut("reset by peer");
    pair.run_for(10 * SECOND);
    let ports: Vec<u16> = pair.connects.iter().map(|a| a.port()).collect();
    assert_eq!(ports, [3261, 3261, 3261, 3261, 3260]);
    assert_eq!(pair.readies(), 2);
    // It is the configured portal from then on.
    pair.dead = None;
    pair.connects.clear();
    pair.cut("reset by peer");
    pair.run_for(10 * SECOND);
    assert_eq!(pair.connects.first().map(|a| a.port()), Some(3260));
}

/// Either portal may come back first.
#[test]
fn a_portal_that_was_moved_to_is_asked_as_well_as_the_configured_one() {
    let mut pair = moved(LoginStatus::TargetMovedPermanently);
    pair.reachable = false;
    pair.connects.clear();
    pair.cut("reset by peer");
    pair.run_for(60 * SECOND);
    let ports: Vec<u16> = pair.connects.iter().map(|a| a.port()).collect();
    let (first, then) = ports.split_at(4);
    assert_eq!(first, [3261; 4]);
    let turns = [3260, 3261];
    assert!(then.len() > 6, "{ports:?}");
    assert!(
        then.iter().zip(turns.iter().cycle()).all(|(a, b)| a == b),
        "{ports:?}"
    );
    pair.reachable = true;
    pair.dead = Some("10.0.0.1:3260".parse().unwrap());
    pair.run_for(15 * SECOND);
    assert_eq!(pair.readies(), 2);
    assert_eq!(pair.connects.last().map(|a| a.port()), Some(3261));
}

#[test]
fn redirection_in_a_circle_ends() {
    let mut pair = login_status(LoginStatus::TargetMovedTemporarily);
    pair.peer.mangle = Some(Box::new(|pdu, data| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.status = LoginStatus::TargetMovedTemporarily;
            *data = b"TargetAddress=10.0.0.2:3261,1\0".to_vec();
            response.data_len = data.len() as u32;
        }
        true
    }));
    pair.run_for(SECOND);
    assert!(pair.failed().unwrap().contains("from portal to portal"));
    assert_eq!(pair.connects.len(), 5);
}

#[test]
fn session_without_a_tsih_is_refused() {
    let mut pair = Pair::plain();
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.tsih = 0;
        }
        true
    }));
    pair.run();
    assert!(pair.failed().unwrap().contains("TSIH"));
}

#[test]
fn login_response_for_someone_else_is_refused() {
    for change in [0, 1] {
        let mut pair = Pair::plain();
        pair.peer.mangle = Some(Box::new(move |pdu, _| {
            if let TargetPdu::LoginResponse(response) = pdu {
                match change {
                    0 => response.itt += 1,
                    _ => response.isid.0[5] ^= 1,
                }
            }
            true
        }));
        pair.run();
        assert!(pair.failed().unwrap().contains("someone else"));
    }
}

#[test]
fn login_status_numbers_are_checked() {
    let mut pair = Pair::plain();
    let mut count = 0;
    pair.peer.mangle = Some(Box::new(move |pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            count += 1;
            if count == 2 {
                response.sn.stat_sn = response.sn.stat_sn.add(1);
            }
        }
        true
    }));
    pair.run();
    assert!(pair.failed().unwrap().contains("StatSN"));
}

#[test]
fn other_pdus_during_the_login_end_it() {
    for rejected in [None, Some(0x43), Some(0x40)] {
        let mut pair = Pair::plain();
        pair.peer.intercept = Some(Box::new(move |peer, _, _| {
            let sn = peer.status();
            let Some(opcode) = rejected else {
                peer.echo(RESERVED_TAG);
                return true;
            };
            let mut header = [0; BHS_LEN];
            header[0] = opcode;
            let reason = RejectReason::ProtocolError;
            peer.send(
                Reject {
                    reason,
                    data_len: 0,
                    sn,
                    data_sn: 0,
                },
                &header,
            );
            true
        }));
        pair.run();
        let line = pair.failed().unwrap();
        assert!(line.contains("during login"), "{line}");
    }
}
