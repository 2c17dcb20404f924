//! Finding out about the logical unit: the questions, the indispensable answers, and the
//! messages when those are missing.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Config, Status};
use vcp_iscsi_proto::pdu::{InitiatorPdu, TargetPdu};
use vcp_iscsi_proto::scsi::{Asc, Command, SenseKey, page};

fn with(disk: Disk) -> Pair {
    let mut pair = Pair::new(config(&[]), Settings::default(), disk);
    pair.run();
    pair
}

fn disk() -> Disk {
    Disk::new(512, 1 << 20)
}

fn asked(pair: &Pair) -> Vec<Command> {
    let commands = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(Command::parse(&command.cdb).unwrap()),
        _ => None,
    });
    commands.collect()
}

#[test]
fn asks_what_it_has_to_know() {
    let pair = with(disk());
    let asked = asked(&pair);
    let vpd = |code| {
        asked
            .iter()
            .any(|c| matches!(c, Command::Inquiry { vpd: Some(page), .. } if *page == code))
    };
    assert!(
        asked
            .iter()
            .any(|c| matches!(c, Command::ReportLuns { .. }))
    );
    assert!(
        asked
            .iter()
            .any(|c| matches!(c, Command::Inquiry { vpd: None, .. }))
    );
    assert!(vpd(page::SUPPORTED_PAGES) && vpd(page::SERIAL_NUMBER));
    assert!(vpd(page::DEVICE_IDENTIFICATION) && vpd(page::BLOCK_LIMITS));
    assert!(vpd(page::LOGICAL_BLOCK_PROVISIONING));
    assert!(asked.contains(&Command::TestUnitReady));
    assert!(
        asked
            .iter()
            .any(|c| matches!(c, Command::ReadCapacity16 { .. }))
    );
    assert!(asked.iter().any(|c| matches!(c, Command::ModeSense { .. })));
}

#[test]
fn missing_unit_is_named() {
    let mut missing = disk();
    missing.luns = vec![0, 2, 3];
    missing.lun = 2;
    let line = with(missing).failed().unwrap();
    assert_eq!(
        line,
        "target iqn.2026-11.example:disk at 10.0.0.1:3260: \
         logical unit 1 does not exist; the target has 0, 2, 3"
    );
    let mut none = disk();
    none.luns = vec![];
    assert!(
        with(none)
            .failed()
            .unwrap()
            .ends_with("the target has none")
    );
}

#[test]
fn long_list_of_units_is_read_to_its_end() {
    let mut many = disk();
    many.luns = (2..3000).chain([1]).collect();
    with(many).geometry();
    let mut missing = disk();
    missing.luns = (2..3000).collect();
    missing.lun = 2;
    let line = with(missing).failed().unwrap();
    assert!(line.ends_with("14, 15, 16, 17, …"), "{line}");
}

#[test]
fn unit_behind_a_silent_report_luns() {
    let mut silent = disk();
    silent.unknown = vec![0xa0];
    with(silent).geometry();
    // INQUIRY reports that there is none.
    let mut missing = disk();
    (missing.unknown, missing.lun) = (vec![0xa0], 2);
    assert!(
        with(missing)
            .failed()
            .unwrap()
            .ends_with("logical unit 1 does not exist")
    );
}

#[test]
fn what_is_no_disk_is_refused() {
    let mut tape = disk();
    tape.device_type = 1;
    assert!(
        with(tape)
            .failed()
            .unwrap()
            .contains("is no disk, but a device of type 0x01")
    );
}

#[test]
fn large_unit_numbers() {
    let mut far = disk();
    (far.lun, far.luns) = (300, vec![300]);
    let config = config(&[("lun", "300")]);
    let mut pair = Pair::new(config, Settings::default(), far).ready();
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
}

#[test]
fn capacity_by_ten_bytes() {
    let mut old = disk();
    old.unknown = vec![0x9e];
    let geometry = with(old).geometry();
    assert_eq!((geometry.size, geometry.block_size), (512 << 20, 512));
    let mut huge = Disk::new(512, 1 << 33);
    huge.unknown = vec![0x9e];
    assert!(
        with(huge)
            .failed()
            .unwrap()
            .contains("larger than it can tell")
    );
    let mut mute = disk();
    mute.unknown = vec![0x9e, 0x25];
    assert!(
        with(mute)
            .failed()
            .unwrap()
            .contains("does not tell its capacity")
    );
}

#[test]
fn unusable_capacities_are_refused() {
    for block in [0, 256, 520, 131_072] {
        let mut odd = disk();
        odd.block = block;
        assert!(with(odd).failed().unwrap().contains("nobody can use"));
    }
    let mut vast = disk();
    vast.blocks = u64::MAX;
    assert!(with(vast).failed().unwrap().contains("beyond all reason"));
}

#[test]
fn mode_sense_in_every_form() {
    for (unknown, write_cache) in [
        (vec![], false),
        (vec![0x1a], false),
        (vec![0x1a, 0x5a], true),
    ] {
        let mut unit = disk();
        (unit.unknown, unit.write_cache) = (unknown, false);
        // Without an answer a cache is assumed.
        assert_eq!(with(unit).geometry().write_cache, write_cache);
    }
}

#[test]
fn identity_by_designator_serial_or_not_at_all() {
    let mut serial = disk();
    serial.naa = None;
    assert_eq!(with(serial).geometry().identity, "serial-1");
    let mut nothing = disk();
    (nothing.naa, nothing.serial) = (None, "  ".into());
    assert_eq!(with(nothing).geometry().identity, "");
}

/// All pages are asked for at once; answers about a page that the unit does not list are
/// ignored.
#[test]
fn pages_that_are_not_listed_do_not_count() {
    let mut pair = Pair::new(config(&[]), Settings::default(), disk());
    pair.peer.mangle = Some(Box::new(|pdu, data| {
        // The page of designators has another number in the list of pages.
        if matches!(pdu, TargetPdu::DataIn(_)) && data.starts_with(&[0, 0, 0]) {
            for page in data[4..]
                .iter_mut()
                .filter(|p| **p == page::DEVICE_IDENTIFICATION)
            {
                *page = 0x8f;
            }
        }
        true
    }));
    assert_eq!(pair.ready().geometry().identity, "serial-1");
}

/// The first of several errors, which caused the others, is reported.
#[test]
fn cause_is_told_and_not_what_follows_from_it() {
    let mut asleep = disk();
    asleep.luns = vec![0];
    asleep.attention = vec![(SenseKey::NotReady, Asc::MEDIUM_NOT_PRESENT); 99];
    let line = with(asleep).failed().unwrap();
    assert!(line.ends_with("does not exist; the target has 0"), "{line}");
}

#[test]
fn attention_and_not_ready_while_asking() {
    let mut waking = disk();
    waking.attention = vec![(SenseKey::UnitAttention, Asc::POWER_ON_OR_RESET); 2];
    waking
        .attention
        .extend([(SenseKey::NotReady, Asc::BECOMING_READY); 3]);
    let mut pair = with(waking);
    pair.run_for(SECOND);
    pair.geometry();

    let mut empty = disk();
    empty.attention = vec![(SenseKey::NotReady, Asc::MEDIUM_NOT_PRESENT); 9];
    let line = with(empty).failed().unwrap();
    assert!(
        line.contains(
            "logical unit 1 is not ready: CHECK CONDITION (02h): NOT READY (2h): medium not present"
        ),
        "{line}"
    );
}

#[test]
fn configuration_is_checked() {
    let parse = |pairs: &[(&str, &str)]| {
        let basic = [
            ("portal", "[fe80::1]:3261"),
            ("target", "iqn.2026-11.example:disk"),
            ("lun", "0"),
        ];
        Config::parse(basic.iter().chain(pairs).copied())
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert_eq!(parse(&[]), Ok(()));
    for (pairs, line) in [
        (&[("colour", "red")][..], "colour: unknown key"),
        (
            &[("portal", "storage.example")],
            "portal: \"storage.example\" is not a numeric address, ip:port or [ipv6]:port",
        ),
        (
            &[("lun", "16384")],
            "lun: \"16384\" is not a number from 0 to 16383",
        ),
        (
            &[("nop-interval", "0")],
            "nop-interval: \"0\" is not a time from 1ms to 86400s",
        ),
        (
            &[("header-digest", "md5")],
            "header-digest: \"md5\" is not none, accept, prefer or crc32c",
        ),
        (
            &[("isid", "12")],
            "isid: \"12\" is not an ISID: 12 hexadecimal digits",
        ),
        (
            &[("isid", "c00000000000")],
            "isid: \"c00000000000\" is not an ISID: 12 hexadecimal digits",
        ),
        (
            &[("read-only", "maybe")],
            "read-only: \"maybe\" is not yes or no",
        ),
        (
            &[("max-burst-length", "511")],
            "max-burst-length: \"511\" is not a number of bytes from 512 to 16777215",
        ),
        (
            &[("auth", "chap")],
            "user: missing; CHAP needs the name the target knows",
        ),
        (
            &[("user", "me")],
            "password: missing; CHAP needs the secret that goes with `user`",
        ),
        (
            &[("auth", "none"), ("user", "me")],
            "user: has no use with auth=none",
        ),
        (&[("password", "")], "password: must be 1 to 255 bytes long"),
        (
            &[
                ("user", "me"),
                ("password", "hush-hush-hush"),
                ("target-user", "you"),
            ],
            "target-password: missing; mutual CHAP needs the target's secret",
        ),
        (
            &[("chap-algorithms", "sha3")],
            "chap-algorithms: \"sha3\" is not a list of sha256 and md5",
        ),
        (
            &[("first-burst-length", "8192"), ("max-burst-length", "4096")],
            "first-burst-length: must not be more than max-burst-length",
        ),
    ] {
        assert_eq!(parse(pairs), Err(line.to_string()));
    }
    let missing = |pairs: &[(&str, &str)]| {
        Config::parse(pairs.iter().copied())
            .unwrap_err()
            .to_string()
    };
    assert!(missing(&[]).starts_with("portal: missing"));
    assert!(missing(&[("portal", "::1")]).starts_with("target: missing"));
}

#[test]
fn same_secret_in_both_directions_is_refused() {
    let error = Config::parse([
        ("portal", "10.0.0.1"),
        ("target", "iqn.2026-11.example:disk"),
        ("lun", "0"),
        ("user", "me"),
        ("password", "the-same-secret"),
        ("target-password", "the-same-secret"),
    ])
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("target-password: must not be the same as password")
    );
    assert!(!error.to_string().contains("the-same-secret"));
}

#[test]
fn configured_secrets_do_not_show() {
    let config = config(&[
        ("user", "me"),
        ("password", "a-secret"),
        ("target-password", "b-secret"),
    ]);
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("secret\"") && !shown.contains("a-secret"),
        "{shown}"
    );
}

#[test]
fn short_secrets_are_warned_of() {
    let warned = |password: &str| {
        let config = config(&[("user", "me"), ("password", password)]);
        let mut initiator = vcp_iscsi_initiator::Initiator::new(config, [0; 32], 0);
        let first = initiator.poll_action();
        matches!(first, Some(vcp_iscsi_initiator::Action::Log { message, .. })
            if message.contains("less than 12 bytes") && !message.contains(password))
    };
    assert!(warned("elevenbytes"));
    assert!(!warned("twelve bytes"));
}

#[test]
fn isid_is_stable_and_follows_the_instance() {
    let isid = |extra: &[(&str, &str)]| {
        let config = config(extra);
        let pair = Pair::new(config, Settings::default(), disk()).ready();
        let login = pair.peer.seen.iter().find_map(|pdu| match pdu {
            InitiatorPdu::LoginRequest(login) => Some(login.isid),
            _ => None,
        });
        login.unwrap()
    };
    assert_eq!(isid(&[]), isid(&[]));
    assert_ne!(isid(&[]), isid(&[("instance", "another")]));
    assert_eq!(
        isid(&[("isid", "80abcdef0001")]).0,
        [0x80, 0xab, 0xcd, 0xef, 0, 1]
    );
}
