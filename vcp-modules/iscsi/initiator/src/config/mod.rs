//! What the operator says about a disk: where it is, who we are, what to offer.
//! Made from strings by [`Config::parse`], and valid from then on.

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
    /// Our part of the session's name. A session of the same name is what a
    /// target reinstates, so the same disk must get the same value each time.
    pub(crate) isid: Isid,
    /// `None`: no authentication is offered.
    pub(crate) chap: Option<Chap>,
    pub(crate) offer: Offer,
    pub(crate) timing: Timing,
    /// Tell a logical unit to start that says it wants to be told.
    pub(crate) start_unit: bool,
    /// Refuse writes whatever the logical unit says.
    pub(crate) read_only: bool,
    /// Requests that the caller will have outstanding at a time.
    pub(crate) queue_depth: u16,
    /// Longest read or write, in bytes, of one request: what the caller has room for,
    /// and what the operator wants.
    pub(crate) max_transfer: u32,
    pub(crate) transfer_limit: u32,
    /// Somebody was served with this disk before.
    pub(crate) predecessor: bool,
    /// Which logical unit it has to be, as it said to whoever was served with it; empty
    /// when any will do.
    pub(crate) identity: String,
}

/// Who we are to the target, and who it must be to us.
#[derive(Debug, Clone)]
pub(crate) struct Chap {
    pub(crate) user: String,
    pub(crate) password: Secret,
    /// `Some`: the target has to prove that it knows this secret too.
    pub(crate) target: Option<Peer>,
    /// In order of preference; not empty.
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

/// What a target must show in mutual CHAP.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// `None`: any name will do.
    pub(crate) user: Option<String>,
    pub(crate) password: Secret,
}

/// A password that does not show.
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

/// Whether to ask for a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DigestPolicy {
    /// Refuse it.
    None,
    /// Do without, unless the target insists on it.
    Accept,
    /// Insist on it.
    Crc32c,
    /// Take it if the target has it.
    Prefer,
}

/// What is offered in the operational negotiation (RFC 7143 §13). Lengths in
/// bytes.
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

/// How long to wait for what, in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Timing {
    /// Silence after which the target is pinged.
    pub(crate) nop_interval: u64,
    /// For the answer to a ping.
    pub(crate) nop_timeout: u64,
    /// From the attempt to connect to the first answer of the logical unit.
    pub(crate) login_timeout: u64,
    /// For the answer to a command, before it is aborted.
    pub(crate) command_timeout: u64,
    /// Between two looks at the capacity; 0: never.
    pub(crate) capacity_interval: u64,
}

impl Config {
    /// As [`Config::parse`] has it, but for as many requests at a time as the
    /// caller says; 128 unless told. More may be submitted and will wait.
    #[must_use]
    pub fn with_queue_depth(mut self, depth: u32) -> Self {
        self.queue_depth = depth.clamp(1, 4096) as u16;
        self
    }

    /// As [`Config::parse`] has it, but with reads and writes of up to so many
    /// bytes in one request; 1 MiB unless told. At least 64 KiB. The key
    /// `max-transfer` may have less.
    #[must_use]
    pub fn with_max_transfer(mut self, bytes: u32) -> Self {
        self.max_transfer = bytes.clamp(64 << 10, 1 << 30);
        self
    }

    /// As [`Config::parse`] has it, but for the successor of an initiator that has
    /// served (and died of something): a target that is away, busy or refuses is
    /// then no reason to give up, for the disk was there before and requests may
    /// wait for it. What could not be mended by any connection still is.
    #[must_use]
    pub fn with_predecessor(mut self, predecessor: bool) -> Self {
        self.predecessor = predecessor;
        self
    }

    /// As [`Config::parse`] has it, but only for the logical unit that is known as
    /// this: what [`Geometry::identity`](crate::Geometry::identity) was before. Another
    /// one is an error, and one that does not say which it is is not served. Empty: any
    /// will do.
    #[must_use]
    pub fn with_identity(mut self, identity: String) -> Self {
        self.identity = identity;
        self
    }

    /// Does without SHA-256 from here on. Some targets have another algorithm
    /// under its number, from before that was assigned, and fail the login as an
    /// error of the initiator. False if there is nothing else to offer.
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
