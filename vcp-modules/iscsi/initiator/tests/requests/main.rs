//! Requests against a target that behaves: the SCSI commands they become, the transfer of
//! their data, and the effects of the logical unit's limits.

#[path = "../pair/mod.rs"]
mod pair;

mod data;
mod operations;
mod unit;

use pair::*;
use vcp_iscsi_proto::pdu::InitiatorPdu;
use vcp_iscsi_proto::scsi::Command;

const MIB: u32 = 1 << 20;

/// The commands that the target got since it was ready, except those of surveys.
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
