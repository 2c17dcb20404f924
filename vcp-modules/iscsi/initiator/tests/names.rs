//! Names that are not in their normal form, at targets that compare bytes.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Action, Config, Discovery, DiscoveryAction, Initiator, Status};
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::{InitiatorPdu, LoginResponse, TargetSn};
use vcp_iscsi_proto::text::pairs;

const GIVEN: &str = "iqn.2026-11.Example:Disk";
const NORMAL: &str = "iqn.2026-11.example:disk";
const OURS: &str = "iqn.2026-11.example.vcp:initiator";

/// The names in a Login Request, if it is the first.
fn names(data: &[u8]) -> Option<(String, String)> {
    let value = |key| {
        let pair = pairs(data).map(|pair| pair.unwrap()).find(|p| p.key == key);
        pair.map(|pair| pair.value.to_owned())
    };
    let initiator = value("InitiatorName")?;
    Some((value("TargetName").unwrap_or_default(), initiator))
}

/// A target that knows these names byte for byte, and records what it refuses.
fn knows(peer: &mut Peer, target: &'static str, initiator: &'static str, unknown: LoginStatus) {
    peer.intercept = Some(Box::new(move |peer, pdu, data| {
        let InitiatorPdu::LoginRequest(request) = pdu else {
            return false;
        };
        let Some((named, us)) = names(data) else {
            return false;
        };
        let status = match (named == target, us == initiator) {
            (true, true) => return false,
            (false, _) => unknown,
            (true, false) => LoginStatus::AuthorizationFailure,
        };
        let refused = LoginResponse {
            transit: None,
            is_continued: false,
            stage: request.stage,
            version_max: 0,
            version_active: 0,
            data_len: 0,
            isid: request.isid,
            tsih: 0,
            itt: request.itt,
            sn: TargetSn::default(),
            status,
        };
        peer.send(refused, &[]);
        true
    }));
}

fn pair(config: Config, target: &'static str, initiator: &'static str, how: LoginStatus) -> Pair {
    let mut pair = Pair::new(config, Settings::default(), Disk::new(512, 1 << 20));
    knows(&mut pair.peer, target, initiator, how);
    pair.run();
    pair
}

fn logged(pair: &Pair) -> Vec<String> {
    let lines = pair.actions.iter().filter_map(|action| match action {
        Action::Log { message, .. } => Some(message.clone()),
        _ => None,
    });
    lines.collect()
}

#[test]
fn names_are_said_as_they_were_given() {
    for name in [
        GIVEN,
        NORMAL,
        "IQN.2026-11.example:disk",
        "eui.02004567A425678D",
        "eui.02004567a425678d",
        "naa.52004567BA64678D",
    ] {
        let config = config(&[("target", name), ("initiator-name", name)]);
        let pair = pair(config, name, name, LoginStatus::NotFound);
        pair.geometry();
        assert_eq!((pair.connects.len(), logged(&pair)), (1, vec![]));
    }
}

#[test]
fn other_form_is_tried_where_the_given_one_is_not_known() {
    for (given, known) in [
        (GIVEN, NORMAL),
        ("eui.02004567A425678D", "eui.02004567a425678d"),
        ("eui.02004567a425678d", "eui.02004567A425678D"),
        ("naa.52004567ba64678d", "naa.52004567BA64678D"),
    ] {
        for status in [
            LoginStatus::NotFound,
            LoginStatus::ServiceUnavailable,
            LoginStatus::InitiatorError,
        ] {
            let mut pair = pair(config(&[("target", given)]), known, OURS, status);
            pair.geometry();
            assert_eq!(pair.connects.len(), 2);
            let [refused, taken] = &logged(&pair)[..] else {
                panic!("two lines: {:?}", logged(&pair))
            };
            let place = format!("target {given} at 10.0.0.1:3260: ");
            let trying = format!("{place}login refused: {status}; trying its name as {known}");
            assert_eq!(*refused, trying);
            let spares = "which spares a login";
            assert_eq!(
                *taken,
                format!("{place}it takes its name as {known}, {spares}")
            );
            // The accepted form is kept.
            for round in 3..6 {
                pair.cut("reset by peer");
                pair.run_for(6 * SECOND);
                assert_eq!(pair.connects.len(), round);
            }
            let tag = pair.read(0, 512, 0);
            assert_eq!(pair.finish(tag), Status::Ok);
        }
    }
}

#[test]
fn both_forms_in_vain() {
    let pair = pair(
        config(&[("target", GIVEN)]),
        "iqn.2026-11.example:other",
        OURS,
        LoginStatus::NotFound,
    );
    assert_eq!(pair.connects.len(), 2);
    let line = pair.failed().unwrap();
    assert!(
        line.ends_with(&format!(
            "there is no such target here; its name was tried as {GIVEN} and as {NORMAL}"
        )),
        "{line}"
    );
}

/// If a name has only one form there is nothing to try, and other refusals are not about
/// names.
#[test]
fn other_form_is_no_cure_for_everything() {
    let absent = "iqn.2026-11.example:other";
    for (given, status) in [
        (NORMAL, LoginStatus::NotFound),
        (GIVEN, LoginStatus::TargetRemoved),
        (GIVEN, LoginStatus::AuthenticationFailure),
        (GIVEN, LoginStatus::AuthorizationFailure),
    ] {
        let pair = pair(config(&[("target", given)]), absent, OURS, status);
        assert_eq!(pair.connects.len(), 1, "{given} {status}");
        let line = pair.failed().unwrap();
        assert!(!line.contains("tried as"), "{line}");
    }
}

/// A busy target is asked again after a while, each time in both forms, until it knows
/// one of them.
#[test]
fn forms_of_a_target_that_is_on_its_way_up() {
    let config = config(&[("target", GIVEN)]);
    let mut pair = pair(config, "", OURS, LoginStatus::ServiceUnavailable);
    pair.run_for(2 * SECOND);
    assert!(pair.connects.len() > 3 && pair.connects.len().is_multiple_of(2));
    assert!(pair.connects.len() < 20, "{}", pair.connects.len());
    knows(&mut pair.peer, GIVEN, OURS, LoginStatus::ServiceUnavailable);
    pair.run_for(6 * SECOND);
    pair.geometry();
    assert!(logged(&pair).iter().all(|line| !line.contains("it takes")));
}

#[test]
fn own_name_has_another_form_too() {
    let ours = "iqn.2026-11.Example:Host";
    let normal = "iqn.2026-11.example:host";
    let config = || config(&[("initiator-name", ours), ("target", GIVEN)]);
    // The cases are: only our name is unknown, only the target's, and both.
    for (target, initiator, connects) in
        [(GIVEN, normal, 2), (NORMAL, ours, 2), (NORMAL, normal, 3)]
    {
        let pair = pair(config(), target, initiator, LoginStatus::NotFound);
        pair.geometry();
        assert_eq!(pair.connects.len(), connects);
    }
    let pair = pair(config(), GIVEN, "nobody", LoginStatus::NotFound);
    assert_eq!(pair.connects.len(), 2);
    let line = pair.failed().unwrap();
    let tried = format!("ours was tried as {ours} and as {normal}");
    assert!(line.ends_with(&tried), "{line}");
}

#[test]
fn form_is_handed_over() {
    let config = || config(&[("target", GIVEN)]);
    let mut pair = pair(config(), NORMAL, OURS, LoginStatus::NotFound);
    let snapshot = pair.initiator.snapshot(pair.now).unwrap();
    pair.initiator = Initiator::resume(config(), [9; 32], pair.now, snapshot).unwrap();
    pair.run();
    pair.cut("reset by peer");
    pair.run_for(6 * SECOND);
    // There is one additional login, not two.
    assert_eq!((pair.connects.len(), pair.readies()), (3, 3));
}

/// The session's identifier does not depend on the form in which a name is given.
#[test]
fn isid_is_that_of_the_normal_form() {
    let isid = |target: &'static str| {
        let keys = [("portal", "10.0.0.1"), ("target", target), ("lun", "1")];
        let config = Config::parse(keys).unwrap();
        let pair = pair(config, target, OURS, LoginStatus::NotFound);
        let login = pair.peer.seen.iter().find_map(|pdu| match pdu {
            InitiatorPdu::LoginRequest(login) => Some(login.isid),
            _ => None,
        });
        login.unwrap()
    };
    assert_eq!(isid(GIVEN), isid(NORMAL));
    // This is the value from before there were forms.
    assert_eq!(isid(NORMAL).0, [0x80, 0x87, 0x0b, 0x07, 0x37, 0x1f]);
    assert_ne!(isid(NORMAL), isid("iqn.2026-11.example:other"));
}

#[test]
fn discovery_tries_our_name_in_both_forms() {
    let ours = "iqn.2026-11.Example:Host";
    let normal = "iqn.2026-11.example:host";
    for (known, connects) in [(ours, 1), (normal, 2), ("nobody", 2)] {
        let keys = [("portal", "10.0.0.1:3260"), ("initiator-name", ours)];
        let mut discovery = Discovery::new(Config::parse_discovery(keys).unwrap(), [3; 32], 0);
        let mut peer = Peer::new(Settings::default(), Disk::new(512, 1));
        knows(&mut peer, "", known, LoginStatus::NotFound);
        let (mut opened, mut failed) = (0, None);
        for _ in 0..100 {
            match discovery.poll_action() {
                Some(DiscoveryAction::Connect { .. }) => {
                    opened += 1;
                    peer.accept();
                    discovery.connected(0);
                }
                Some(DiscoveryAction::Failed(line)) => failed = Some(line),
                _ => {}
            }
            let mut buffer = [0; 4096];
            let count = discovery.transmit(0, &mut buffer);
            peer.receive(&buffer[..count]);
            let bytes: Vec<u8> = peer.out.drain(..).collect();
            discovery.receive(0, &bytes);
        }
        assert_eq!(opened, connects, "{known}");
        assert_eq!(peer.is_full_feature(), known != "nobody");
        assert_eq!(failed.is_some(), known == "nobody");
        if let Some(line) = failed {
            let tried = format!("ours was tried as {ours} and as {normal}");
            assert!(line.ends_with(&tried), "{line}");
        }
    }
}
