//! A unit that does not identify itself is not taken for another.

use std::cell::Cell;
use std::rc::Rc;

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::scsi::{Asc, Command, SenseKey, Status as ScsiStatus, page};

use crate::logged;
use crate::pair::disk::Reply;
use crate::pair::*;

/// How often a page is not answered, counted down.
type Times = Rc<Cell<u32>>;

/// Makes the disk give this reply to the next inquiries of these pages.
fn silence(pair: &mut Pair, pages: &'static [u8], reply: fn() -> Reply) -> Times {
    let times = Rc::new(Cell::new(1));
    let left = Rc::clone(&times);
    pair.peer.disk.say = Some(Box::new(move |command| match command {
        Command::Inquiry {
            vpd: Some(code), ..
        } if pages.contains(code) && left.get() > 0 => {
            left.set(left.get() - 1);
            Some(reply())
        }
        _ => None,
    }));
    times
}

fn hardware() -> Reply {
    Reply::Sense(SenseKey::HardwareError, Asc::INTERNAL_FAILURE)
}

/// Every way of not answering.
const WAYS: [fn() -> Reply; 7] = [
    hardware,
    || Reply::Sense(SenseKey::NotReady, Asc::NOT_READY),
    || Reply::Sense(SenseKey::IllegalRequest, Asc::LUN_NOT_SUPPORTED),
    || Reply::Sense(SenseKey::NotReady, Asc::TARGET_PORT_STANDBY),
    || Reply::Status(ScsiStatus::ReservationConflict),
    // These are cut short, or of another page.
    || Reply::Data(vec![0, 0x83, 0]),
    || Reply::Data(vec![0, 0xb0, 0, 0]),
];

#[test]
fn unknown_identity_is_asked_again() {
    for pages in [
        &[page::SUPPORTED_PAGES] as &'static [u8],
        &[page::DEVICE_IDENTIFICATION],
    ] {
        for way in WAYS {
            let mut pair = Pair::plain().ready();
            let tag = pair.read(0, 4096, 0);
            pair.cut("reset by peer");
            silence(&mut pair, pages, way);
            pair.run_for(SECOND);
            assert_eq!((pair.failed(), pair.readies()), (None, 2));
            assert_eq!(pair.completed[&tag], Status::Ok);
            // It is asked again in the same session.
            assert_eq!(pair.peer.logins, 2);
        }
    }
}

/// A page that the unit had does not vanish.
#[test]
fn list_of_pages_that_is_refused_once_is_asked_again() {
    let mut pair = Pair::plain().ready();
    pair.cut("reset by peer");
    silence(&mut pair, &[page::SUPPORTED_PAGES], || {
        Reply::Sense(SenseKey::IllegalRequest, Asc::INVALID_FIELD_IN_CDB)
    });
    pair.run_for(SECOND);
    assert_eq!((pair.failed(), pair.readies()), (None, 2));
}

/// A designator that is cut in the middle looks like another one.
#[test]
fn designators_that_are_cut_short_are_asked_again() {
    let mut pair = Pair::plain().ready();
    pair.cut("reset by peer");
    silence(&mut pair, &[page::DEVICE_IDENTIFICATION], || {
        Reply::Data(vec![0, 0x83, 0, 12, 1, 3, 0, 8, 0x50, 1, 2])
    });
    pair.run_for(SECOND);
    assert_eq!((pair.failed(), pair.readies()), (None, 2));
}

#[test]
fn requests_wait_for_an_identity_that_is_not_told() {
    let mut pair = Pair::plain().ready();
    let tag = pair.read(0, 4096, 0);
    pair.cut("reset by peer");
    let times = silence(&mut pair, &[page::DEVICE_IDENTIFICATION], hardware);
    times.set(u32::MAX);
    pair.run_for(300 * SECOND);
    assert_eq!((pair.failed(), pair.peer.logins), (None, 2));
    assert!(!pair.completed.contains_key(&tag));
    // The outage and its reason are reported once.
    let [lost, silent] = &pair.suspended()[..] else {
        panic!("{:?}", pair.suspended())
    };
    assert!(lost.contains("reset by peer"));
    assert!(silent.contains("does not tell which it is: "), "{silent}");
    assert!(silent.contains("internal target failure (44h/00h)"));
    // It is asked at 100, 200 … 3200 ms, and every 5 s from then on.
    let asked = u32::MAX - times.get();
    assert!((60..70).contains(&asked), "{asked}");
    times.set(0);
    pair.run_for(5 * SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    // The next outage is reported again.
    pair.cut("reset by peer");
    times.set(2);
    pair.run_for(SECOND);
    assert_eq!((pair.suspended().len(), pair.readies()), (4, 3));
}

/// Requests do not wait for the survey.
#[test]
fn requests_go_on_beside_questions_that_are_not_answered() {
    let mut pair = Pair::plain().ready();
    let times = silence(&mut pair, &[page::DEVICE_IDENTIFICATION], hardware);
    times.set(u32::MAX);
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::INQUIRY_CHANGED)];
    let tag = pair.read(0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    pair.run_for(60 * SECOND);
    let tag = pair.write(0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!((pair.failed(), pair.suspended().len()), (None, 0));
    assert_eq!(logged(&pair, "does not tell which it is"), 1);
    // The final answer counts.
    pair.peer.disk.naa = Some([0x50, 9, 9, 9, 9, 9, 9, 9]);
    times.set(0);
    pair.run_for(6 * SECOND);
    assert!(pair.failed().unwrap().contains("another logical unit"));
}

/// A serial number suffices for a unit without a designator.
#[test]
fn other_serial_number_is_another_unit() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.naa = None;
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    pair.cut("reset by peer");
    pair.peer.disk.serial = "serial-2".into();
    pair.run_for(SECOND);
    assert!(pair.failed().unwrap().contains("another logical unit"));
}

/// The designator decides; a serial number may be that of the whole storage system.
#[test]
fn other_serial_number_with_the_same_designator_is_the_same_unit() {
    let mut pair = Pair::plain().ready();
    pair.cut("reset by peer");
    pair.peer.disk.serial = "serial-2".into();
    pair.run_for(SECOND);
    assert_eq!((pair.failed(), pair.readies()), (None, 2));
}

#[test]
fn unit_that_never_says_which_it_is_is_served_in_the_end() {
    let mut pair = Pair::plain();
    let times = silence(&mut pair, &[page::DEVICE_IDENTIFICATION], hardware);
    times.set(u32::MAX);
    pair.run_for(10 * SECOND);
    assert_eq!((pair.failed(), pair.readies()), (None, 0));
    pair.run_for(6 * SECOND);
    assert_eq!(pair.geometry().identity, "serial-1");
    // Its name, once told, is not that of another unit.
    times.set(0);
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    assert_eq!(pair.failed(), None);
    assert_eq!(pair.geometry().identity, "naa.5001020304050607");
    // From here on the unit is known.
    pair.cut("reset by peer");
    pair.peer.disk.naa = Some([0x50, 9, 9, 9, 9, 9, 9, 9]);
    pair.run_for(SECOND);
    assert!(pair.failed().unwrap().contains("another logical unit"));
}

/// Limits and mode pages that could not be read keep their values.
#[test]
fn unknown_limits_are_as_before() {
    let mut disk = Disk::new(512, 1 << 20);
    disk.limits.max_transfer = 16;
    (disk.write_protected, disk.write_cache) = (true, false);
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let before = pair.geometry();
    pair.cut("reset by peer");
    pair.peer.disk.say = Some(Box::new(|command| match command {
        Command::ModeSense { .. }
        | Command::Inquiry {
            vpd: Some(page::BLOCK_LIMITS | page::LOGICAL_BLOCK_PROVISIONING),
            ..
        } => Some(hardware()),
        _ => None,
    }));
    pair.run_for(SECOND);
    assert_eq!((pair.readies(), pair.geometry()), (2, before));
}

/// A successor of an instance that served the unit of this name.
fn successor(name: &str, disk: Disk) -> Pair {
    let config = config(&[]).with_predecessor(true);
    let config = config.with_identity(name.to_owned());
    Pair::new(config, Settings::default(), disk)
}

fn disk() -> Disk {
    Disk::new(512, 1 << 20)
}

const NAA: &str = "naa.5001020304050607";

#[test]
fn successor_takes_the_same_unit() {
    // The unit may be known by its serial number, from before it had a designator.
    for name in [NAA, "serial-1"] {
        let mut pair = successor(name, disk());
        pair.run_for(SECOND);
        assert_eq!((pair.failed(), pair.readies()), (None, 1), "{name}");
        assert_eq!(pair.geometry().identity, NAA);
    }
    let mut bare = disk();
    bare.naa = None;
    let mut pair = successor("serial-1", bare);
    pair.run_for(SECOND);
    assert_eq!((pair.failed(), pair.readies()), (None, 1));
}

#[test]
fn successor_holds_another_unit() {
    for (naa, serial) in [
        (Some([0x50, 9, 9, 9, 9, 9, 9, 9]), "serial-1"),
        (Some([0x50, 9, 9, 9, 9, 9, 9, 9]), "serial-2"),
        (None, "serial-2"),
    ] {
        let mut other = disk();
        (other.naa, other.serial) = (naa, serial.into());
        let mut pair = successor(NAA, other);
        let tag = pair.read(0, 4096, 0);
        pair.run_for(SECOND);
        assert!(pair.failed().unwrap().contains("another logical unit"));
        assert_eq!((pair.readies(), pair.peer.logins), (0, 1));
        assert_ne!(pair.completed.get(&tag), Some(&Status::Ok));
    }
}

/// This may take any time: requests wait, or fail if the host decides so.
#[test]
fn successor_waits_for_a_unit_that_does_not_say() {
    for way in WAYS {
        let mut pair = successor(NAA, disk());
        let pages = &[page::SUPPORTED_PAGES, page::DEVICE_IDENTIFICATION];
        let times = silence(&mut pair, pages, way);
        times.set(u32::MAX);
        pair.run_for(300 * SECOND);
        assert_eq!((pair.failed(), pair.readies()), (None, 0));
        let [why] = &pair.suspended()[..] else {
            panic!("{:?}", pair.suspended())
        };
        assert!(why.contains("does not tell which it is"), "{why}");
        times.set(0);
        pair.run_for(6 * SECOND);
        assert_eq!((pair.failed(), pair.readies()), (None, 1));
        assert_eq!(pair.geometry().identity, NAA);
    }
}
