//! What is measured, and what others had measured.

use vcp_benches::workload::Workload;

/// A TAP: its frames, and what it does of the stack's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    /// Bytes of the largest IP packet that is a frame of its own.
    pub(crate) mtu: u32,
    /// `none`, `csum` or `tso`, as the configuration has it.
    pub(crate) offload: &'static str,
}

const fn link(mtu: u32, offload: &'static str) -> Link {
    Link { mtu, offload }
}

/// The least that a link may have, and the paper's smallest.
const SMALL: u32 = 500;

/// Of the first table.
pub(crate) const LINKS: [Link; 9] = [
    link(SMALL, "none"),
    link(SMALL, "csum"),
    link(SMALL, "tso"),
    link(1500, "none"),
    link(1500, "csum"),
    link(1500, "tso"),
    link(9000, "none"),
    link(9000, "csum"),
    link(9000, "tso"),
];

/// Out and in, as much as goes.
pub(crate) const BULK: [Workload; 2] = [
    Workload::new("write", "1m", 8),
    Workload::new("read", "1m", 8),
];

/// Where something is wanted.
pub(crate) const WANTED: Link = link(1500, "tso");

pub(crate) const REQUESTS: [Workload; 4] = [
    Workload::new("randread", "4k", 32),
    Workload::new("randwrite", "4k", 32),
    Workload::new("read", "128k", 8),
    Workload::new("write", "128k", 8),
];

/// What McAuley and Neugebauer, "A case for Virtual Channel Processors" (2003), report
/// as the overhead of TCP in a virtual machine of its own, in percent, for data that
/// goes this way at this MTU. Their link did nothing of the stack's work.
pub(crate) fn published(link: Link, workload: Workload) -> Option<f64> {
    match (link.mtu, link.offload, workload.pattern) {
        (1500, "none", _) => Some(0.2),
        (SMALL, "none", "write") => Some(25.0),
        (SMALL, "none", "read") => Some(45.0),
        _ => None,
    }
}
