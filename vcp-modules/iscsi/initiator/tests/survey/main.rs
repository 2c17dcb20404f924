//! Repeated questions to a logical unit: unanswered ones, its LUN, its size, its longest
//! transfer.

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

/// The commands that the target got, and the LUN of each.
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
