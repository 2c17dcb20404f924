//! Requests that end sessions, and sessions that another initiator takes.

use vcp_iscsi_initiator::{Action, Operation, Status};
use vcp_iscsi_proto::pdu::*;

use crate::pair::*;

const LENGTH: u32 = 8192;
/// The offset of the write that ends sessions.
const POISON: u64 = 1 << 20;

fn is_poison(pdu: &InitiatorPdu) -> bool {
    matches!(pdu, InitiatorPdu::ScsiCommand(c)
        if c.cdb[0] == 0x2a && c.cdb[2..6] == ((POISON / 512) as u32).to_be_bytes())
}

fn logged(pair: &Pair, what: &str) -> usize {
    let has = |a: &&Action| matches!(a, Action::Log { message, .. } if message.contains(what));
    pair.actions.iter().filter(has).count()
}

/// Makes the target reset the connection whenever it meets the poison. Returns the status
/// of the poison after this many seconds.
fn resetting(pair: &mut Pair, seconds: u64, mut others: impl FnMut(&mut Pair)) {
    let hit = std::rc::Rc::new(std::cell::Cell::new(false));
    let seen = hit.clone();
    pair.peer.intercept = Some(Box::new(move |_, pdu, _| {
        if is_poison(pdu) {
            seen.set(true);
        }
        seen.get() && !matches!(pdu, InitiatorPdu::LoginRequest(_))
    }));
    let end = pair.now + seconds * SECOND;
    while pair.now < end {
        for _ in 0..20 {
            pair.step();
            if hit.replace(false) {
                pair.cut("reset by peer");
            }
        }
        others(pair);
        let next = pair.initiator.next_deadline().unwrap_or(end);
        let until = next.min(pair.now + 50 * MS).max(pair.now + MS);
        pair.now = until;
        pair.initiator.handle_timeout(until);
    }
}

#[test]
fn request_that_resets_the_connection_is_found_out_and_the_others_go_on() {
    let mut pair = Pair::plain().ready();
    let poison = pair.write(POISON, LENGTH, 0);
    let flush = pair.submit(Operation::Flush, 0, 0, 0);
    let mut reads = Vec::new();
    resetting(&mut pair, 20, |pair| {
        if reads.len() < 100 {
            reads.push(pair.read(0, LENGTH, 0));
        }
    });
    assert_eq!(pair.completed[&poison], Status::IoError);
    assert_eq!(pair.completed[&flush], Status::Ok);
    assert!(reads.iter().all(|tag| pair.completed[tag] == Status::Ok));
    // It is tried three times with others, then alone for a while.
    let sessions = pair.connects.len();
    assert!((6..=12).contains(&sessions), "{sessions} sessions");
    assert_eq!(logged(&pair, "sessions in a row"), 1);
    let line = "WRITE(10) 2Ah of 8192 bytes at 1048576 ended";
    assert_eq!(logged(&pair, line), 1);
}

/// Poison after poison, as from a client that tries again: the cost to the others must
/// not add up to a storm.
#[test]
fn delays_grow_while_sessions_prove_nothing() {
    let mut pair = Pair::plain().ready();
    let mut poison = pair.write(POISON, LENGTH, 0);
    let mut found_out = 0;
    resetting(&mut pair, 100, |pair| {
        if pair.completed.contains_key(&poison) {
            found_out += 1;
            poison = pair.write(POISON, LENGTH, 0);
        }
    });
    assert!(found_out >= 3, "{found_out} in {}", pair.connects.len());
    // There is about a second from one to the next.
    assert!(
        pair.connects.len() < 120,
        "{} connections",
        pair.connects.len()
    );
}

/// The target takes a write and is deaf from then on, while logins work.
#[test]
fn request_that_makes_the_target_deaf_is_found_out() {
    let mut pair = Pair::plain().ready();
    let mut deaf_since = 0;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        if is_poison(pdu) {
            deaf_since = peer.logins;
        }
        deaf_since == peer.logins && !matches!(pdu, InitiatorPdu::LoginRequest(_))
    }));
    let poison = pair.write(POISON, LENGTH, 0);
    let before = pair.read(0, LENGTH, 0);
    pair.run_for(60 * SECOND);
    assert_eq!(pair.completed[&poison], Status::IoError);
    assert_eq!(pair.completed[&before], Status::Ok);
    let after = pair.read(0, LENGTH, 0);
    assert_eq!(pair.finish(after), Status::Ok);
}

/// The control experiment: sessions that end for other reasons, each time with the same
/// requests under way, are not blamed on these.
#[test]
fn requests_that_do_no_harm_are_served_when_sent_alone() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        peer.logins <= 3
            && matches!(pdu, InitiatorPdu::ScsiCommand(c) if matches!(c.cdb[0], 0x28 | 0x2a | 0x35))
    }));
    pair.fill(0, LENGTH, 3);
    let mut tags: Vec<u64> = (0..8).map(|n| pair.write(n * 8192, LENGTH, 0)).collect();
    tags.push(pair.submit(Operation::Flush, 0, 0, 0));
    for _ in 0..3 {
        pair.run();
        pair.cut("reset by peer");
        pair.run_for(SECOND);
    }
    tags.push(pair.read(0, LENGTH, 1 << 20));
    pair.run_for(SECOND);
    assert!(
        tags.iter()
            .all(|tag| pair.completed.get(tag) == Some(&Status::Ok))
    );
    assert!(pair.bytes(0, LENGTH) == pair.bytes(1 << 20, LENGTH));
    assert_eq!(logged(&pair, "sessions in a row"), 0);
}

/// Two hosts have the same name: each login ends the other's session.
#[test]
fn sessions_that_another_host_takes_are_recognised() {
    let mut pair = Pair::plain().ready();
    for _ in 0..200 {
        let tag = pair.read(0, LENGTH, 0);
        pair.run_for(50 * MS);
        if pair.open {
            assert_eq!(pair.completed[&tag], Status::Ok);
            pair.cut("reset by peer");
        }
    }
    // In 10 s the delays are 100 ms, 200 ms and so on up to 5 s.
    assert!(
        pair.connects.len() <= 8,
        "{} connections",
        pair.connects.len()
    );
    assert_eq!(logged(&pair, "an initiator-name or isid of its own"), 1);
    let line = "if another host logs in as iqn.2026-11.example.vcp:initiator with ISID";
    assert_eq!(logged(&pair, line), 1);

    // The control experiment: sessions live for a while.
    let mut pair = Pair::plain().ready();
    for _ in 0..10 {
        pair.read(0, LENGTH, 0);
        pair.run_for(11 * SECOND);
        pair.cut("reset by peer");
        pair.run_for(150 * MS);
        assert!(pair.open, "back after 100 ms");
        pair.run_for(SECOND);
    }
    assert_eq!(logged(&pair, "of its own"), 0);
}

/// The target restarts again and again, for a while: no request is to blame.
#[test]
fn sessions_that_end_with_whatever_is_sent_blame_nothing_at_once() {
    let mut pair = Pair::plain().ready();
    let end = pair.now + 4 * SECOND;
    let dying = std::rc::Rc::new(std::cell::Cell::new(true));
    let hit = std::rc::Rc::new(std::cell::Cell::new(false));
    let (is_dying, seen) = (dying.clone(), hit.clone());
    pair.peer.intercept = Some(Box::new(move |_, pdu, _| {
        let data = matches!(pdu, InitiatorPdu::ScsiCommand(c) if matches!(c.cdb[0], 0x28 | 0x2a));
        seen.set(seen.get() || data && is_dying.get());
        data && is_dying.get()
    }));
    let tags = [
        pair.write(0, LENGTH, 0),
        pair.read(1 << 20, LENGTH, 1 << 20),
    ];
    while pair.now < end {
        pair.run_for(50 * MS);
        if hit.replace(false) && pair.open {
            pair.cut("reset by peer");
        }
    }
    assert!(pair.completed.is_empty());
    dying.set(false);
    pair.run_for(6 * SECOND);
    assert!(
        tags.iter()
            .all(|tag| pair.completed.get(tag) == Some(&Status::Ok))
    );
}

/// Other clients are served beside one that sends poison over and over.
#[test]
fn others_are_served_beside_one_poison_after_another() {
    let mut pair = Pair::plain().ready();
    let mut poisons: Vec<u64> = (0..4).map(|_| pair.write(POISON, LENGTH, 0)).collect();
    let (mut read, mut since, mut served, mut longest) = (pair.read(0, LENGTH, 0), pair.now, 0, 0);
    resetting(&mut pair, 100, |pair| {
        for poison in &mut poisons {
            if pair.completed.contains_key(poison) {
                *poison = pair.write(POISON, LENGTH, 0);
            }
        }
        if let Some(status) = pair.completed.get(&read) {
            assert_eq!(*status, Status::Ok);
            longest = longest.max(pair.now - since);
            served += 1;
            (read, since) = (pair.read(0, LENGTH, 0), pair.now);
        }
    });
    assert!(served > 20, "{served} reads in 100 s");
    assert!(longest < 15 * SECOND, "{} ms for one", longest / MS);
}

/// Data that comes after the end of its command is blamed on that command, and not on
/// what is then under way.
#[test]
fn what_comes_too_late_is_nobody_elses_fault() {
    use vcp_iscsi_proto::scsi::Status as ScsiStatus;
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if command.cdb[0] == 0x2a {
            // It is not answered as long as the session lives.
            return peer.logins < 4;
        }
        if command.cdb[0] != 0x28 {
            return false;
        }
        peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        peer.respond(command.itt, ScsiStatus::Good, None, 0, true);
        peer.send_first(command.itt, &[0; 512]);
        true
    }));
    let other = pair.write(1 << 22, LENGTH, 0);
    pair.run();
    let bad = pair.read(0, LENGTH, 0);
    pair.run_for(60 * SECOND);
    assert_eq!(pair.completed[&bad], Status::IoError);
    assert_eq!(pair.completed[&other], Status::Ok, "{:#?}", pair.actions);
}

/// The current reason for an outage is reported.
#[test]
fn reasons_of_an_outage_are_told_as_they_change() {
    use vcp_iscsi_proto::login::LoginStatus;
    let mut pair = Pair::plain().ready();
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.status = LoginStatus::NotFound;
        }
        true
    }));
    pair.cut("reset by peer");
    pair.run_for(20 * SECOND);
    let told = pair.suspended();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("no such target"), "{told:?}");
}

/// How many of four neighbours of the poison are sent before the first is answered.
fn together(pair: &mut Pair) -> usize {
    pair.run();
    pair.peer.seen.clear();
    for n in 1..5 {
        pair.write(POISON + n * 8192, LENGTH, 0);
    }
    pair.step();
    let write =
        |pdu: &&InitiatorPdu| matches!(pdu, InitiatorPdu::ScsiCommand(c) if c.cdb[0] == 0x2a);
    let sent = pair.peer.seen.iter().filter(write).count();
    pair.run();
    assert!(pair.completed.len() > 4);
    sent
}

/// Requests similar to a culprit are sent alone for a minute, and normally after that.
#[test]
fn neighbours_of_a_culprit_are_sent_alone_for_a_minute() {
    let mut pair = Pair::plain().ready();
    let poison = pair.write(POISON, LENGTH, 0);
    resetting(&mut pair, 20, |_| {});
    assert_eq!(pair.completed[&poison], Status::IoError);
    assert_eq!(together(&mut pair), 1);
    pair.run_for(70 * SECOND);
    assert_eq!(together(&mut pair), 4);
}
