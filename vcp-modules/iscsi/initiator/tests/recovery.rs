//! Connections that are lost, refused or slow, and what becomes of requests then.

mod pair;

use pair::*;
use vcp_iscsi_initiator::{Action, Initiator, Operation, Status};
use vcp_iscsi_proto::login::LoginStatus;
use vcp_iscsi_proto::pdu::{InitiatorPdu, TargetPdu};
use vcp_iscsi_proto::scsi::Command;

const MIB: u32 = 1 << 20;

#[test]
fn refused_before_the_first_ready_is_the_end() {
    let mut pair = Pair::plain();
    pair.reachable = false;
    pair.run();
    let line = pair.failed().unwrap();
    assert_eq!(
        line,
        "target iqn.2026-11.example:disk at 10.0.0.1:3260: cannot connect: connection refused"
    );
    assert_eq!(pair.initiator.next_deadline(), None);
}

#[test]
fn unreachable_before_the_first_ready_is_the_end() {
    let mut initiator = Initiator::new(config(&[("login-timeout", "3s")]), [1; 32], 0);
    assert!(matches!(
        initiator.poll_action(),
        Some(Action::Connect { .. })
    ));
    assert_eq!(initiator.next_deadline(), Some(3 * SECOND));
    initiator.handle_timeout(3 * SECOND);
    assert_eq!(initiator.poll_action(), Some(Action::Close { abort: true }));
    let Some(Action::Failed(line)) = initiator.poll_action() else {
        panic!("not failed")
    };
    assert!(
        line.ends_with("cannot connect: no answer within 3000 ms"),
        "{line}"
    );
}

#[test]
fn silent_target_during_login_is_the_end() {
    let mut pair = Pair::plain();
    pair.peer.intercept = Some(Box::new(|_, _, _| true));
    pair.run_for(16 * SECOND);
    assert!(pair.failed().unwrap().contains("no answer to the login"));
}

#[test]
fn silent_unit_is_the_end() {
    let mut pair = Pair::plain();
    pair.peer.intercept = Some(Box::new(|_, pdu, _| {
        matches!(pdu, InitiatorPdu::ScsiCommand(_))
    }));
    pair.run_for(16 * SECOND);
    assert!(
        pair.failed()
            .unwrap()
            .contains("no answer from the logical unit")
    );
}

fn login_status(status: LoginStatus) -> Pair {
    let mut pair = Pair::plain();
    pair.peer.mangle = Some(Box::new(move |pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.status = status;
        }
        true
    }));
    pair
}

#[test]
fn refused_login_says_why() {
    for (status, why) in [
        (LoginStatus::NotFound, "there is no such target here"),
        (
            LoginStatus::AuthenticationFailure,
            "authentication failure; check user and password",
        ),
        (LoginStatus::AuthorizationFailure, "authorization failure"),
        (LoginStatus::TargetRemoved, "target removed"),
    ] {
        let mut pair = login_status(status);
        pair.run();
        let line = pair.failed().unwrap();
        assert!(line.contains(why), "{line}");
        assert!(
            line.contains("iqn.2026-11.example:disk at 10.0.0.1:3260"),
            "{line}"
        );
    }
}

#[test]
fn busy_target_is_tried_again() {
    let mut pair = login_status(LoginStatus::ServiceUnavailable);
    pair.run_for(SECOND);
    assert_eq!(pair.failed(), None);
    assert!(pair.peer.logins > 2);
    pair.peer.mangle = None;
    pair.run_for(6 * SECOND);
    pair.geometry();

    let mut pair = login_status(LoginStatus::OutOfResources);
    pair.run_for(30 * SECOND);
    assert!(pair.failed().unwrap().contains("out of resources"));
}

/// Redirected once, by the first portal.
fn moved(status: LoginStatus) -> Pair {
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
    pair.ready()
}

#[test]
fn temporary_redirection_holds_for_one_connection() {
    let mut pair = moved(LoginStatus::TargetMovedTemporarily);
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    let ports: Vec<u16> = pair.connects.iter().map(|a| a.port()).collect();
    assert_eq!(ports, [3260, 3261, 3260]);
}

#[test]
fn permanent_redirection_is_remembered() {
    let mut pair = moved(LoginStatus::TargetMovedPermanently);
    pair.cut("reset by peer");
    pair.run_for(SECOND);
    let ports: Vec<u16> = pair.connects.iter().map(|a| a.port()).collect();
    assert_eq!(ports, [3260, 3261, 3261]);
}

#[test]
fn redirection_in_a_circle_ends() {
    let mut pair = login_status(LoginStatus::TargetMovedTemporarily);
    pair.peer.mangle = Some(Box::new(|pdu, data| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.status = LoginStatus::TargetMovedTemporarily;
            *data = b"TargetAddress=10.0.0.2:3261,1\0".to_vec();
            response.data_len = data.len() as u32;
        }
        true
    }));
    pair.run_for(SECOND);
    assert!(pair.failed().unwrap().contains("from portal to portal"));
    assert_eq!(pair.connects.len(), 5);
}

#[test]
fn session_without_a_tsih_is_refused() {
    let mut pair = Pair::plain();
    pair.peer.mangle = Some(Box::new(|pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            response.tsih = 0;
        }
        true
    }));
    pair.run();
    assert!(pair.failed().unwrap().contains("TSIH"));
}

#[test]
fn login_response_for_someone_else_is_refused() {
    for change in [0, 1] {
        let mut pair = Pair::plain();
        pair.peer.mangle = Some(Box::new(move |pdu, _| {
            if let TargetPdu::LoginResponse(response) = pdu {
                match change {
                    0 => response.itt += 1,
                    _ => response.isid.0[5] ^= 1,
                }
            }
            true
        }));
        pair.run();
        assert!(pair.failed().unwrap().contains("someone else"));
    }
}

#[test]
fn login_status_numbers_are_checked() {
    let mut pair = Pair::plain();
    let mut count = 0;
    pair.peer.mangle = Some(Box::new(move |pdu, _| {
        if let TargetPdu::LoginResponse(response) = pdu {
            count += 1;
            if count == 2 {
                response.sn.stat_sn = response.sn.stat_sn.add(1);
            }
        }
        true
    }));
    pair.run();
    assert!(pair.failed().unwrap().contains("StatSN"));
}

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
    // The same session, reinstated: same name and ISID, TSIH 0.
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
    assert_eq!(done, [0x2a, 0x2a, 0x2a, 0x2a, 0x35, 0x2a]);
    // Not sent before the last of the writes was answered.
    let tags: Vec<u64> = pair
        .actions
        .iter()
        .filter_map(|a| match a {
            Action::Complete { tag, .. } => Some(*tag),
            _ => None,
        })
        .collect();
    assert_eq!(tags[4], flush);
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

/// Breaks the connection after every number of bytes there is, both ways together,
/// and each time everything must come right in the end.
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
    // Closely in the beginning, where the PDUs are small; both steps hit every
    // place in a header.
    let points = (0..400).map(|n| n * 11).chain((4400..whole).step_by(397));
    for budget in points {
        let mut pair = Pair::new(config(&[]), settings(), Disk::new(512, 1 << 20));
        pair.budget = Some(budget);
        pair.run();
        if pair.failed().is_some() {
            // Before the first `Ready` that is final.
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

#[test]
fn requests_after_the_end_are_turned_away() {
    let mut pair = Pair::plain();
    pair.reachable = false;
    pair.run();
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::ShuttingDown);
    pair.initiator.stop(pair.now);
    pair.run();
    assert_eq!(pair.actions.last(), Some(&Action::Stopped));
}

#[test]
fn stop_logs_out() {
    let mut pair = Pair::plain().ready();
    pair.initiator.stop(pair.now);
    pair.run();
    let logout = pair
        .peer
        .seen
        .iter()
        .any(|pdu| matches!(pdu, InitiatorPdu::LogoutRequest(_)));
    assert!(logout);
    assert!(
        pair.actions
            .ends_with(&[Action::Close { abort: false }, Action::Stopped])
    );
    assert_eq!(pair.initiator.next_deadline(), None);
    let tag = pair.read(0, 512, 0);
    assert_eq!(pair.finish(tag), Status::ShuttingDown);
}

#[test]
fn stop_lets_requests_end() {
    let mut pair = Pair::plain().ready();
    let tags: Vec<u64> = (0..40).map(|n| pair.write(n * 65536, 65536, 0)).collect();
    pair.initiator.stop(pair.now);
    pair.run();
    assert!(tags.iter().all(|tag| pair.completed[tag] == Status::Ok));
    assert_eq!(pair.actions.last(), Some(&Action::Stopped));
}

#[test]
fn stop_takes_a_bounded_time() {
    // The target answers nothing at all.
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|_, _, _| true));
    let tag = pair.read(0, 512, 0);
    pair.run();
    pair.initiator.stop(pair.now);
    pair.run_for(5 * SECOND);
    assert_eq!(pair.actions.last(), Some(&Action::Stopped));
    assert!(!pair.completed.contains_key(&tag), "left for a successor");

    // There is no connection at all.
    let mut pair = Pair::plain().ready();
    pair.reachable = false;
    pair.cut("reset by peer");
    pair.run();
    pair.initiator.stop(pair.now);
    pair.run();
    assert_eq!(pair.actions.last(), Some(&Action::Stopped));

    // It is just being made.
    let mut initiator = Initiator::new(config(&[]), [1; 32], 0);
    initiator.stop(0);
    let actions: Vec<Action> = core::iter::from_fn(|| initiator.poll_action()).collect();
    assert!(actions.ends_with(&[Action::Close { abort: true }, Action::Stopped]));
}

#[test]
fn nothing_is_sent_behind_a_logout() {
    let mut pair = Pair::plain().ready();
    pair.initiator.stop(pair.now);
    let mut buffer = [0; 4096];
    let count = pair.initiator.transmit(pair.now, &mut buffer, &pair.memory);
    assert_eq!(count, 48);
    pair.read(0, 512, 0);
    assert!(!pair.initiator.wants_transmit());
    assert_eq!(
        pair.initiator.transmit(pair.now, &mut buffer, &pair.memory),
        0
    );
}
