//! Rejects: the fate of the rejected PDU, and of its number.

use vcp_iscsi_initiator::Status;
use vcp_iscsi_proto::BHS_LEN;
use vcp_iscsi_proto::pdu::*;

use crate::nops;
use crate::pair::*;

/// Rejects the first command of a session.
fn reject_first(pair: &mut Pair, reason: RejectReason, taken: bool) {
    let mut done = false;
    pair.peer.intercept = Some(Box::new(move |peer, pdu, _| {
        let InitiatorPdu::ScsiCommand(command) = pdu else {
            return false;
        };
        if core::mem::replace(&mut done, true) {
            return false;
        }
        if taken {
            peer.exp_cmd_sn = peer.exp_cmd_sn.next();
        }
        let mut header = [0; BHS_LEN];
        command.emit(&mut header);
        peer.reject(reason, &header);
        true
    }));
}

#[test]
fn rejected_command_leaves_no_gap() {
    let mut pair = Pair::plain().ready();
    reject_first(&mut pair, RejectReason::InvalidPduField, false);
    let rejected = pair.read(0, 512, 0);
    let next = pair.read(512, 512, 0);
    pair.run();
    // The next command could not be carried out before the gap was closed.
    assert_eq!(pair.completed[&rejected], Status::Ok);
    assert_eq!(pair.completed[&next], Status::Ok);
    let plugs: Vec<_> = nops(&pair)
        .into_iter()
        .filter(|nop| !nop.immediate)
        .collect();
    assert_eq!(plugs.len(), 1);
}

#[test]
fn rejected_command_that_was_counted_leaves_nothing_to_close() {
    let mut pair = Pair::plain().ready();
    reject_first(&mut pair, RejectReason::InvalidPduField, true);
    let rejected = pair.read(0, 512, 0);
    let next = pair.read(512, 512, 0);
    pair.run();
    assert_eq!(pair.completed[&rejected], Status::Ok);
    assert_eq!(pair.completed[&next], Status::Ok);
    assert_eq!(nops(&pair), []);
}

#[test]
fn command_rejected_for_its_digest_is_sent_again() {
    let mut pair = Pair::plain().ready();
    reject_first(&mut pair, RejectReason::DataDigestError, false);
    pair.fill(0, 4096, 3);
    let tag = pair.write(0, 4096, 0);
    assert_eq!(pair.finish(tag), Status::Ok);
    assert_eq!(pair.peer.disk.written.len(), 8);
}

#[test]
fn command_rejected_for_want_of_room_is_sent_again_later() {
    for reason in [RejectReason::LongOperation, RejectReason::TaskInProgress] {
        let mut pair = Pair::plain().ready();
        reject_first(&mut pair, reason, false);
        let tag = pair.read(0, 512, 0);
        pair.run();
        assert!(!pair.completed.contains_key(&tag));
        pair.run_for(SECOND);
        assert_eq!(pair.completed[&tag], Status::Ok);
    }
}

#[test]
fn other_rejects() {
    let reject = |pair: &mut Pair, opcode: u8| {
        let mut header = [0; BHS_LEN];
        header[0] = opcode;
        pair.peer.reject(RejectReason::ProtocolError, &header);
        pair.run();
    };
    // After a Data-Out, the command's own status follows. A ping was received.
    for opcode in [0x05, 0x40] {
        let mut pair = Pair::plain().ready();
        reject(&mut pair, opcode);
        assert_eq!(pair.suspended(), Vec::<String>::new());
    }
    // If an abort or logout is rejected, the connection is useless.
    for opcode in [0x42, 0x46, 0x3f] {
        let mut pair = Pair::plain().ready();
        reject(&mut pair, opcode);
        assert_eq!(pair.suspended().len(), 1);
    }
    // The header of the rejected PDU is missing.
    let mut pair = Pair::plain().ready();
    pair.peer.reject(RejectReason::ProtocolError, &[0; 47]);
    pair.run();
    assert_eq!(pair.suspended().len(), 1);
}

/// A reason that RFC 7143 no longer uses: the negotiation has failed, and the connection
/// with it.
#[test]
fn negotiation_reset_ends_the_connection() {
    let mut pair = Pair::plain().ready();
    let mut header = [0; BHS_LEN];
    header[0] = 0x44;
    pair.peer.reject(RejectReason::NegotiationReset, &header);
    pair.run();
    assert!(pair.suspended()[0].contains("negotiation"));
}

/// A target that waits for a logout gets it, and the command is retried in the next
/// session.
#[test]
fn command_rejected_for_want_of_a_logout_waits_for_the_next_session() {
    let mut pair = Pair::plain().ready();
    reject_first(&mut pair, RejectReason::WaitingForLogout, false);
    let tag = pair.read(0, 512, 0);
    pair.run_for(SECOND);
    assert_eq!(pair.completed[&tag], Status::Ok);
    let logout = |pdu: &InitiatorPdu| matches!(pdu, InitiatorPdu::LogoutRequest(_));
    assert!(pair.peer.seen.iter().any(logout));
    assert_eq!(pair.connects.len(), 2);
}
