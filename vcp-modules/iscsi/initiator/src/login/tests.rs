//! Logins against a target that is played line by line.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::format;

use vcp_iscsi_proto::Isid;
use vcp_iscsi_proto::chap::{self, Algorithm};
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::TargetSn;

use super::*;

/// A login, and what it said last.
struct Play {
    login: Login,
    stage: Stage,
    transit: Option<Stage>,
    text: String,
}

const OURS: [u8; 32] = [9; 32];

fn play(extra: &[(&str, &str)]) -> Play {
    play_with(extra, None, 8192)
}

fn play_with(extra: &[(&str, &str)], spent: Option<[u8; 32]>, segment: usize) -> Play {
    let basic = [
        ("portal", "10.0.0.1"),
        ("target", "iqn.2026-11.example:disk"),
        ("lun", "1"),
    ];
    let config = Config::parse(basic.iter().chain(extra).copied()).unwrap();
    let challenge = Challenge {
        identifier: 5,
        bytes: OURS,
    };
    let mut login = Login::new(&config, false, challenge, spent);
    login.set_segment(segment);
    let mut play = Play {
        login,
        stage: Stage::Security,
        transit: None,
        text: String::new(),
    };
    play.ask();
    play
}

const CHAP: [(&str, &str); 2] = [("user", "me"), ("password", "secret-of-mine")];
const MUTUAL: [(&str, &str); 4] = [
    ("user", "me"),
    ("password", "secret-of-mine"),
    ("target-user", "you"),
    ("target-password", "secret-of-yours"),
];

impl Play {
    /// Takes the next request, over as many PDUs as it needs.
    fn ask(&mut self) {
        self.text.clear();
        loop {
            let request = self.login.request();
            assert_eq!(request.stage, self.login.stage);
            self.text += core::str::from_utf8(&request.text).unwrap();
            (self.stage, self.transit) = (request.stage, request.transit);
            if !request.is_continued {
                return;
            }
            assert_eq!(request.transit, None, "T and C exclude each other");
            let empty = self.response(None, false);
            assert_eq!(self.login.response(&empty, b""), Ok(Outcome::Continue));
        }
    }

    fn response(&self, transit: Option<Stage>, is_continued: bool) -> LoginResponse {
        LoginResponse {
            transit,
            is_continued,
            stage: self.stage,
            version_max: 0,
            version_active: 0,
            data_len: 0,
            isid: Isid::default(),
            tsih: 1,
            itt: 0,
            sn: TargetSn::default(),
            status: LoginStatus::Success,
        }
    }

    /// A response, and the request that follows.
    fn hear(&mut self, transit: bool, text: &str) -> Result<Outcome, LoginError> {
        let response = self.response(self.transit.filter(|_| transit), false);
        let outcome = self.login.response(&response, text.as_bytes())?;
        if outcome == Outcome::Continue {
            self.ask();
        }
        Ok(outcome)
    }

    /// As `hear`, where the login must go on.
    fn tell(&mut self, transit: bool, text: &str) {
        assert_eq!(self.hear(transit, text), Ok(Outcome::Continue));
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.text
            .split('\0')
            .filter_map(|pair| pair.split_once('='))
            .find(|(k, _)| *k == key)
            .map(|(_, value)| value)
    }

    /// To the operational stage, without authentication.
    fn operational(mut self) -> Self {
        self.tell(true, "AuthMethod=None\0TargetPortalGroupTag=1\0");
        assert_eq!(self.stage, Stage::Operational);
        self
    }

    fn done(&mut self, text: &str) -> Params {
        match self.hear(true, text) {
            Ok(Outcome::Done(params)) => params,
            other => panic!("{other:?}"),
        }
    }
}

fn authentication(result: Result<Outcome, LoginError>) -> String {
    match result {
        Err(LoginError::Authentication(line)) => line,
        other => panic!("{other:?}"),
    }
}

fn violation(result: Result<Outcome, LoginError>) -> String {
    match result {
        Err(LoginError::Protocol(line)) => line,
        other => panic!("{other:?}"),
    }
}

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
    assert_eq!(play.value("HeaderDigest"), Some("None"));
    play.done("HeaderDigest=None\0MaxBurstLength=Irrelevant\0");
}

#[test]
fn answers_in_any_order_and_over_several_rounds() {
    let mut play = play(&[("header-digest", "prefer")]).operational();
    assert_eq!(play.value("HeaderDigest"), Some("CRC32C,None"));
    play.tell(false, "InitialR2T=No\0MaxBurstLength=65536\0");
    assert_eq!(play.text, "");
    play.tell(false, "");
    let params = play.done(
        "FirstBurstLength=32768\0HeaderDigest=CRC32C\0DataDigest=None\0ErrorRecoveryLevel=0\0\
         MaxRecvDataSegmentLength=16384\0MaxConnections=1\0DefaultTime2Wait=3\0\
         DataPDUInOrder=Yes\0ImmediateData=No\0MaxOutstandingR2T=4\0",
    );
    assert_eq!(
        params,
        Params {
            header_digest: true,
            data_digest: false,
            max_send_segment: 16384,
            max_burst: 65536,
            first_burst: 32768,
            initial_r2t: false,
            immediate_data: false,
            max_outstanding_r2t: 4,
            time2wait: 3,
        }
    );
}

#[test]
fn keys_without_answer_keep_their_defaults() {
    let params = play(&[]).operational().done("");
    assert_eq!(params, Params::default());
}

#[test]
fn incoming_text_is_continued_by_the_c_bit() {
    let mut play = play(&[]).operational();
    let first = play.response(None, true);
    assert_eq!(
        play.login.response(&first, b"MaxBurstLen"),
        Ok(Outcome::Continue)
    );
    play.ask();
    assert_eq!((play.text.as_str(), play.transit), ("", None));
    let second = play.response(None, true);
    assert_eq!(
        play.login.response(&second, b"gth=65"),
        Ok(Outcome::Continue)
    );
    play.ask();
    assert_eq!((play.text.as_str(), play.transit), ("", None));
    let last = play.response(None, false);
    assert_eq!(play.login.response(&last, b"536\0"), Ok(Outcome::Continue));
    play.ask();
    assert_eq!(play.done("").max_burst, 65536);
}

#[test]
fn outgoing_text_is_continued_by_the_c_bit() {
    for segment in [16, 17, 64, 100] {
        let mut play = play_with(&[], None, segment);
        assert_eq!(play.value("AuthMethod"), Some("None"));
        play.tell(true, "AuthMethod=None\0");
        assert_eq!(play.value("DataSequenceInOrder"), Some("Yes"));
        play.done("");
    }
}

#[test]
fn answers_to_half_a_text_are_refused() {
    let mut login = play(&[]).operational().login;
    login.set_segment(10);
    // What was said in full is said again in pieces.
    login.operational.offer(login.outgoing.pairs());
    assert!(login.request().is_continued);
    let mut response = play(&[]).response(None, false);
    response.stage = Stage::Operational;
    violation(login.response(&response, b"MaxBurstLength=512\0"));
}

#[test]
fn endless_text_is_refused() {
    let mut play = play(&[]).operational();
    let response = play.response(None, true);
    let chunk = [b'x'; 8192];
    let mut result = Ok(Outcome::Continue);
    for _ in 0..20 {
        result = play.login.response(&response, &chunk);
        if result.is_err() {
            break;
        }
        play.ask();
    }
    violation(result);
}

#[test]
fn endless_login_is_refused() {
    let mut play = play(&[]).operational();
    let result = (0..100).map(|_| play.hear(false, "")).find(Result::is_err);
    violation(result.unwrap());
}

#[test]
fn unknown_keys_are_answered() {
    let mut play = play(&[]).operational();
    play.tell(
        false,
        "X-com.example.key=5\0OFMarker=No\0TaskReporting=FastAbort,RFC3720\0",
    );
    assert_eq!(play.value("X-com.example.key"), Some("NotUnderstood"));
    assert_eq!(play.value("OFMarker"), Some("Reject"));
    assert_eq!(play.value("TaskReporting"), Some("RFC3720"));
    play.done("");
}

#[test]
fn unknown_keys_are_answered_in_the_security_stage() {
    let mut play = play(&[]);
    play.tell(
        false,
        "AuthMethod=None\0X-com.example.key=5\0TargetAlias=disk\0",
    );
    assert_eq!(play.value("X-com.example.key"), Some("NotUnderstood"));
    assert_eq!(play.value("TargetAlias"), None);
}

#[test]
fn answers_to_unknown_keys_are_not_answered() {
    let mut play = play(&[]).operational();
    play.tell(false, "X-com.example.key=NotUnderstood\0Other=Reject\0");
    assert_eq!(play.text, "");
}

#[test]
fn a_stage_does_not_end_with_an_answer_outstanding() {
    let mut play = play(&[]).operational();
    violation(play.hear(true, "X-com.example.key=5\0"));
}

#[test]
fn reject_and_not_understood_leave_the_default() {
    let mut play = play(&[("header-digest", "prefer")]).operational();
    let params =
        play.done("HeaderDigest=Reject\0MaxOutstandingR2T=NotUnderstood\0MaxBurstLength=Reject\0");
    assert_eq!(params.max_outstanding_r2t, 1);
    assert_eq!(params.max_burst, 262_144);
    assert!(!params.header_digest);
}

#[test]
fn irrelevant_only_where_it_can_be() {
    let mut good = play(&[("initial-r2t", "yes"), ("immediate-data", "no")]).operational();
    good.done("FirstBurstLength=Irrelevant\0ImmediateData=No\0InitialR2T=Yes\0");
    let mut bad = play(&[]).operational();
    violation(bad.hear(true, "MaxBurstLength=Irrelevant\0"));
}

#[test]
fn answers_beyond_the_offer_are_refused() {
    for (extra, answer) in [
        (("max-burst-length", "65536"), "MaxBurstLength=65537"),
        (("max-burst-length", "65536"), "MaxBurstLength=511"),
        (("max-burst-length", "65536"), "MaxBurstLength=lots"),
        (("first-burst-length", "65536"), "FirstBurstLength=131072"),
        (("max-outstanding-r2t", "4"), "MaxOutstandingR2T=5"),
        (("max-outstanding-r2t", "4"), "MaxOutstandingR2T=0"),
        (("initial-r2t", "yes"), "InitialR2T=No"),
        (("immediate-data", "no"), "ImmediateData=Yes"),
        (("immediate-data", "yes"), "ImmediateData=yes"),
        (("header-digest", "none"), "HeaderDigest=CRC32C"),
        (("header-digest", "prefer"), "HeaderDigest=MD5"),
        (("data-digest", "crc32c"), "DataDigest=None"),
        (("lun", "1"), "ErrorRecoveryLevel=1"),
        (("lun", "1"), "MaxConnections=2"),
        (("lun", "1"), "DataPDUInOrder=No"),
        (("lun", "1"), "DataSequenceInOrder=No"),
        (("lun", "1"), "DefaultTime2Retain=20"),
        (("lun", "1"), "DefaultTime2Wait=3601"),
        (("lun", "1"), "MaxRecvDataSegmentLength=0"),
        (("lun", "1"), "AuthMethod=None"),
    ] {
        let mut play = play(&[extra]).operational();
        violation(play.hear(true, &format!("{answer}\0")));
    }
}

#[test]
fn keys_are_negotiated_once() {
    let mut play = play(&[]).operational();
    violation(play.hear(false, "MaxBurstLength=65536\0MaxBurstLength=65536\0"));
    let mut again = super::tests::play(&[]).operational();
    again.tell(false, "MaxRecvDataSegmentLength=8192\0");
    violation(again.hear(false, "MaxRecvDataSegmentLength=16384\0"));
}

#[test]
fn required_digests_are_insisted_on() {
    let mut play = play(&[("header-digest", "crc32c")]).operational();
    violation(play.hear(true, ""));
    let mut play = super::tests::play(&[("data-digest", "crc32c")]).operational();
    violation(play.hear(true, "DataDigest=Reject\0"));
    let mut play = super::tests::play(&[("data-digest", "crc32c")]).operational();
    assert!(play.done("DataDigest=CRC32C\0").data_digest);
}

#[test]
fn first_burst_is_at_most_max_burst() {
    let mut play = play(&[]).operational();
    violation(play.hear(true, "FirstBurstLength=65536\0MaxBurstLength=4096\0"));
    let mut play = super::tests::play(&[]).operational();
    assert_eq!(play.done("MaxBurstLength=4096\0").first_burst, 4096);
}

#[test]
fn malformed_text_is_refused() {
    for text in ["no equals sign\0", "=value\0", "Key=unterminated"] {
        let mut play = play(&[]).operational();
        violation(play.hear(true, text));
    }
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
