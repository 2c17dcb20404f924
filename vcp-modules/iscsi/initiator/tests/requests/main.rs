//! Requests against a target that behaves: which SCSI commands they become, how
//! their data goes, and what the logical unit's limits do to them.

#[path = "../pair/mod.rs"]
mod pair;

mod data;
mod operations;
mod unit;

use pair::*;
use vcp_iscsi_proto::pdu::InitiatorPdu;
use vcp_iscsi_proto::scsi::Command;

const MIB: u32 = 1 << 20;

/// Commands that the target got since it was ready, but for what it was asked
/// about itself.
fn commands(pair: &Pair) -> Vec<Command> {
    let cdbs = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(Command::parse(&command.cdb).unwrap()),
        _ => None,
    });
    cdbs.filter(|command| {
        matches!(
            command,
            Command::Read { .. }
                | Command::Write { .. }
                | Command::SynchronizeCache { .. }
                | Command::Unmap { .. }
                | Command::WriteSame { .. }
        )
    })
    .collect()
}

fn opcodes(pair: &Pair) -> Vec<u8> {
    let cdbs = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::ScsiCommand(command) => Some(command.cdb[0]),
        _ => None,
    });
    cdbs.collect()
}
