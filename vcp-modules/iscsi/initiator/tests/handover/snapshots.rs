//! Invalid snapshots are refused, and never trusted.

use proptest::prelude::*;
use serde_json::{Value, json};
use vcp_iscsi_initiator::{Config, Initiator, Snapshot, Status};

use crate::pair::*;
use crate::{forged, hand_over, travelled};

fn snapshot() -> Snapshot {
    let pair = Pair::plain().ready();
    pair.initiator.snapshot(pair.now).unwrap()
}

fn resume(config: Config, snapshot: Snapshot) -> Result<Initiator, String> {
    Initiator::resume(config, [9; 32], SECOND, snapshot)
}

#[test]
fn survives_its_journey() {
    let snapshot = snapshot();
    assert_eq!(travelled(&snapshot), snapshot);
}

#[test]
fn another_configuration_means_a_new_session() {
    let snapshot = snapshot();
    for change in [
        ("portal", "10.0.0.1:3261"),
        ("target", "iqn.2026-11.example:other"),
        ("lun", "2"),
        ("initiator-name", "iqn.2026-11.example:other"),
        ("instance", "other"),
        ("header-digest", "prefer"),
        ("data-digest", "crc32c"),
        ("max-recv-data-segment-length", "8192"),
        ("max-burst-length", "262144"),
        ("first-burst-length", "8192"),
        ("initial-r2t", "yes"),
        ("immediate-data", "no"),
        ("max-outstanding-r2t", "1"),
    ] {
        let error = resume(config(&[change]), snapshot.clone()).unwrap_err();
        assert!(
            error.contains("another configuration"),
            "{change:?}: {error}"
        );
    }
    let chap = [("user", "me"), ("password", "secret-of-mine")];
    assert!(resume(config(&chap), snapshot.clone()).is_err());
    // These are not part of a session.
    for change in [
        ("nop-interval", "1s"),
        ("command-timeout", "9s"),
        ("read-only", "yes"),
    ] {
        resume(config(&[change]), snapshot.clone()).unwrap();
    }
}

/// If digests are accepted, a session can be resumed with or without them; a session with
/// digests can't be resumed where none are wanted.
#[test]
fn accepted_digests_travel() {
    for insists_on_digests in [true, false] {
        let settings = Settings {
            insists_on_digests,
            ..Settings::default()
        };
        let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
        hand_over(&mut pair, config(&[]));
        let tag = pair.write(0, 65536, 0);
        assert_eq!(pair.finish(tag), Status::Ok);
        assert_eq!(pair.peer.logins, 1);
        let snapshot = pair.initiator.snapshot(pair.now).unwrap();
        let none = config(&[("header-digest", "none"), ("data-digest", "none")]);
        assert_eq!(resume(none, snapshot).is_ok(), !insists_on_digests);
    }
}

#[test]
fn settings_of_the_new_version_hold() {
    let mut pair = Pair::plain().ready();
    let snapshot = pair.initiator.snapshot(pair.now).unwrap();
    let config = config(&[("read-only", "yes")]).with_max_transfer(65536);
    crate::replace(&mut pair, config, snapshot);
    pair.run();
    let geometry = pair.geometry();
    assert_eq!((geometry.read_only, geometry.max_transfer), (true, 65536));
    let tag = pair.write(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::NotPermitted);
}

fn others(count: usize, name: &str) -> Value {
    let mut identity = identity("naa.5");
    identity["others"] = json!(vec![name; count]);
    identity
}

fn identity(designator: &str) -> Value {
    json!({"designator": {"Read": designator}, "others": [], "serial": "Absent", "listed": true})
}

#[test]
fn values_that_cannot_be_are_refused() {
    let good = snapshot();
    for (group, key, value) in [
        ("params", "max_send_segment", json!(0)),
        ("params", "max_send_segment", json!(1 << 24)),
        ("params", "max_burst", json!(511)),
        ("params", "first_burst", json!(0)),
        ("params", "first_burst", json!(1 << 24)),
        ("params", "max_outstanding_r2t", json!(0)),
        ("params", "max_outstanding_r2t", json!(65536)),
        ("params", "time2wait", json!(3601)),
        ("device", "block_size", json!(0)),
        ("device", "block_size", json!(768)),
        ("device", "block_size", json!(1 << 17)),
        ("device", "physical_block_size", json!(0)),
        ("device", "physical_block_size", json!(1 << 21)),
        ("device", "blocks", json!(0)),
        ("device", "blocks", json!(u64::MAX)),
        ("device", "max_transfer", json!(0)),
        ("device", "max_transfer", json!(513)),
        ("device", "identity", identity(&"x".repeat(2000))),
        ("device", "identity", identity("two\nlines")),
        ("device", "identity", others(1, "two\nlines")),
        ("device", "identity", others(9, "x")),
    ] {
        let bad = forged(&good, |v| v[group][key] = value);
        let error = resume(config(&[]), bad.unwrap()).unwrap_err();
        assert!(error.starts_with("a snapshot "), "{group}.{key}: {error}");
    }
    let none = || config(&[("header-digest", "none")]);
    let bad = forged(&good, |v| v["params"]["header_digest"] = json!(true));
    let error = resume(none(), bad.unwrap()).unwrap_err();
    assert!(error.starts_with("a snapshot "), "{error}");
    // One target has received more than was sent, and one window ends before it begins.
    for (exp, max) in [(6, 40), (5, 3)] {
        let numbers = json!({
            "cmd_sn": 5, "exp_cmd_sn": exp, "max_cmd_sn": max, "exp_stat_sn": 1,
        });
        let bad = forged(&good, |v| v["numbers"] = numbers).unwrap();
        assert!(resume(config(&[]), bad).is_err());
    }
    // These LUNs have another number, or none at all.
    for lun in [2_u64 << 48, 0x4002 << 48, u64::MAX] {
        let bad = forged(&good, |v| v["lun"] = json!(lun)).unwrap();
        let error = resume(config(&[]), bad).unwrap_err();
        assert_eq!(error, "a snapshot of another logical unit");
    }
    for key in ["portal", "address"] {
        let bad = forged(&good, |v| v[key] = json!("10.0.0.1:0")).unwrap();
        assert!(resume(config(&[]), bad).is_err());
    }
}

#[test]
fn unfinished_commands_of_the_window_are_remembered() {
    // The target may be behind in taking commands, and may report them later.
    let mut pair = Pair::plain().ready();
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    hand_over(&mut pair, config(&[]));
    pair.peer.max_cmd_sn = Some(pair.peer.exp_cmd_sn.add(31));
    let tags: Vec<u64> = (0..40).map(|n| pair.read(n * 512, 512, 0)).collect();
    pair.run();
    // The number is as large as the window of the snapshot has room for.
    assert_eq!(pair.completed.len(), 1 + 32);
    pair.peer.max_cmd_sn = None;
    let sn = pair.peer.numbers();
    let (itt, ttt) = (vcp_iscsi_proto::RESERVED_TAG, vcp_iscsi_proto::RESERVED_TAG);
    let lun = vcp_iscsi_proto::Lun::default();
    pair.peer.send(
        vcp_iscsi_proto::pdu::NopIn {
            data_len: 0,
            lun,
            itt,
            ttt,
            sn,
        },
        &[],
    );
    pair.run();
    assert!(tags.iter().all(|tag| pair.completed[tag] == Status::Ok));
}

/// Replaces numbers anywhere by arbitrary ones.
fn scramble(value: &mut Value, numbers: &mut impl Iterator<Item = u64>) {
    match value {
        Value::Number(number) => {
            if let Some(new) = numbers.next().filter(|n| n % 3 > 0) {
                let small = number.as_u64().is_some_and(|old| old < 256);
                *value = json!(if small { new % 256 } else { new >> 32 });
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| scramble(v, numbers)),
        Value::Object(map) => {
            let others = map.iter_mut().filter(|(key, _)| *key != "fingerprint");
            others.for_each(|(_, v)| scramble(v, numbers));
        }
        _ => {}
    }
}

proptest! {
    /// Whatever numbers a snapshot has, it is refused, or the resumed session survives
    /// requests and all answers of a target.
    #[test]
    fn any_numbers_are_survived(numbers in prop::collection::vec(any::<u64>(), 60)) {
        let mut pair = Pair::plain().ready();
        let good = pair.initiator.snapshot(pair.now).unwrap();
        let mut numbers = numbers.into_iter();
        let Ok(bad) = forged(&good, |value| scramble(value, &mut numbers)) else {
            return Ok(());
        };
        let Ok(initiator) = resume(config(&[]), bad) else {
            return Ok(());
        };
        pair.initiator = initiator;
        while pair.initiator.poll_action().is_some() {}
        pair.read(0, 65536, 0);
        pair.write(0, 65536, 0);
        let mut buffer = vec![0; 1 << 20];
        pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
        pair.initiator.receive(pair.now, &[0x20; 480], &mut pair.memory);
        pair.initiator.handle_timeout(pair.now + 60 * SECOND);
        while pair.initiator.poll_action().is_some() {}
    }
}
