//! PDUs that are neither commands nor data: pings, asynchronous messages, rejects,
//! aborts; and busy targets, unit attentions, and commands that were not carried out.

#[path = "../pair/mod.rs"]
mod pair;

mod aborts;
mod events;
mod moved;
mod numbers;
mod pings;
mod rejects;
mod unit;
mod waiting;

use pair::*;
use vcp_iscsi_proto::pdu::*;

fn nops(pair: &Pair) -> Vec<NopOut> {
    let nops = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::NopOut(nop) => Some(*nop),
        _ => None,
    });
    nops.collect()
}
