//! Logins directly on a connection: stages, negotiation, identity.

use std::time::Duration;

use crate::client::{Change, Client, INITIATOR, INTRODUCTION, NAME, keys, target_of, unit, value};
use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::LoginRequest;
use vcp_iscsi_proto::{Isid, TargetPdu};
use vcp_target::End;
use vcp_target::chap::{Chap, Credentials};
use vcp_target::config::{DigestPolicy, Redirect};

const FULL: Option<Stage> = Some(Stage::FullFeature);

#[test]
fn negotiates_in_one_round() {
    let target = target_of(&unit(1 << 20), |c| c.policy.max_recv_data_segment = 65536);
    let mut client = Client::direct(&target);
    let answer = client.login(&[
        ("SessionType", "Normal"),
        ("MaxRecvDataSegmentLength", "16384"),
        ("InitialR2T", "No"),
        ("HeaderDigest", "None"),
        ("X-example", "1"),
    ]);
    assert_eq!(value(&answer, "MaxRecvDataSegmentLength"), Some("65536"));
    assert_eq!(value(&answer, "InitialR2T"), Some("No"));
    assert_eq!(value(&answer, "TargetPortalGroupTag"), Some("1"));
    assert_eq!(value(&answer, "X-example"), Some("NotUnderstood"));
    assert_eq!(value(&answer, "SessionType"), None);
    let sessions = target.sessions();
    assert_eq!(
        (sessions.len(), sessions[0].initiator.as_str()),
        (1, INITIATOR)
    );
    assert!(target.violations().is_empty(), "{:?}", target.violations());
}

#[test]
fn any_fragmentation_will_do() {
    for pieces in [1, 2, 3, 47, 49, 100] {
        let target = target_of(&unit(1 << 20), |_| ());
        let mut client = Client::direct(&target);
        client.transport.pieces = pieces;
        client.login(&[]);
        let data = crate::client::pattern(20 * 512);
        assert_eq!(client.write_all(3, &data), 0);
        assert_eq!(client.read_all(3, 20), (data, 0));
        assert!(target.violations().is_empty(), "{:?}", target.violations());
    }
}

#[test]
fn security_stage_without_authentication() {
    let target = target_of(&unit(1 << 20), |_| ());
    let mut client = Client::direct(&target);
    let pairs = [&INTRODUCTION[..], &[("AuthMethod", "CHAP,None")]].concat();
    let (response, answer) = client.login_round(Stage::Security, Some(Stage::Operational), &pairs);
    assert_eq!(response.transit, Some(Stage::Operational));
    assert_eq!(value(&answer, "AuthMethod"), Some("None"));
    let (response, _) = client.login_round(Stage::Operational, FULL, &[("ImmediateData", "Yes")]);
    assert!(response.transit == FULL && response.tsih != 0);
}

#[test]
fn answers_come_in_rounds_and_pieces() {
    let target = target_of(&unit(1 << 20), |c| {
        c.policy.keys_per_round = Some(1);
        c.policy.reverse_keys = true;
        c.policy.text_piece = Some(10);
        c.policy.delay_transit = true;
    });
    let mut client = Client::direct(&target);
    let pairs = [
        &INTRODUCTION[..],
        &[("InitialR2T", "Yes"), ("MaxBurstLength", "8192")],
    ]
    .concat();
    let text = keys(&pairs);
    client.send(client.login_request(Stage::Operational, FULL, &text), &text);
    let (mut said, mut rounds) = (Vec::new(), 0);
    loop {
        let Some((TargetPdu::LoginResponse(response), data)) = client.next() else {
            panic!()
        };
        assert_eq!(response.status, LoginStatus::Success);
        assert!(data.len() <= 10);
        said.extend(data);
        if response.transit == FULL {
            break;
        }
        rounds += 1;
        client.send(client.login_request(Stage::Operational, FULL, b""), b"");
    }
    let said = crate::client::parse(&said);
    assert!(rounds > 5);
    let position = |key: &str| said.iter().position(|(k, _)| k == key).unwrap();
    assert!(position("MaxBurstLength") < position("InitialR2T"));
    assert!(target.violations().is_empty(), "{:?}", target.violations());
}

#[test]
fn text_of_the_initiator_may_be_continued() {
    let target = target_of(&unit(1 << 20), |_| ());
    let mut client = Client::direct(&target);
    let text = keys(&INTRODUCTION);
    let (first, second) = text.split_at(20);
    let mut request = client.login_request(Stage::Operational, None, first);
    request.is_continued = true;
    client.send(request, first);
    let (response, answer) = client.login_answer();
    assert!(answer.is_empty() && response.transit.is_none() && !response.is_continued);
    client.send(
        client.login_request(Stage::Operational, FULL, second),
        second,
    );
    assert_eq!(client.login_answer().0.transit, FULL);
}

#[test]
fn offers_of_the_target_want_an_answer() {
    let target = target_of(&unit(1 << 20), |c| {
        c.policy.header_digest = DigestPolicy::Required;
        c.policy.extra_keys = vec!["X-target.example=7".into()];
    });
    let mut client = Client::direct(&target);
    let (response, answer) = client.login_round(Stage::Operational, FULL, &INTRODUCTION);
    assert_eq!(response.transit, None);
    assert_eq!(value(&answer, "HeaderDigest"), Some("CRC32C"));
    assert_eq!(value(&answer, "X-target.example"), Some("7"));
    let answers = [
        ("HeaderDigest", "CRC32C"),
        ("X-target.example", "NotUnderstood"),
    ];
    let (response, answer) = client.login_round(Stage::Operational, FULL, &answers);
    assert_eq!((response.transit, answer.len()), (FULL, 0));

    let mut mute = Client::direct(&target);
    mute.login_round(Stage::Operational, FULL, &INTRODUCTION);
    let (response, _) = mute.login_round(Stage::Operational, FULL, &[]);
    assert_eq!(response.status, LoginStatus::InitiatorError);
    assert!(target.violations()[0].text.contains("was not answered"));
}

#[test]
fn chap_is_asked_for() {
    let chap = Chap::new(Credentials::new("user", "a secret of 16 b"));
    let target = target_of(&unit(1 << 20), |c| c.chap = Some(chap.clone()));
    let mut client = Client::direct(&target);
    let (response, _) = client.login_round(Stage::Operational, FULL, &INTRODUCTION);
    assert_eq!(response.status, LoginStatus::AuthenticationFailure);
    assert!(matches!(client.end(), Some(End::LoginFailed(_))));

    for method in ["None", ""] {
        let mut client = Client::direct(&target);
        let offer = [("AuthMethod", method)];
        let offer = if method.is_empty() { &[][..] } else { &offer };
        let pairs = [&INTRODUCTION[..], offer].concat();
        // The initiator skips the stage in which it would have to authenticate itself.
        let (response, _) = client.login_round(Stage::Security, FULL, &pairs);
        assert_eq!(
            response.status,
            LoginStatus::AuthenticationFailure,
            "{method}"
        );
    }

    let mut client = Client::direct(&target);
    let pairs = [&INTRODUCTION[..], &[("AuthMethod", "CHAP")]].concat();
    let (response, answer) = client.login_round(Stage::Security, Some(Stage::Operational), &pairs);
    assert_eq!(
        (response.transit, value(&answer, "AuthMethod")),
        (None, Some("CHAP"))
    );
    let (_, answer) = client.login_round(Stage::Security, None, &[("CHAP_A", "7,5")]);
    assert_eq!(value(&answer, "CHAP_A"), Some("7"));
    let wrong = [("CHAP_N", "user"), ("CHAP_R", "0x0102")];
    let (response, _) = client.login_round(Stage::Security, FULL, &wrong);
    assert_eq!(response.status, LoginStatus::AuthenticationFailure);
    assert!(target.sessions().is_empty());
}

#[test]
fn nodes_are_found_or_have_moved() {
    let target = target_of(&unit(1 << 20), |_| ());
    let status = |name: &str| {
        let pairs = [("InitiatorName", INITIATOR), ("TargetName", name)];
        let (response, answer) =
            Client::direct(&target).login_round(Stage::Operational, FULL, &pairs);
        (
            response.status,
            value(&answer, "TargetAddress").map(str::to_owned),
        )
    };
    assert_eq!(
        status("iqn.2026-11.example:other"),
        (LoginStatus::NotFound, None)
    );
    let address = || "192.0.2.9:3261".to_owned();
    for (permanent, moved) in [
        (true, LoginStatus::TargetMovedPermanently),
        (false, LoginStatus::TargetMovedTemporarily),
    ] {
        target.redirect(
            NAME,
            Some(Redirect {
                address: address(),
                permanent,
            }),
        );
        assert_eq!(status(NAME), (moved, Some(address())));
    }
    target.redirect(NAME, None);
    assert_eq!(status(NAME).0, LoginStatus::Success);
}

#[test]
fn discovery_lists_targets_and_nothing_else() {
    let target = target_of(&unit(1 << 20), |c| c.policy.text_piece = Some(40));
    let mut client = Client::direct(&target);
    let pairs = [("InitiatorName", INITIATOR), ("SessionType", "Discovery")];
    client.login_round(Stage::Operational, FULL, &pairs);
    let text = keys(&[("SendTargets", "All")]);
    let mut request = client.text_request(&text);
    client.send(request, &text);
    let mut said = Vec::new();
    loop {
        let Some((TargetPdu::TextResponse(response), data)) = client.next() else {
            panic!()
        };
        said.extend(data);
        if response.is_final {
            break;
        }
        assert!(response.is_continued);
        let next = client.text_request(b"");
        request = vcp_iscsi_proto::pdu::TextRequest {
            itt: request.itt,
            ttt: response.ttt,
            ..next
        };
        client.send(request, b"");
    }
    let said = crate::client::parse(&said);
    assert_eq!(value(&said, "TargetName"), Some(NAME));
    assert_eq!(value(&said, "TargetAddress"), Some("192.0.2.1:3260,1"));
    assert!(target.violations().is_empty(), "{:?}", target.violations());
    let command = client.read(0, 1);
    client.send(command, b"");
    assert!(matches!(client.next(), Some((TargetPdu::Reject(_), _))));
    assert!(target.violations()[0].text.contains("discovery session"));
}

#[test]
fn a_second_login_takes_the_place_of_the_first() {
    let target = target_of(&unit(1 << 20), |_| ());
    let mut first = Client::ready(&target, &[]);
    let mut other = Client::direct(&target);
    other.isid = Isid::random(2, 2);
    other.login(&[]);
    let second = Client::ready(&target, &[]);
    first.transport.advance(Duration::ZERO);
    assert_eq!(first.end(), Some(&End::Reinstated));
    assert!(other.end().is_none() && second.end().is_none());
    assert_eq!(target.sessions().len(), 2);
    drop(first);
    assert_eq!(target.sessions().len(), 2);
    drop((second, other));
    assert!(target.sessions().is_empty());
}

#[test]
fn rules_of_the_login_header() {
    let cases: [(&str, Change<LoginRequest>); 5] = [
        ("ITT changed", |r| r.itt = 9),
        ("ISID or TSIH", |r| r.isid = Isid::random(8, 8)),
        ("CmdSN changed", |r| r.sn.cmd_sn.0 += 1),
        ("CID changed", |r| r.cid = 1),
        ("CSG is not", |r| r.stage = Stage::Security),
    ];
    for (rule, change) in cases {
        let target = target_of(&unit(1 << 20), |_| ());
        let mut client = Client::direct(&target);
        client.login_round(Stage::Operational, None, &INTRODUCTION);
        let mut request = client.login_request(Stage::Operational, None, b"");
        change(&mut request);
        client.send(request, b"");
        assert_eq!(client.login_answer().0.status, LoginStatus::InitiatorError);
        assert!(
            target.violations()[0].text.contains(rule),
            "{:?}",
            target.violations()
        );
    }
}

#[test]
fn nonsense_is_refused() {
    let target = target_of(&unit(1 << 20), |_| ());
    let bad: [&[(&str, &str)]; 4] = [
        &[("InitiatorName", INITIATOR)],
        &[("TargetName", NAME)],
        &[("InitiatorName", "nobody"), ("TargetName", NAME)],
        &[
            ("InitiatorName", INITIATOR),
            ("TargetName", NAME),
            ("TargetName", NAME),
        ],
    ];
    for pairs in bad {
        let (response, _) = Client::direct(&target).login_round(Stage::Operational, FULL, pairs);
        assert_eq!(response.status.class(), 2, "{pairs:?}");
    }
    let mut early = Client::direct(&target);
    let command = early.read(0, 1);
    early.send(command, b"");
    assert!(matches!(early.end(), Some(End::Violation(_))));
    let mut late = Client::direct(&target);
    late.transport.advance(Duration::from_secs(3600));
    assert_eq!(late.end(), Some(&End::TimedOut("login")));
    assert!(target.violations().len() >= 5);
}
