//! CHAP over a whole connection, and a target that uses SHA-256's number for another
//! algorithm.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Initiator, Status};
use vcp_iscsi_proto::chap::{self, Algorithm};
use vcp_iscsi_proto::login::{LoginStatus, Stage};
use vcp_iscsi_proto::pdu::{InitiatorPdu, LoginRequest, LoginResponse};
use vcp_iscsi_proto::text::{Writer, pairs};

const SECRET: &[u8] = b"secret-of-mine";
const THEIRS: &[u8] = b"secret-of-theirs";

/// Plays the security stage for the scripted target; `knows` are the algorithms that it
/// can compute.
fn authenticate(pair: &mut Pair, knows: &'static [Algorithm], mutual: bool) {
    pair.peer.intercept = Some(Box::new(move |peer, pdu, data| {
        let InitiatorPdu::LoginRequest(request) = pdu else {
            return false;
        };
        if request.stage != Stage::Security {
            return false;
        }
        let value = |key: &str| {
            let pair = pairs(data).map(Result::unwrap).find(|pair| pair.key == key);
            pair.map(|pair| pair.value.to_owned())
        };
        let mut text = Writer::new();
        let mut status = LoginStatus::Success;
        if let Some(method) = value("AuthMethod") {
            peer.exp_cmd_sn = request.sn.cmd_sn;
            peer.logins += 1;
            text.put("AuthMethod", method);
        } else if let Some(offer) = value("CHAP_A") {
            // The target picks the first, whether it can compute it or not.
            let algorithm = Algorithm::choose(&offer, &Algorithm::ALL).unwrap().unwrap();
            text.put("CHAP_A", algorithm.number());
            text.put("CHAP_I", 3);
            text.put("CHAP_C", chap::challenge_text(b"any challenge"));
        } else if let Some(response) = value("CHAP_R") {
            let known = knows.iter().find(|algorithm| {
                algorithm.parse_response(&response).is_ok_and(|response| {
                    response.matches(&algorithm.respond(3, SECRET, b"any challenge"))
                })
            });
            match known {
                None => status = LoginStatus::InitiatorError,
                Some(algorithm) if mutual => {
                    let id = chap::parse_id(&value("CHAP_I").unwrap()).unwrap();
                    let challenge = chap::parse_challenge(&value("CHAP_C").unwrap()).unwrap();
                    text.put("CHAP_N", "them");
                    text.put(
                        "CHAP_R",
                        algorithm.respond(id, THEIRS, &challenge).to_text(),
                    );
                }
                Some(_) => {}
            }
        }
        answer(peer, request, status, text.as_bytes());
        true
    }));
}

fn answer(peer: &mut Peer, request: &LoginRequest, status: LoginStatus, text: &[u8]) {
    let sn = peer.status();
    peer.send(
        LoginResponse {
            transit: request.transit,
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
        text,
    );
}

fn pair(extra: &[(&str, &str)], knows: &'static [Algorithm]) -> Pair {
    let mut pairs = vec![("user", "me"), ("password", "secret-of-mine")];
    pairs.extend(extra);
    let mutual = extra.iter().any(|(key, _)| *key == "target-password");
    let mut pair = Pair::new(config(&pairs), Settings::default(), Disk::new(512, 1 << 20));
    authenticate(&mut pair, knows, mutual);
    pair
}

#[test]
fn logs_in_with_chap() {
    let mut pair = pair(&[], &Algorithm::ALL).ready();
    assert_eq!(pair.connects.len(), 1);
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    // After a loss it happens again, with new challenges.
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    assert_eq!(pair.readies(), 2);
}

#[test]
fn logs_in_with_mutual_chap() {
    let good = [
        ("target-user", "them"),
        ("target-password", "secret-of-theirs"),
    ];
    pair(&good, &Algorithm::ALL).ready();

    let mut wrong = pair(&[("target-password", "secret-of-others")], &Algorithm::ALL);
    wrong.run();
    let line = wrong.failed().unwrap();
    assert!(
        line.contains("authentication: it does not know the secret"),
        "{line}"
    );
    assert!(!line.contains("secret-of"), "{line}");
}

#[test]
fn sha256_is_given_up_where_it_is_not_known() {
    let pair = pair(&[], &[Algorithm::Md5]).ready();
    assert_eq!(pair.connects.len(), 2);
}

#[test]
fn sha256_is_not_given_up_where_nothing_else_is_allowed() {
    let mut pair = pair(&[("chap-algorithms", "sha256")], &[Algorithm::Md5]);
    pair.run();
    assert!(
        pair.failed()
            .unwrap()
            .contains("login refused: initiator error")
    );
    assert_eq!(pair.connects.len(), 1);
}

/// A session with CHAP is handed over without its secrets, and with what was learnt about
/// the target.
#[test]
fn secrets_are_not_handed_over() {
    let mut pair = pair(&[], &[Algorithm::Md5]).ready();
    let snapshot = pair.initiator.snapshot(pair.now).unwrap();
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(!text.contains("secret-of") && !format!("{snapshot:?}").contains("secret-of"));
    let config = |password| config(&[("user", "me"), ("password", password)]);
    pair.initiator = Initiator::resume(
        config("secret-of-mine"),
        [9; 32],
        pair.now,
        snapshot.clone(),
    )
    .unwrap();
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    // MD5 is used from the first attempt on.
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    assert_eq!((pair.readies(), pair.connects.len()), (3, 3));
    // The secret is the new version's own, and is used at the next login.
    Initiator::resume(config("another-secret"), [9; 32], pair.now, snapshot).unwrap();
}
