//! The configuration of a target and its negotiation. Plain data without behaviour.

use std::time::Duration;

use crate::chap::Chap;
use crate::lun::Node;
use crate::script::Fault;

/// One target node: an iSCSI name and the logical units behind it.
#[derive(Debug, Clone)]
pub struct TargetNode {
    /// The iSCSI qualified name, in lower case.
    pub name: String,
    /// The TargetAlias sent at login; empty for none.
    pub alias: String,
    /// The logical units.
    pub units: Node,
    /// Where to send initiators instead of serving them.
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

/// The new place of a node (RFC 7143 §11.13.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The TargetAddress: `host[:port][,tag]`, IPv6 in brackets.
    pub address: String,
    /// Whether the node has moved permanently.
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

/// The target's settings for negotiation and data transfer. Sizes in bytes.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Requires an R2T before any Data-Out.
    pub initial_r2t: bool,
    /// Accepts data with the command.
    pub immediate_data: bool,
    /// The MaxRecvDataSegmentLength that the target declares, 512 to 2^24-1.
    pub max_recv_data_segment: u32,
    /// The longest data segment that the target sends, even if the initiator takes longer
    /// ones.
    pub max_send_data_segment: u32,
    /// MaxBurstLength, 512 to 2^24-1.
    pub max_burst: u32,
    /// FirstBurstLength, 512 to `max_burst`.
    pub first_burst: u32,
    /// MaxOutstandingR2T, 1 to 65535.
    pub max_outstanding_r2t: u32,
    /// Requires ascending offsets within a sequence.
    pub data_pdu_in_order: bool,
    /// Requires ascending sequences.
    pub data_sequence_in_order: bool,
    /// HeaderDigest.
    pub header_digest: DigestPolicy,
    /// DataDigest.
    pub data_digest: DigestPolicy,
    /// The most commands of one session in progress: the width of the CmdSN window.
    pub command_window: u32,
    /// Sends the status of a successful read in its last Data-In.
    pub collapse_status: bool,
    /// The size of the pieces into which the target cuts its text, continued by the C
    /// bit.
    pub text_piece: Option<usize>,
    /// The most keys answered in a Login Response; the rest takes more rounds.
    pub keys_per_round: Option<usize>,
    /// Answers the last key first.
    pub reverse_keys: bool,
    /// Keys that the target adds to its first operational answer, as `key=value`.
    pub extra_keys: Vec<String>,
    /// Delays a login that goes straight to FullFeaturePhase: the first request for a
    /// transit is not granted.
    pub delay_transit: bool,
    /// StatSN of the first response.
    pub initial_stat_sn: u32,
    /// Ends the session that a login reinstates, and its tasks with it (RFC 7143 §6.3.5).
    /// Without it the target is broken: the old session lives on beside the new one.
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

/// The target's timers: when it acts unasked, and how long it waits.
#[derive(Debug, Clone)]
pub struct Timing {
    /// The longest time for a login.
    pub login: Duration,
    /// How long an initiator may be silent before it is pinged; `None`: no pings.
    pub ping_interval: Option<Duration>,
    /// How long the answer to a ping may take before the connection is dropped.
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

/// The configuration of a target.
#[derive(Debug, Clone, Default)]
pub struct TargetConfig {
    /// The nodes, all of which a discovery session sees.
    pub nodes: Vec<TargetNode>,
    /// The portals told to a discovery session, as `address:port`; if empty, the one that
    /// the initiator uses.
    pub portals: Vec<String>,
    /// The authentication of initiators, if it is required.
    pub chap: Option<Chap>,
    /// The settings for negotiation and data transfer.
    pub policy: Policy,
    /// Timers.
    pub timing: Timing,
    /// The protocol faults to commit.
    pub faults: Vec<Fault>,
}
