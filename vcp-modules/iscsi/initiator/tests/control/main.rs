//! What is neither command nor data: pings, asynchronous messages, rejects, aborts,
//! busy targets, attention.

#[path = "../pair/mod.rs"]
mod pair;

mod aborts;
mod events;
mod pings;
mod rejects;
mod unit;

use pair::*;
use vcp_iscsi_proto::pdu::*;

fn nops(pair: &Pair) -> Vec<NopOut> {
    let nops = pair.peer.seen.iter().filter_map(|pdu| match pdu {
        InitiatorPdu::NopOut(nop) => Some(*nop),
        _ => None,
    });
    nops.collect()
}
