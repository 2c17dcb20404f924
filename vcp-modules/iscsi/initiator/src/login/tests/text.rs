//! Text that is cut, endless, or not understood.

use super::*;

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
    // The same text is sent again in pieces.
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
        "X-com.example.key=5\0OFMarker=No\0IFMarkInt=2048~8192\0\
         TaskReporting=FastAbort,RFC3720\0iSCSIProtocolLevel=2\0",
    );
    assert_eq!(play.value("IFMarkInt"), Some("Reject"));
    assert_eq!(play.value("iSCSIProtocolLevel"), Some("1"));
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
fn malformed_text_is_refused() {
    for text in ["no equals sign\0", "=value\0", "Key=unterminated"] {
        let mut play = play(&[]).operational();
        violation(play.hear(true, text));
    }
}
