//! The LUN of a unit: whatever eight bytes the target lists for its number.

use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::Lun;
use vcp_iscsi_proto::pdu::InitiatorPdu;

use crate::pair::*;
use crate::{commands, logged};

/// A pair for the unit of a number, which is at `exact` and listed among `luns`.
fn at(number: &str, exact: u64, luns: &[u64]) -> Pair {
    let mut disk = Disk::new(512, 1 << 20);
    disk.exact = Some((Lun(exact), luns.iter().copied().map(Lun).collect()));
    Pair::new(config(&[("lun", number)]), Settings::default(), disk)
}

const PERIPHERAL_300: u64 = 0x012c_0000_0000_0000;
const FLAT_1: u64 = 0x4001_0000_0000_0000;
const UNIT_1: u64 = 0x8001_0000_0000_0000;
const OWN_1: u64 = 0x0001_0000_0000_0000;

#[test]
fn unit_is_asked_where_the_target_lists_it() {
    for (number, exact) in [
        ("300", PERIPHERAL_300),
        ("1", FLAT_1),
        ("1", UNIT_1),
        ("0", 0x4000_0000_0000_0000),
        ("300", 0x412c_0000_0000_0000),
    ] {
        let mut pair = at(number, exact, &[0x00ff_0000_0000_0000, exact]).ready();
        pair.fill(0, 65536, 3);
        for tag in [
            pair.write(0, 65536, 0),
            pair.submit(Operation::Flush, 0, 0, 0),
            pair.submit(Operation::Discard, 1 << 20, 4096, 0),
        ] {
            assert_eq!(pair.finish(tag), Status::Ok);
        }
        let tag = pair.read(0, 65536, 1 << 20);
        assert_eq!(pair.finish(tag), Status::Ok);
        assert_eq!(pair.bytes(0, 65536), pair.bytes(1 << 20, 65536));
        assert_eq!(pair.suspended(), Vec::<String>::new());
        // The next session begins with the known LUN.
        pair.peer.seen.clear();
        pair.cut("reset by peer");
        pair.run_for(SECOND);
        assert_eq!(pair.readies(), 2);
        assert!(
            commands(&pair)
                .iter()
                .all(|(lun, _)| *lun == exact || *lun == 0)
        );
    }
}

#[test]
fn aborts_go_where_the_command_went() {
    let mut pair = at("300", PERIPHERAL_300, &[PERIPHERAL_300]).ready();
    pair.peer.intercept = Some(Box::new(
        |_, pdu, _| matches!(pdu, InitiatorPdu::ScsiCommand(c) if c.cdb[0] == 0x28),
    ));
    pair.read(0, 4096, 0);
    pair.run_for(31 * SECOND);
    let luns: Vec<u64> = pair
        .peer
        .seen
        .iter()
        .filter_map(|pdu| match pdu {
            InitiatorPdu::TaskRequest(request) => Some(request.lun.0),
            _ => None,
        })
        .collect();
    assert_eq!(luns, [PERIPHERAL_300]);
}

/// Our own encoding is preferred to any other, for it was always used.
#[test]
fn own_encoding_is_preferred() {
    for luns in [[FLAT_1, OWN_1, UNIT_1], [UNIT_1, FLAT_1, OWN_1]] {
        let pair = at("1", OWN_1, &luns).ready();
        let others = commands(&pair);
        assert!(others.iter().all(|(lun, _)| *lun == OWN_1 || *lun == 0));
    }
    at("1", FLAT_1, &[UNIT_1, FLAT_1]).ready();
}

/// This holds even if it is beyond the end of the first, shorter list.
#[test]
fn own_encoding_is_looked_for_in_the_whole_list() {
    let mut luns: Vec<u64> = (2..1000).map(|n| Lun::new(n).unwrap().0).collect();
    luns.insert(0, FLAT_1);
    luns.push(OWN_1);
    at("1", OWN_1, &luns).ready();
}

#[test]
fn forms_that_are_not_for_disks_are_named() {
    for (lun, shown) in [
        (
            0xc101_0000_0000_0000,
            "1 (well-known logical unit); 1 as well-known logical unit is not for use",
        ),
        (
            0xd200_0001_0000_0000,
            "1 (extended flat space addressing); 1 as extended flat space addressing is not for use",
        ),
        (
            0xe200_0000_0001_0000,
            "1 (long extended flat space addressing); 1 as long extended flat space addressing is not for use",
        ),
    ] {
        let mut pair = at("1", lun, &[0, lun]);
        pair.run();
        let line = pair.failed().unwrap();
        let expected = format!("logical unit 1 does not exist; the target has 0, {shown}");
        assert!(line.ends_with(&expected), "{line}");
    }
}

/// The target moves the unit to another LUN.
#[test]
fn unit_that_moves_is_followed() {
    let mut pair = at("1", OWN_1, &[OWN_1]).ready();
    pair.peer.disk.exact = Some((Lun(FLAT_1), vec![Lun(FLAT_1)]));
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    assert_eq!(pair.readies(), 2);
    let tag = pair.write(0, 65536, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(logged(&pair, "does not exist"), 0);
}

/// Without REPORT LUNS only our own encoding is used.
#[test]
fn own_encoding_without_a_list() {
    let mut pair = at("1", OWN_1, &[]);
    pair.peer.disk.unknown = vec![0xa0];
    pair.ready();
}
