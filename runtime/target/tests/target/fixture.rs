//! A target with small bursts, and helpers to read its answers.

use std::sync::Arc;

use vcp_iscsi_proto::TargetPdu;
use vcp_iscsi_proto::pdu::{R2t, Residual};
use vcp_target::Target;
use vcp_target::lun::{LogicalUnit, Sense};

use crate::client::{Client, Direct, target_of, unit};

pub(crate) const GOOD: u8 = 0;
pub(crate) const CHECK: u8 = 2;

/// The keys that make bursts and segments small.
pub(crate) const SMALL: [(&str, &str); 4] = [
    ("MaxRecvDataSegmentLength", "1024"),
    ("MaxBurstLength", "4096"),
    ("FirstBurstLength", "2048"),
    ("InitialR2T", "No"),
];

pub(crate) fn small() -> (Arc<LogicalUnit>, Arc<Target>, Client<Direct>) {
    let unit = unit(1 << 20);
    let target = target_of(&unit, |c| c.policy.max_outstanding_r2t = 2);
    let pairs = [&SMALL[..], &[("MaxOutstandingR2T", "2")]].concat();
    let client = Client::ready(&target, &pairs);
    (unit, target, client)
}

pub(crate) fn contents(unit: &LogicalUnit, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    unit.disk().read_at(offset, &mut bytes).unwrap();
    bytes
}

pub(crate) fn r2t(client: &mut Client<Direct>) -> R2t {
    match client.next() {
        Some((TargetPdu::R2t(r2t), _)) => r2t,
        other => panic!("{other:?}"),
    }
}

/// The status, sense key and codes, and residual of the next response.
pub(crate) fn response(client: &mut Client<Direct>) -> (u8, Option<(u8, u8, u8)>, Residual) {
    match client.next() {
        Some((TargetPdu::ScsiResponse(pdu), data)) => {
            let sense = (data.len() >= 16).then(|| (data[4], data[14], data[15]));
            (pdu.status.into(), sense, pdu.residual)
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn sense(sense: Sense) -> Option<(u8, u8, u8)> {
    Some((sense.key, sense.code, sense.qualifier))
}
