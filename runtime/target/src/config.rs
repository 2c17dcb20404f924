//! What a target is and how it negotiates. Plain data; nothing here acts.

use std::time::Duration;

use crate::chap::Chap;
use crate::lun::Node;
use crate::script::Fault;

/// One target node: an iSCSI name and the logical units behind it.
#[derive(Debug, Clone)]
pub struct TargetNode {
    /// iSCSI qualified name, lower case.
    pub name: String,
    /// TargetAlias, told at login; empty for none.
    pub alias: String,
    /// The units.
    pub units: Node,
    /// Sends initiators elsewhere instead of serving them.
    pub redirect: Option<Redirect>,
}

impl TargetNode {
    /// A node without alias or redirection.
    #[must_use]
    pub fn new(name: impl Into<String>, units: Node) -> Self {
        Self {
            name: name.into(),
            alias: String::new(),
            units,
            redirect: None,
        }
    }
}

/// Where a node has moved (RFC 7143 §11.13.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// TargetAddress: `host[:port][,tag]`, IPv6 in brackets.
    pub address: String,
    /// For good, or for now.
    pub permanent: bool,
}

/// Whether a digest is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestPolicy {
    /// Never.
    Never,
    /// CRC32C when the initiator prefers it to none.
    #[default]
    Allowed,
    /// CRC32C, or the login fails.
    Required,
}

/// What the target brings to a negotiation. Sizes in bytes.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Insists on R2T before any Data-Out.
    pub initial_r2t: bool,
    /// Takes data with the command.
    pub immediate_data: bool,
    /// MaxRecvDataSegmentLength that the target declares, 512 to 2^24-1.
    pub max_recv_data_segment: u32,
    /// Longest data segment the target sends, whatever the initiator could take.
    pub max_send_data_segment: u32,
    /// MaxBurstLength, 512 to 2^24-1.
    pub max_burst: u32,
    /// FirstBurstLength, 512 to `max_burst`.
    pub first_burst: u32,
    /// MaxOutstandingR2T, 1 to 65535.
    pub max_outstanding_r2t: u32,
    /// Insists on ascending offsets within a sequence.
    pub data_pdu_in_order: bool,
    /// Insists on ascending sequences.
    pub data_sequence_in_order: bool,
    /// HeaderDigest.
    pub header_digest: DigestPolicy,
    /// DataDigest.
    pub data_digest: DigestPolicy,
    /// Commands of one session in progress: the width of the CmdSN window.
    pub command_window: u32,
    /// Sends the status of a successful read in its last Data-In.
    pub collapse_status: bool,
    /// Cuts the target's text into pieces of so many bytes, continued by the C bit.
    pub text_piece: Option<usize>,
    /// Answers so many keys per Login Response, and needs more rounds for the rest.
    pub keys_per_round: Option<usize>,
    /// Answers the last key first.
    pub reverse_keys: bool,
    /// Keys the target adds to its first operational answer, as `key=value`.
    pub extra_keys: Vec<String>,
    /// Answers a login that goes straight to FullFeaturePhase without a hurry:
    /// the first request that asks for a transit is not granted it.
    pub delay_transit: bool,
    /// StatSN of the first response.
    pub initial_stat_sn: u32,
    /// Ends the session that a login reinstates, and its tasks with it
    /// (RFC 7143 §6.3.5). A target that does not is broken: the old session lives
    /// on beside the new one.
    pub reinstate: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            initial_r2t: false,
            immediate_data: true,
            max_recv_data_segment: 256 << 10,
            max_send_data_segment: 256 << 10,
            max_burst: 1 << 20,
            first_burst: 256 << 10,
            max_outstanding_r2t: 4,
            data_pdu_in_order: true,
            data_sequence_in_order: true,
            header_digest: DigestPolicy::default(),
            data_digest: DigestPolicy::default(),
            command_window: 128,
            collapse_status: true,
            text_piece: None,
            keys_per_round: None,
            reverse_keys: false,
            extra_keys: Vec::new(),
            delay_transit: false,
            initial_stat_sn: 1,
            reinstate: true,
        }
    }
}

/// When the target speaks unasked, and how long it waits.
#[derive(Debug, Clone)]
pub struct Timing {
    /// A login must end within this.
    pub login: Duration,
    /// Pings an initiator that has been silent so long; `None` for never.
    pub ping_interval: Option<Duration>,
    /// Drops a connection whose ping is not answered within this.
    pub ping_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            login: Duration::from_secs(15),
            ping_interval: None,
            ping_timeout: Duration::from_secs(5),
        }
    }
}

/// All of a target.
#[derive(Debug, Clone, Default)]
pub struct TargetConfig {
    /// The nodes, of which a discovery session sees all.
    pub nodes: Vec<TargetNode>,
    /// Portals told to a discovery session, as `address:port`; none for the one
    /// that the initiator uses.
    pub portals: Vec<String>,
    /// Asks initiators to authenticate themselves.
    pub chap: Option<Chap>,
    /// How to negotiate.
    pub policy: Policy,
    /// Timers.
    pub timing: Timing,
    /// What to do wrong.
    pub faults: Vec<Fault>,
}
