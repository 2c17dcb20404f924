//! When a session can be handed over, and how it continues.

use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::pdu::{AsyncEvent, AsyncMessage, InitiatorPdu, NopIn, TargetPdu};
use vcp_iscsi_proto::scsi::{Asc, SenseKey};
use vcp_iscsi_proto::{Lun, RESERVED_TAG, Serial};

use crate::pair::*;
use crate::{forged, hand_over, replace};

const LENGTH: u32 = 65536;
const MIB: u32 = 1 << 20;

/// Writes, reads back and compares, `rounds` times, with a new initiator each time.
fn traffic(pair: &mut Pair, rounds: u32, next: impl Fn() -> vcp_iscsi_initiator::Config) {
    for round in 0..rounds {
        pair.fill(0, LENGTH, round as u8);
        let at = u64::from(round) * 4096;
        let mut tags = vec![
            pair.write(at, LENGTH, 0),
            pair.submit(Operation::Flush, 0, 0, 0),
        ];
        pair.run();
        hand_over(pair, next());
        tags.extend((0..8).map(|n| pair.read(at + n * 8192, 8192, MIB + n as u32 * 8192)));
        pair.run();
        assert!(tags.iter().all(|tag| pair.completed[tag] == Status::Ok));
        assert!(pair.bytes(MIB, LENGTH) == pair.bytes(0, LENGTH));
        hand_over(pair, next());
    }
    assert_eq!((pair.peer.logins, pair.connects.len()), (1, 1));
    assert_eq!((pair.suspended().len(), pair.failed()), (0, None));
}

#[test]
fn traffic_goes_on() {
    let mut pair = Pair::plain().ready();
    traffic(&mut pair, 100, || config(&[]));
}

#[test]
fn traffic_goes_on_with_digests() {
    let settings = || Settings {
        digests: true,
        immediate_data: false,
        initial_r2t: true,
        status_in_data: false,
        ..Settings::default()
    };
    let config = || config(&[("header-digest", "crc32c"), ("data-digest", "prefer")]);
    let mut pair = Pair::new(config(), settings(), Disk::new(512, 1 << 20)).ready();
    traffic(&mut pair, 50, config);
}

/// Numbers wrap between one version and the next. The scripted target keeps its own
/// numbers.
#[test]
fn numbers_wrap_across_versions() {
    for ahead in 0..12 {
        let mut pair = Pair::plain().ready();
        let start = u32::MAX - ahead;
        let snapshot = pair.initiator.snapshot(pair.now).unwrap();
        let snapshot = forged(&snapshot, |value| {
            let numbers = &mut value["numbers"];
            numbers["cmd_sn"] = start.into();
            numbers["exp_cmd_sn"] = start.into();
            numbers["max_cmd_sn"] = start.wrapping_add(31).into();
            numbers["exp_stat_sn"] = start.into();
            value["tags"] = (0xffff - ahead).into();
        });
        replace(&mut pair, config(&[]), snapshot.unwrap());
        (pair.peer.exp_cmd_sn, pair.peer.stat_sn) = (Serial(start), Serial(start));
        pair.peer.last_cmd_sn = None;
        traffic(&mut pair, 4, || config(&[]));
    }
}

#[test]
fn pings_of_the_target_are_answered() {
    let mut pair = Pair::plain().ready();
    let ping = |pair: &mut Pair, ttt| {
        let (sn, lun) = (pair.peer.numbers(), Lun::default());
        pair.peer.send(
            NopIn {
                data_len: 0,
                lun,
                itt: RESERVED_TAG,
                ttt,
                sn,
            },
            &[],
        );
    };
    hand_over(&mut pair, config(&[]));
    ping(&mut pair, 5);
    assert_eq!(
        pair.initiator.snapshot(pair.now).map(|_| ()),
        Ok(()),
        "nothing came yet"
    );
    pair.run();
    // A ping that has come and is not answered yet belongs to this version.
    ping(&mut pair, 6);
    let bytes: Vec<u8> = pair.peer.out.drain(..).collect();
    pair.initiator
        .receive(pair.now, &bytes[..20], &mut pair.memory);
    assert_eq!(pair.initiator.snapshot(pair.now), Err("a PDU is under way"));
    pair.initiator
        .receive(pair.now, &bytes[20..], &mut pair.memory);
    assert_eq!(pair.initiator.snapshot(pair.now), Err("a PDU is under way"));
    pair.run();
    hand_over(&mut pair, config(&[]));
    let answers = pair.peer.seen.iter();
    let answers =
        answers.filter(|p| matches!(p, InitiatorPdu::NopOut(nop) if nop.ttt != RESERVED_TAG));
    assert_eq!(answers.count(), 2);
    traffic(&mut pair, 2, || config(&[]));
}

#[test]
fn timers_run_on() {
    let mut pair = Pair::plain().ready();
    pair.now += 1000 * SECOND;
    hand_over(&mut pair, config(&[]));
    assert_eq!(pair.initiator.next_deadline(), Some(pair.now + 5 * SECOND));
    // A session with an unanswered ping is not handed over, but the echo soon comes.
    pair.initiator.handle_timeout(pair.now + 5 * SECOND);
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("a ping is under way")
    );
    pair.run();
    hand_over(&mut pair, config(&[]));
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        peer.logins == 1 && matches!(pdu, InitiatorPdu::NopOut(_))
    }));
    pair.run_for(11 * SECOND);
    assert!(pair.suspended()[0].contains("no answer to a ping"));
    assert_eq!(pair.peer.logins, 2);
}

/// This version finishes what it was asked; until then the next one asks in vain.
#[test]
fn nothing_is_handed_over_that_is_under_way() {
    let fresh = vcp_iscsi_initiator::Initiator::new(config(&[]), [1; 32], 0);
    assert_eq!(fresh.snapshot(0), Err("there is no session"));

    let mut pair = Pair::plain().ready();
    let tag = pair.read(0, 4096, 0);
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("commands are under way")
    );
    let mut buffer = [0; 30];
    pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
    pair.peer.receive(&buffer);
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("commands are under way")
    );
    assert_eq!(pair.finish(tag), Status::Ok);
    hand_over(&mut pair, config(&[]));

    let tag = pair.read(u64::MAX - 511, 512, 0);
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("actions are still to be taken")
    );
    assert_eq!(pair.finish(tag), Status::Invalid);

    // The logical unit has changed, which is surveyed first.
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::MODE_PARAMETERS_CHANGED)];
    pair.peer.disk.write_protected = true;
    let tag = pair.read(0, 4096, 0);
    let mut buffer = [0; 4096];
    let count = pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
    pair.peer.receive(&buffer[..count]);
    let bytes: Vec<u8> = pair.peer.out.drain(..).collect();
    pair.initiator.receive(pair.now, &bytes, &mut pair.memory);
    while pair.initiator.poll_action().is_some() {}
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("commands are under way")
    );
    assert_eq!(pair.finish(tag), Status::Ok);
    assert!(pair.geometry().read_only);
    hand_over(&mut pair, config(&[]));

    pair.initiator.stop(pair.now);
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("the session is being left")
    );
    pair.run();
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("there is no session")
    );
}

#[test]
fn requests_of_the_target_are_dealt_with_first() {
    let send = |pair: &mut Pair, event| {
        let sn = pair.peer.status();
        pair.peer.send(
            AsyncMessage {
                event,
                data_len: 0,
                lun: Lun::default(),
                sn,
            },
            &[],
        );
        let bytes: Vec<u8> = pair.peer.out.drain(..).collect();
        pair.initiator.receive(pair.now, &bytes, &mut pair.memory);
    };
    let mut pair = Pair::plain().ready();
    send(&mut pair, AsyncEvent::Negotiate { within: 3 });
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("a negotiation is under way")
    );
    pair.run();
    hand_over(&mut pair, config(&[]));
    send(&mut pair, AsyncEvent::LogoutRequest { within: 3 });
    while pair.initiator.poll_action().is_some() {}
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("the session is being left")
    );
    pair.run();
    assert_eq!(
        pair.initiator.snapshot(pair.now),
        Err("there is no session")
    );
    pair.run_for(SECOND);
    hand_over(&mut pair, config(&[]));
}

/// A session that is lost after the hand-over comes back like any other.
#[test]
fn lost_sessions_come_back() {
    let settings = Settings {
        time2wait: 3,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    hand_over(&mut pair, config(&[]));
    let tag = pair.write(0, 4096, 0);
    pair.cut("reset by peer");
    pair.run();
    assert_eq!(pair.suspended().len(), 1);
    pair.run_for(2900 * MS);
    assert_eq!(pair.connects.len(), 1, "DefaultTime2Wait was handed over");
    pair.run_for(200 * MS);
    assert_eq!(pair.completed[&tag], Status::Ok);
    hand_over(&mut pair, config(&[]));
    // The unit's properties and the portal's group are handed over too.
    pair.cut("reset by peer");
    pair.peer.settings.portal_group = Some(2);
    pair.run_for(10 * SECOND);
    let before = pair.readies();
    pair.peer.settings.portal_group = Some(1);
    pair.peer.disk.naa = Some([0x50, 9, 9, 9, 9, 9, 9, 9]);
    pair.run_for(10 * SECOND);
    assert!(pair.failed().unwrap().contains("another logical unit"));
    assert_eq!(pair.readies(), before);
}

/// A temporary redirection of a login holds for the session; a permanent one also holds
/// for the next.
#[test]
fn portals_are_handed_over() {
    use vcp_iscsi_proto::login::LoginStatus;
    for (status, ports) in [
        (LoginStatus::TargetMovedTemporarily, [3260, 3261, 3260]),
        (LoginStatus::TargetMovedPermanently, [3260, 3261, 3261]),
    ] {
        let mut pair = Pair::plain();
        let mut done = false;
        pair.peer.mangle = Some(Box::new(move |pdu, data| {
            if let TargetPdu::LoginResponse(response) = pdu
                && !core::mem::replace(&mut done, true)
            {
                response.status = status;
                *data = b"TargetAddress=10.0.0.2:3261,1\0".to_vec();
                response.data_len = data.len() as u32;
            }
            true
        }));
        let mut pair = pair.ready();
        hand_over(&mut pair, config(&[]));
        pair.cut("reset by peer");
        pair.run_for(SECOND);
        let connects: Vec<u16> = pair.connects.iter().map(|a| a.port()).collect();
        assert_eq!(connects, ports);
    }
}

/// Findings about the unit over time are handed over too. An error of an earlier write is
/// reported by the first flush, whichever version serves it.
#[test]
fn failed_writes_are_handed_over() {
    use vcp_iscsi_proto::scsi::{Sense, Status as ScsiStatus};
    let mut pair = Pair::plain().ready();
    let mut told = false;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if command.cdb[0] != 0x28 || core::mem::replace(&mut told, true) {
            return false;
        }
        peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        let mut sense = Sense::new(SenseKey::MediumError, Asc(0x0c, 0));
        sense.deferred = true;
        let (status, sense) = (ScsiStatus::CheckCondition, sense.emit_fixed());
        peer.respond(command.itt, status, Some(&sense), 0, true);
        true
    }));
    let read = pair.read(0, 512, 0);
    assert_eq!(pair.finish(read), Status::Ok);
    hand_over(&mut pair, config(&[]));
    for expected in [Status::IoError, Status::Ok] {
        let flush = pair.submit(Operation::Flush, 0, 0, 0);
        assert_eq!(pair.finish(flush), expected);
    }
}

#[test]
fn what_was_learnt_is_handed_over() {
    let flat = vcp_iscsi_proto::Lun(0x4001_0000_0000_0000);
    let mut disk = Disk::new(512, 1 << 20);
    (disk.exact, disk.longest) = (Some((flat, vec![flat])), Some(128));
    let mut pair = Pair::new(config(&[]), Settings::default(), disk).ready();
    let tag = pair.read(0, 1 << 20, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    hand_over(&mut pair, config(&[]));
    pair.run();
    assert_eq!(pair.geometry().max_transfer, 65536);
    pair.peer.seen.clear();
    let tag = pair.write(0, 1 << 20, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    let sent = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(command.lun),
        _ => None,
    });
    assert_eq!(sent.collect::<Vec<_>>(), [flat; 16]);
    // This includes findings that show only in the next survey.
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    assert_eq!((pair.failed(), pair.geometry().max_transfer), (None, 65536));
}

/// The next version asks a question that was not answered.
#[test]
fn open_questions_are_handed_over() {
    use vcp_iscsi_proto::scsi::{Asc, Command, SenseKey, page};
    let mut pair = Pair::plain().ready();
    pair.peer.disk.say = Some(Box::new(|command| {
        let named = matches!(
            command,
            Command::Inquiry {
                vpd: Some(page::DEVICE_IDENTIFICATION),
                ..
            }
        );
        let failure = (SenseKey::HardwareError, Asc::INTERNAL_FAILURE);
        named.then_some(crate::pair::disk::Reply::Sense(failure.0, failure.1))
    }));
    pair.peer.disk.attention = vec![(SenseKey::UnitAttention, Asc::INQUIRY_CHANGED)];
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    hand_over(&mut pair, config(&[]));
    pair.peer.disk.say = None;
    pair.peer.disk.naa = Some([0x50, 9, 9, 9, 9, 9, 9, 9]);
    pair.run_for(SECOND);
    assert!(pair.failed().unwrap().contains("another logical unit"));
}
