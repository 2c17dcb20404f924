//! CHAP, one-way and mutual.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::format;

use vcp_iscsi_proto::chap::{self, Algorithm};

use super::*;

/// Plays CHAP up to our response; returns it.
fn answer_chap(play: &mut Play, algorithm: Algorithm) -> String {
    assert_eq!(play.value("AuthMethod"), Some("CHAP"));
    play.tell(false, "AuthMethod=CHAP\0TargetPortalGroupTag=1\0");
    assert_eq!(play.value("CHAP_A"), Some("7,5"));
    let challenge = chap::challenge_text(b"a challenge");
    play.tell(
        false,
        &format!(
            "CHAP_A={}\0CHAP_I=42\0CHAP_C={challenge}\0",
            algorithm.number()
        ),
    );
    assert_eq!(play.value("CHAP_N"), Some("me"));
    let expected = algorithm
        .respond(42, b"secret-of-mine", b"a challenge")
        .to_text();
    assert_eq!(play.value("CHAP_R"), Some(expected.as_str()));
    assert_eq!(play.transit, Some(Stage::Operational));
    expected
}

#[test]
fn chap_one_way() {
    for algorithm in Algorithm::ALL {
        let mut play = play(&CHAP);
        answer_chap(&mut play, algorithm);
        assert_eq!(play.value("CHAP_C"), None);
        play.tell(true, "");
        assert_eq!(play.stage, Stage::Operational);
    }
}

#[test]
fn chap_mutual() {
    for algorithm in Algorithm::ALL {
        let mut play = play(&MUTUAL);
        answer_chap(&mut play, algorithm);
        assert_eq!(play.value("CHAP_I"), Some("5"));
        assert_eq!(
            play.value("CHAP_C"),
            Some(chap::challenge_text(&OURS).as_str())
        );
        let proof = algorithm.respond(5, b"secret-of-yours", &OURS).to_text();
        play.tell(true, &format!("CHAP_N=you\0CHAP_R={proof}\0"));
        assert_eq!(play.stage, Stage::Operational);
    }
}

#[test]
fn mutual_chap_refuses_a_target_that_does_not_know_its_secret() {
    let algorithm = Algorithm::Sha256;
    let proof = |secret: &[u8]| algorithm.respond(5, secret, &OURS).to_text();
    let right = proof(b"secret-of-yours");
    for text in [
        format!("CHAP_N=you\0CHAP_R={}\0", proof(b"secret-of-mine")),
        format!("CHAP_N=him\0CHAP_R={right}\0"),
        String::new(),
    ] {
        let mut play = play(&MUTUAL);
        answer_chap(&mut play, algorithm);
        authentication(play.hear(true, &text));
    }
}

#[test]
fn target_may_not_skip_authentication() {
    for text in [
        "AuthMethod=None\0",
        "AuthMethod=Reject\0",
        "TargetAlias=x\0AuthMethod=NotUnderstood\0",
    ] {
        let mut play = play(&CHAP);
        authentication(play.hear(false, text));
    }
}

#[test]
fn reflected_challenges_are_refused() {
    let spent = [3; 32];
    for challenge in [OURS, spent] {
        let mut play = play_with(&MUTUAL, Some(spent), 8192);
        play.tell(false, "AuthMethod=CHAP\0");
        let challenge = chap::challenge_text(&challenge);
        let line = play.hear(false, &format!("CHAP_A=5\0CHAP_I=1\0CHAP_C={challenge}\0"));
        assert!(authentication(line).contains("our own challenge"));
    }
}

#[test]
fn chap_keys_have_to_make_sense() {
    let start = || {
        let mut play = play(&[CHAP[0], CHAP[1], ("chap-algorithms", "sha256")]);
        play.tell(false, "AuthMethod=CHAP\0");
        assert_eq!(play.value("CHAP_A"), Some("7"));
        play
    };
    for text in [
        "CHAP_A=5\0CHAP_I=1\0CHAP_C=0x0102\0",
        "CHAP_A=7\0CHAP_I=256\0CHAP_C=0x0102\0",
        "CHAP_A=7\0CHAP_I=1\0CHAP_C=0x\0",
        "CHAP_A=7\0CHAP_C=0x0102\0",
        "CHAP_A=7\0CHAP_A=7\0CHAP_I=1\0CHAP_C=0x0102\0",
        "CHAP_N=you\0CHAP_R=0x01\0",
        "MaxBurstLength=512\0",
    ] {
        violation(start().hear(false, text));
    }
    authentication(start().hear(false, "CHAP_A=Reject\0"));
}

#[test]
fn authentication_that_is_not_configured_is_refused() {
    let mut play = play(&[]);
    violation(play.hear(false, "AuthMethod=CHAP\0"));
    let mut play = super::tests::play(&[]);
    authentication(play.hear(false, "AuthMethod=Reject\0"));
}

#[test]
fn secrets_do_not_show() {
    let play = play(&MUTUAL);
    let debug = format!("{:?}", play.login);
    assert!(!debug.contains("secret-of"), "{debug}");
    let lines: Vec<String> = [&play.text].iter().map(|t| t.to_string()).collect();
    assert!(lines.iter().all(|line| !line.contains("secret-of")));
}
