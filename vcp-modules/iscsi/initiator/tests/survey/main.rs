//! What is asked of a logical unit, again and again: what it can't say, where it is,
//! how large it is now, how much it takes.

#[path = "../pair/mod.rs"]
mod pair;

mod capacity;
mod identity;
mod lengths;
mod numbers;
mod readiness;

use pair::*;
use vcp_iscsi_initiator::Action;
use vcp_iscsi_proto::pdu::InitiatorPdu;
use vcp_iscsi_proto::scsi::Command;

/// The commands that the target got, and to which LUN each.
fn commands(pair: &Pair) -> Vec<(u64, Command)> {
    let commands = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => {
            Some((command.lun.0, Command::parse(&command.cdb).unwrap()))
        }
        _ => None,
    });
    commands.collect()
}

fn logged(pair: &Pair, what: &str) -> usize {
    let lines = pair
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Log { message, .. } if message.contains(what)));
    lines.count()
}
