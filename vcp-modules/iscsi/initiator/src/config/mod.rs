//! The configuration of a disk: its place, the initiator's identity, and the offers. Made
//! from strings by [`Config::parse`], and valid from then on.

mod names;
mod parse;
mod values;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

use vcp_iscsi_proto::Isid;
use vcp_iscsi_proto::chap::{Algorithm, MIN_SECRET_LEN};

pub(crate) use names::{Forms, Names};
pub use parse::ConfigError;

/// An initiator's configuration. There is no way to print its secrets.
#[derive(Debug, Clone)]
pub struct Config {
    /// The target portal.
    pub(crate) portal: SocketAddr,
    /// The target's iSCSI name and our own.
    pub(crate) names: Names,
    /// The logical unit's number, 0 to 16383.
    pub(crate) lun: u16,
    /// Our part of the session's identifier. A target reinstates a session with the same
    /// identifier, so a disk must always get the same value.
    pub(crate) isid: Isid,
    /// `None`: no authentication is offered.
    pub(crate) chap: Option<Chap>,
    pub(crate) offer: Offer,
    pub(crate) timing: Timing,
    /// Whether to start a logical unit that asks for it.
    pub(crate) start_unit: bool,
    /// Whether to refuse writes even if the logical unit allows them.
    pub(crate) read_only: bool,
    /// The most requests that the caller has outstanding at a time.
    pub(crate) queue_depth: u16,
    /// The longest read or write of one request, in bytes, for which the caller has room
    /// and which the operator allows.
    pub(crate) max_transfer: u32,
    pub(crate) transfer_limit: u32,
    /// Whether a predecessor has served this disk before.
    pub(crate) predecessor: bool,
    /// The identity of the logical unit that was served before, which it must still have;
    /// empty when any will do.
    pub(crate) identity: String,
}

/// Our CHAP credentials, and those required of the target.
#[derive(Debug, Clone)]
pub(crate) struct Chap {
    pub(crate) user: String,
    pub(crate) password: Secret,
    /// `Some`: the target has to prove that it knows this secret too.
    pub(crate) target: Option<Peer>,
    /// The algorithms in order of preference; not empty.
    pub(crate) algorithms: Vec<Algorithm>,
}

impl Chap {
    /// Whether a secret is too short to be safe on a wire that others can read.
    pub(crate) fn is_short(&self) -> bool {
        let theirs = self.target.as_ref().map(|peer| &peer.password);
        [Some(&self.password), theirs]
            .into_iter()
            .flatten()
            .any(|secret| secret.bytes().len() < MIN_SECRET_LEN)
    }
}

/// The credentials that a target must show in mutual CHAP.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// The required name; `None`: any name will do.
    pub(crate) user: Option<String>,
    pub(crate) password: Secret,
}

/// A password that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether to use a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DigestPolicy {
    /// Refuse it.
    None,
    /// Only if the target requires it.
    Accept,
    /// Require it.
    Crc32c,
    /// Use it if the target has it.
    Prefer,
}

/// Our offers in the operational negotiation (RFC 7143 §13). Lengths in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) header_digest: DigestPolicy,
    pub(crate) data_digest: DigestPolicy,
    pub(crate) max_recv_data_segment_length: u32,
    pub(crate) max_burst_length: u32,
    pub(crate) first_burst_length: u32,
    pub(crate) initial_r2t: bool,
    pub(crate) immediate_data: bool,
    pub(crate) max_outstanding_r2t: u32,
}

/// Time limits and intervals, in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    /// The silence after which the target is pinged.
    pub(crate) nop_interval: u64,
    /// The time limit for the answer to a ping.
    pub(crate) nop_timeout: u64,
    /// The time limit from connecting to the first answer of the logical unit.
    pub(crate) login_timeout: u64,
    /// The time limit for the answer to a command, after which it is aborted.
    pub(crate) command_timeout: u64,
    /// The interval between checks of the capacity; 0: never.
    pub(crate) capacity_interval: u64,
}

impl Config {
    /// Sets how many requests the caller has outstanding at a time; the default is 128.
    /// More may be submitted and will wait.
    #[must_use]
    pub fn with_queue_depth(mut self, depth: u32) -> Self {
        self.queue_depth = depth.clamp(1, 4096) as u16;
        self
    }

    /// Sets the longest read or write of one request in bytes, at least 64 KiB; the
    /// default is 1 MiB. The key `max-transfer` may make it shorter.
    #[must_use]
    pub fn with_max_transfer(mut self, bytes: u32) -> Self {
        self.max_transfer = bytes.clamp(64 << 10, 1 << 30);
        self
    }

    /// Makes it the configuration of a successor to an initiator that has served (and
    /// died of something). A target that is away, busy or refuses is then no reason to
    /// give up: the disk was there before and requests may wait for it. Errors that no
    /// connection can mend remain fatal.
    #[must_use]
    pub fn with_predecessor(mut self, predecessor: bool) -> Self {
        self.predecessor = predecessor;
        self
    }

    /// Accepts only the logical unit with this
    /// [`Geometry::identity`](crate::Geometry::identity). Another one is an error, and
    /// one without an identity is not served. Empty: any will do.
    #[must_use]
    pub fn with_identity(mut self, identity: String) -> Self {
        self.identity = identity;
        self
    }

    /// Stops offering SHA-256. Some targets have another algorithm under its number, from
    /// before that was assigned, and fail the login as an error of the initiator. False
    /// if there is nothing else to offer.
    pub(crate) fn give_up_sha256(&mut self) -> bool {
        match &mut self.chap {
            Some(chap) if chap.algorithms.contains(&Algorithm::Md5) => {
                chap.algorithms
                    .retain(|algorithm| *algorithm != Algorithm::Sha256);
                true
            }
            _ => false,
        }
    }

    /// The portal to connect to, for messages.
    pub fn portal(&self) -> SocketAddr {
        self.portal
    }

    /// The target's iSCSI name as it was given, for messages; empty for discovery.
    pub fn target(&self) -> &str {
        self.names.target()
    }

    /// The logical unit's number, for messages.
    pub fn lun(&self) -> u16 {
        self.lun
    }
}
