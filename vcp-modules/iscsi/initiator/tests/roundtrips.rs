//! How often the wire is crossed before requests are served: what a client feels of
//! a recovery.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Action, Initiator};
use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::{InitiatorPdu, LoginResponse};
use vcp_iscsi_proto::scsi::{Asc, SenseKey};

fn pair(settings: Settings, disk: Disk) -> Pair {
    Pair::new(config(&[]).with_predecessor(true), settings, disk)
}

fn disk() -> Disk {
    Disk::new(512, 1 << 20)
}

/// From `connected` to `Ready`: all that the initiator has to send goes out, all that
/// the target answers comes in, and so on.
fn round_trips(pair: &mut Pair) -> u32 {
    assert!(matches!(
        pair.initiator.poll_action(),
        Some(Action::Connect { .. })
    ));
    pair.peer.accept();
    pair.initiator.connected(pair.now);
    let mut buffer = vec![0; 1 << 16];
    for trips in 1..100 {
        let count = pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
        assert!(count > 0, "nothing to say");
        pair.peer.receive(&buffer[..count]);
        let bytes: Vec<u8> = pair.peer.out.drain(..).collect();
        pair.initiator.receive(pair.now, &bytes, &mut pair.memory);
        while let Some(action) = pair.initiator.poll_action() {
            match action {
                Action::Ready(_) => return trips,
                Action::Log { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("never ready");
}

#[test]
fn login_and_survey_take_one_each() {
    assert_eq!(round_trips(&mut pair(Settings::default(), disk())), 2);
}

#[test]
fn attention_after_a_reset_costs_nothing() {
    let mut unit = disk();
    unit.attention = vec![(SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET)];
    assert_eq!(round_trips(&mut pair(Settings::default(), unit)), 2);
    // Each of the others makes one command go again, all at the same time.
    let mut unit = disk();
    unit.attention = vec![(SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET); 3];
    assert_eq!(round_trips(&mut pair(Settings::default(), unit)), 3);
}

#[test]
fn only_what_is_not_answered_is_asked_in_another_way() {
    let mut old = disk();
    // Neither READ CAPACITY (16) nor MODE SENSE (6).
    old.unknown = vec![0x9e, 0x1a];
    assert_eq!(round_trips(&mut pair(Settings::default(), old)), 3);
}

#[test]
fn narrow_window_is_kept_to() {
    let settings = Settings {
        window: 1,
        ..Settings::default()
    };
    assert_eq!(round_trips(&mut pair(settings, disk())), 11);
    let settings = Settings {
        window: 4,
        ..Settings::default()
    };
    assert_eq!(round_trips(&mut pair(settings, disk())), 4);
}

/// Refuses logins that do not begin with the security stage.
fn insist(pair: &mut Pair, status: LoginStatus) {
    pair.peer.intercept = Some(Box::new(move |peer, pdu, data| {
        let InitiatorPdu::LoginRequest(request) = pdu else {
            return false;
        };
        let first = data.starts_with(b"InitiatorName=");
        if !first || request.stage == Stage::Security {
            return false;
        }
        let sn = peer.status();
        peer.send(
            LoginResponse {
                transit: None,
                is_continued: false,
                stage: request.stage,
                version_max: 0,
                version_active: 0,
                data_len: 0,
                isid: request.isid,
                tsih: 0,
                itt: request.itt,
                sn,
                status,
            },
            &[],
        );
        true
    }));
}

/// A target that insists on a security stage gets one, on a second connection, and
/// from then on; from the next version of the initiator too.
#[test]
fn security_stage_where_it_is_wanted() {
    for status in [
        LoginStatus::InitiatorError,
        LoginStatus::AuthenticationFailure,
        LoginStatus::MissingParameter,
        LoginStatus::InvalidDuringLogin,
    ] {
        let mut pair = Pair::plain();
        insist(&mut pair, status);
        let mut pair = pair.ready();
        assert_eq!(pair.connects.len(), 2);
        pair.cut("reset by peer");
        pair.run_for(SECOND);
        let snapshot = pair.initiator.snapshot(pair.now).unwrap();
        pair.initiator = Initiator::resume(config(&[]), [9; 32], pair.now, snapshot).unwrap();
        pair.cut("reset by peer");
        pair.run_for(SECOND);
        assert_eq!((pair.connects.len(), pair.failed()), (4, None));
        let stages = pair.peer.seen.iter().filter_map(|pdu| match pdu {
            InitiatorPdu::LoginRequest(login) => Some(login.stage),
            _ => None,
        });
        use Stage::{Operational, Security};
        let both = [Security, Operational];
        let expected = [&[Operational][..], &both, &both, &both].concat();
        assert_eq!(stages.collect::<Vec<_>>(), expected);
    }
}

/// What has nothing to do with the stage is not tried twice.
#[test]
fn other_refusals_are_final() {
    for status in [
        LoginStatus::NotFound,
        LoginStatus::AuthorizationFailure,
        LoginStatus::TargetRemoved,
    ] {
        let mut pair = Pair::plain();
        insist(&mut pair, status);
        pair.run();
        assert!(pair.failed().is_some());
        assert_eq!(pair.connects.len(), 1);
    }
}

/// Nor is a negotiation that fails, whatever the stage.
#[test]
fn failed_negotiation_is_final() {
    let config = config(&[("header-digest", "crc32c")]);
    let mut pair = Pair::new(config, Settings::default(), disk());
    pair.run();
    assert!(pair.failed().unwrap().contains("HeaderDigest"));
    assert_eq!(pair.connects.len(), 1);
}
