//! The first request, the stages, and how a login ends.

use std::format;

use super::*;

#[test]
fn first_request_says_who_and_what() {
    let play = play(&[]);
    assert_eq!(
        play.value("InitiatorName"),
        Some("iqn.2026-11.example.vcp:initiator")
    );
    assert_eq!(play.value("TargetName"), Some("iqn.2026-11.example:disk"));
    assert_eq!(play.value("SessionType"), Some("Normal"));
    assert_eq!(play.value("AuthMethod"), Some("None"));
    assert_eq!(play.transit, Some(Stage::Operational));
}

#[test]
fn discovery_offers_only_what_has_a_meaning() {
    let config = Config::parse_discovery([("portal", "10.0.0.1")]).unwrap();
    let challenge = Challenge {
        identifier: 1,
        bytes: OURS,
    };
    let mut login = Login::new(&config, true, challenge, None);
    let first = String::from_utf8(login.request().text).unwrap();
    assert!(first.contains("SessionType=Discovery\0") && !first.contains("TargetName"));
    let mut play = Play {
        login,
        stage: Stage::Security,
        transit: Some(Stage::Operational),
        text: first,
    };
    play.tell(true, "AuthMethod=None\0");
    assert_eq!(play.value("MaxBurstLength"), None);
    assert_eq!(play.value("HeaderDigest"), Some("None,CRC32C"));
    assert_eq!(play.value("ErrorRecoveryLevel"), Some("0"));
    play.done("HeaderDigest=None\0MaxBurstLength=Irrelevant\0");
}

#[test]
fn stages_are_not_skipped() {
    let mut ahead = play(&[]);
    let response = ahead.response(Some(Stage::FullFeature), false);
    violation(ahead.login.response(&response, b"AuthMethod=None\0"));

    let mut wrong = play(&[]);
    let mut response = wrong.response(None, false);
    response.stage = Stage::Operational;
    violation(wrong.login.response(&response, b""));

    let mut unasked = play(&CHAP);
    assert_eq!(unasked.transit, None);
    let response = unasked.response(Some(Stage::Operational), false);
    violation(unasked.login.response(&response, b"AuthMethod=CHAP\0"));
}

#[test]
fn unknown_version_is_refused() {
    let mut play = play(&[]);
    let mut response = play.response(play.transit, false);
    response.version_active = 1;
    violation(play.login.response(&response, b"AuthMethod=None\0"));
}

#[test]
fn refusals_carry_their_status() {
    let mut play = play(&[]);
    let mut response = play.response(None, false);
    response.status = LoginStatus::NotFound;
    let result = play.login.response(&response, b"");
    assert_eq!(result, Err(LoginError::Refused(LoginStatus::NotFound)));
}

#[test]
fn redirections_name_an_address() {
    let redirect = |text: &str| {
        let mut play = play(&[]);
        let mut response = play.response(None, false);
        response.status = LoginStatus::TargetMovedTemporarily;
        play.login.response(&response, text.as_bytes())
    };
    let moved = |text: &str| redirect(&format!("TargetAddress={text}\0"));
    let at = |address: &str| Ok(Outcome::Moved(address.parse().unwrap()));
    assert_eq!(moved("10.0.0.2:3261,1"), at("10.0.0.2:3261"));
    assert_eq!(moved("10.0.0.2"), at("10.0.0.2:3260"));
    assert_eq!(moved("[fe80::2]:3261,1"), at("[fe80::2]:3261"));
    assert_eq!(moved("[fe80::2],1"), at("[fe80::2]:3260"));
    assert!(violation(moved("storage.example:3260,1")).contains("storage.example"));
    violation(moved("10.0.0.2:0"));
    violation(redirect(""));
}
