//! Commands that are not answered in time.

use vcp_iscsi_initiator::{Operation, Status};
use vcp_iscsi_proto::pdu::*;
use vcp_iscsi_proto::scsi::Status as ScsiStatus;

use crate::pair::*;

#[test]
fn unanswered_command_is_aborted_and_sent_again() {
    let mut pair = Pair::plain().ready();
    let mut dropped = false;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(_) = pdu else {
            return false;
        };
        let first = !core::mem::replace(&mut dropped, true);
        if first {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        }
        first
    }));
    let tag = pair.write(0, 65536, 0);
    pair.run();
    assert!(!pair.completed.contains_key(&tag));
    // The target still answers pings.
    pair.run_for(31 * SECOND);
    let aborts: Vec<_> = pair
        .peer
        .seen
        .iter()
        .filter_map(|pdu| match pdu {
            InitiatorPdu::TaskRequest(request) => Some(*request),
            _ => None,
        })
        .collect();
    assert_eq!(aborts.len(), 1);
    let command = pair.peer.seen.iter().find_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) if command.write => Some(*command),
        _ => None,
    });
    let command = command.unwrap();
    assert_eq!(aborts[0].ref_itt, command.itt);
    assert_eq!(aborts[0].ref_cmd_sn, command.sn.cmd_sn);
    assert_eq!(aborts[0].lun, command.lun);
    assert!(aborts[0].immediate);
    assert_eq!(pair.completed[&tag], Status::Ok);
    // The client has waited since the command was sent, and the outage is reported.
    let told = pair.suspended();
    assert!(told.len() == 1 && told[0].contains("no answer"), "{told:?}");
    assert_eq!((pair.readies(), pair.connects.len()), (2, 1));
}

#[test]
fn r2ts_are_answered_while_aborting() {
    let settings = Settings {
        immediate_data: false,
        ..Settings::default()
    };
    let mut pair = Pair::new(config(&[]), settings, Disk::new(512, 1 << 20)).ready();
    let mut abort = None;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| match pdu {
        InitiatorPdu::ScsiCommand(_) if peer.logins == 1 && abort.is_none() => {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
            true
        }
        InitiatorPdu::TaskRequest(request) => {
            abort = Some(request.itt);
            let sn = peer.numbers();
            let (lun, itt) = (request.lun, request.ref_itt);
            let r2t = R2t {
                data_len: 0,
                lun,
                itt,
                ttt: 9,
                sn,
                r2t_sn: 0,
                offset: 0,
                desired_len: 512,
            };
            peer.send(r2t, &[]);
            true
        }
        InitiatorPdu::DataOut(data) if data.ttt == 9 => {
            assert!(data.is_final && data.data_len == 512);
            let sn = peer.status();
            let itt = abort.expect("an abort");
            let code = TaskCode::Complete;
            peer.send(
                TaskResponse {
                    code,
                    data_len: 0,
                    itt,
                    sn,
                },
                &[],
            );
            true
        }
        _ => false,
    }));
    let tag = pair.write(0, 65536, 0);
    pair.run_for(31 * SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.connects.len(), 1);
}

#[test]
fn abort_that_fails_or_is_not_answered_ends_the_connection() {
    for code in [None, Some(TaskCode::NotSupported), Some(TaskCode::Rejected)] {
        let mut pair = Pair::plain().ready();
        pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
            if peer.logins > 1 {
                return false;
            }
            match pdu {
                InitiatorPdu::ScsiCommand(_) => true,
                InitiatorPdu::TaskRequest(request) => {
                    if let Some(code) = code {
                        let sn = peer.status();
                        peer.send(
                            TaskResponse {
                                code,
                                data_len: 0,
                                itt: request.itt,
                                sn,
                            },
                            &[],
                        );
                    }
                    true
                }
                _ => false,
            }
        }));
        let tag = pair.read(0, 512, 0);
        pair.run_for(40 * SECOND);
        assert_eq!(pair.suspended().len(), 1, "{code:?}");
        assert_eq!(pair.completed[&tag], Status::Ok);
    }
}

/// Whatever a target answers to an abort, the command is carried out: on this session if
/// the target has forgotten it, otherwise on another.
#[test]
fn abort_is_answered_with_every_code() {
    for code in 0..=255 {
        let code = TaskCode::from(code);
        let mut pair = Pair::plain().ready();
        let mut dropped = false;
        pair.peer.intercept = Some(Box::new(move |peer, pdu, _| match pdu {
            InitiatorPdu::ScsiCommand(_) if peer.logins == 1 => {
                let first = !core::mem::replace(&mut dropped, true);
                if first {
                    peer.exp_cmd_sn = peer.exp_cmd_sn.next();
                }
                first
            }
            InitiatorPdu::TaskRequest(request) if peer.logins == 1 => {
                let sn = peer.status();
                let itt = request.itt;
                let data_len = 0;
                let response = TaskResponse {
                    code,
                    data_len,
                    itt,
                    sn,
                };
                peer.send(response, &[]);
                true
            }
            _ => false,
        }));
        let tag = pair.write(0, 65536, 0);
        pair.run_for(45 * SECOND);
        assert_eq!(pair.completed[&tag], Status::Ok, "{code:?}");
        let stays = matches!(code, TaskCode::Complete | TaskCode::NoTask);
        let lines = pair.suspended();
        let told = format!("a command can't be aborted: {code}");
        let ended = lines.iter().filter(|line| line.contains(&told)).count();
        assert_eq!(ended, usize::from(!stays), "{lines:?}");
        assert_eq!(pair.peer.logins, if stays { 1 } else { 2 });
    }
}

#[test]
fn command_answered_while_being_aborted_is_done() {
    let mut pair = Pair::plain().ready();
    pair.peer.intercept = Some(Box::new(|peer, pdu, _| match pdu {
        InitiatorPdu::ScsiCommand(_) => {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
            true
        }
        InitiatorPdu::TaskRequest(request) => {
            // The status was on its way already.
            peer.respond(request.ref_itt, ScsiStatus::Good, None, 0, true);
            let sn = peer.status();
            let code = TaskCode::NoTask;
            peer.send(
                TaskResponse {
                    code,
                    data_len: 0,
                    itt: request.itt,
                    sn,
                },
                &[],
            );
            true
        }
        _ => false,
    }));
    let tag = pair.submit(Operation::Flush, 0, 0, 0);
    pair.run_for(31 * SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    assert_eq!(pair.suspended(), Vec::<String>::new());
}
