//! Lost connections: reconnecting, and the fate of requests.

use vcp_iscsi_initiator::{Action, Level, Operation, Status};
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::{InitiatorPdu, TargetPdu};
use vcp_iscsi_proto::scsi::Command;

use crate::pair::*;

const MIB: u32 = 1 << 20;

#[test]
fn lost_connection_suspends_and_comes_back() {
    let mut pair = Pair::plain().ready();
    let (name, isid) = first_login(&pair);
    pair.cut("reset by peer");
    pair.run();
    assert_eq!(
        pair.suspended(),
        ["target iqn.2026-11.example:disk at 10.0.0.1:3260: connection lost: reset by peer"]
    );
    let tag = pair.read(0, 4096, 0);
    pair.run();
    assert!(!pair.completed.contains_key(&tag));
    pair.peer.seen.clear();
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.readies(), 2);
    // The same session is reinstated: same name and ISID, TSIH 0.
    assert_eq!(first_login(&pair), (name, isid));
}

fn first_login(pair: &Pair) -> (u16, vcp_iscsi_proto::Isid) {
    let login = pair.peer.seen.iter().find_map(|pdu| match pdu {
        InitiatorPdu::LoginRequest(login) => Some((login.tsih, login.isid)),
        _ => None,
    });
    login.unwrap()
}

#[test]
fn back_off_doubles_up_to_five_seconds() {
    let mut pair = Pair::plain().ready();
    pair.reachable = false;
    let start = pair.now;
    pair.cut("reset by peer");
    let mut times = Vec::new();
    while times.len() < 9 {
        let before = pair.connects.len();
        let deadline = pair.initiator.next_deadline().unwrap();
        pair.run_until(deadline);
        if pair.connects.len() > before {
            times.push((deadline - start) / MS);
        }
    }
    assert_eq!(
        times,
        [100, 300, 700, 1500, 3100, 6300, 11300, 16300, 21300]
    );
    assert_eq!(pair.suspended().len(), 1, "said once");
    pair.reachable = true;
    pair.run_for(5 * SECOND);
    assert_eq!(pair.readies(), 2);
}

/// How often the log reports this about attempts to connect, for operators.
fn told_attempts(pair: &Pair, what: &str) -> usize {
    let told = |action: &&Action| {
        matches!(action, Action::Log { level, message }
            if *level != Level::Debug && message.contains(what))
    };
    pair.actions.iter().filter(told).count()
}

#[test]
fn attempts_that_all_fail_alike_are_told_once_in_an_outage() {
    let mut pair = Pair::plain().ready();
    for outage in 1..=2 {
        pair.reachable = false;
        pair.cut("reset by peer");
        pair.run_for(60 * SECOND);
        assert!(pair.connects.len() > 10 * outage, "it goes on trying");
        assert_eq!(told_attempts(&pair, "cannot connect"), outage);
        pair.reachable = true;
        pair.run_for(6 * SECOND);
        assert_eq!(pair.readies(), 1 + outage);
    }
}

#[test]
fn refusals_after_the_first_ready_are_waited_out() {
    let mut pair = Pair::plain().ready();
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.status = LoginStatus::NotFound;
        }
        true
    }));
    pair.cut("reset by peer");
    pair.run_for(10 * SECOND);
    assert_eq!(pair.failed(), None);
    assert_eq!(
        pair.suspended().len(),
        2,
        "the connection, then the refusal"
    );
    assert_eq!(told_attempts(&pair, "login refused"), 0, "that is told");
    pair.peer.mangle = None;
    pair.run_for(6 * SECOND);
    assert_eq!(pair.readies(), 2);
}

#[test]
fn default_time2wait_is_waited() {
    let settings = Settings {
        time2wait: 3,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    pair.cut("reset by peer");
    pair.run_for(2900 * MS);
    assert_eq!(pair.connects.len(), 1);
    pair.run_for(200 * MS);
    assert_eq!(pair.connects.len(), 2);
}

/// A login to another portal group takes nothing over: commands of the old session could
/// still write.
#[test]
fn portal_that_changes_its_group_is_not_written_to() {
    let mut pair = Pair::plain().ready();
    let tag = pair.write(0, 4096, 0);
    pair.cut("reset by peer");
    pair.peer.settings.portal_group = Some(2);
    pair.run_for(10 * SECOND);
    assert_eq!((pair.readies(), pair.failed()), (1, None));
    assert!(!pair.completed.contains_key(&tag));
    let why = "it is of portal group 2 now, and was of 1 before";
    let told =
        |action: &Action| matches!(action, Action::Log { message, .. } if message.contains(why));
    assert!(pair.actions.iter().any(told));
    // The group is back again, or is not mentioned.
    pair.peer.settings.portal_group = Some(1);
    pair.run_for(6 * SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    pair.run_for(11 * SECOND);
    pair.cut("reset by peer");
    pair.peer.settings.portal_group = None;
    pair.run_for(SECOND);
    assert_eq!(pair.readies(), 3);
}

#[test]
fn another_unit_in_its_place_is_the_end() {
    let mut pair = Pair::plain().ready();
    let tag = pair.read(0, 4096, 0);
    pair.cut("reset by peer");
    pair.peer.disk.naa = Some([0x50, 9, 9, 9, 9, 9, 9, 9]);
    pair.run_for(SECOND);
    let line = pair.failed().unwrap();
    assert!(
        line.contains("logical unit 1: it is another logical unit than before"),
        "{line}"
    );
    assert_eq!(pair.completed[&tag], Status::ShuttingDown);
}

#[test]
fn another_block_size_is_the_end() {
    let mut pair = Pair::plain().ready();
    pair.cut("reset by peer");
    pair.peer.disk.block = 4096;
    pair.run_for(SECOND);
    assert!(pair.failed().unwrap().contains("block size"));
}

#[test]
fn flush_stays_behind_the_writes_before_it() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        peer.logins == 1 && matches!(pdu, InitiatorPdu::ScsiCommand(_))
    }));
    for n in 0..4 {
        pair.write(n * 4096, 4096, 0);
    }
    let flush = pair.submit(Operation::Flush, 0, 0, 0);
    let after = pair.write(1 << 20, 4096, 0);
    pair.run();
    pair.cut("reset by peer");
    pair.peer.seen.clear();
    pair.run_for(SECOND);
    assert_eq!(pair.completed.len(), 6);
    assert_eq!(
        (pair.completed[&flush], pair.completed[&after]),
        (Status::Ok, Status::Ok)
    );
    let done: Vec<u8> = pair
        .peer
        .disk
        .done
        .iter()
        .rev()
        .take(6)
        .rev()
        .copied()
        .collect();
    // Later requests need not wait with the flush.
    assert_eq!(done, [0x2a, 0x2a, 0x2a, 0x2a, 0x2a, 0x35]);
    // The flush is not sent before the last of the writes was answered.
    let tags: Vec<u64> = pair
        .actions
        .iter()
        .filter_map(|a| match a {
            Action::Complete { tag, .. } => Some(*tag),
            _ => None,
        })
        .collect();
    assert_eq!(tags[5], flush);
}

#[test]
fn unanswered_requests_are_sent_again_in_order() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        peer.logins == 1 && matches!(pdu, InitiatorPdu::ScsiCommand(_))
    }));
    for n in 0..8 {
        pair.fill(n * 512, 512, n as u8);
        pair.write(u64::from(n) * 512, 512, n * 512);
    }
    pair.run();
    pair.cut("reset by peer");
    pair.peer.seen.clear();
    pair.run_for(SECOND);
    let lbas: Vec<u64> = pair
        .peer
        .seen
        .iter()
        .filter_map(|pdu| match pdu {
            InitiatorPdu::ScsiCommand(c) => Some(Command::parse(&c.cdb).unwrap()),
            _ => None,
        })
        .filter_map(|command| match command {
            Command::Write { lba, .. } => Some(lba),
            _ => None,
        })
        .collect();
    assert_eq!(lbas, (0..8).collect::<Vec<_>>());
    assert!(pair.completed.values().all(|&status| status == Status::Ok));
}

/// Breaks the connection after every number of bytes, both ways together, and each time
/// everything must succeed in the end.
#[test]
fn loss_at_every_step() {
    let settings = || Settings {
        immediate_data: false,
        max_burst: 8192,
        first_burst: 8192,
        data_in: 4096,
        ..Settings::default()
    };
    let whole = {
        let mut pair = Pair::new(config(&[]), settings(), Disk::new(512, 1 << 20));
        pair.budget = Some(usize::MAX);
        workload(&mut pair);
        usize::MAX - pair.budget.unwrap()
    };
    // The steps are small in the beginning, where the PDUs are small; both hit every
    // place in a header.
    let points = (0..400).map(|n| n * 11).chain((4400..whole).step_by(397));
    for budget in points {
        let mut pair = Pair::new(config(&[]), settings(), Disk::new(512, 1 << 20));
        pair.budget = Some(budget);
        pair.run();
        if pair.failed().is_some() {
            // Before the first `Ready` a failure is final.
            assert_eq!(pair.readies(), 0, "cut at {budget}");
            continue;
        }
        workload(&mut pair);
        assert!(pair.suspended().len() <= 1, "cut at {budget}");
    }
}

fn workload(pair: &mut Pair) {
    pair.run();
    pair.fill(0, 65536, 7);
    let tags = [
        pair.write(0, 32768, 0),
        pair.write(32768, 32768, 32768),
        pair.submit(Operation::Flush, 0, 0, 0),
        pair.submit(Operation::Discard, 1 << 20, 65536, 0),
    ];
    pair.run_for(SECOND);
    let read = pair.read(0, 65536, MIB);
    pair.run_for(SECOND);
    for tag in tags.into_iter().chain([read]) {
        assert_eq!(pair.completed.get(&tag), Some(&Status::Ok));
    }
    assert!(pair.bytes(0, 65536) == pair.bytes(MIB, 65536));
}
